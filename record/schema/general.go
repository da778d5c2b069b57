package schema

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// general is the document for the general validator. It is safe for concurrent use.
//
// The validator itself has no bounds: recursive references that fan out take time exponential in a record's depth,
// distinct array elements are compared pairwise where their hashes collide, and each broken rule costs memory for its
// whole location. So each value that a subschema is applied to is charged (see meter), and a record whose charge runs
// beyond what the schema needs for a record like it is given up.
type general struct {
	document []byte
	effort   int // subschemas that a record's values may be applied to on average

	mu   sync.Mutex
	free []*checker // never more than have been at work at the same time
}

// checker is a compiled document with a meter in it, for one record at a time.
type checker struct {
	schema *jsonschema.Schema
	not    *jsonschema.Schema // holds where schema does not, and notes nothing but that
	meter  meter
}

const documentURL, notURL = "record:schema", "record:not"

// compileFull compiles the document for the general validator. A schema is self-contained: nothing is loaded.
func compileFull(document []byte) (*general, error) {
	g := &general{document: document}
	c, err := g.compile()
	if err != nil {
		return nil, err
	}
	g.effort = effortOf(c.schema)
	g.give(c)
	return g, nil
}

func (g *general) compile() (*checker, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(g.document))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(noLoader{})
	compiler.UseRegexpEngine(func(expression string) (jsonschema.Regexp, error) { return compilePattern(expression) })
	if err := compiler.AddResource(documentURL, doc); err != nil {
		return nil, err
	}
	if err := compiler.AddResource(notURL, map[string]any{"not": map[string]any{"$ref": documentURL}}); err != nil {
		return nil, err
	}
	c := &checker{}
	if c.schema, err = compiler.Compile(documentURL); err != nil {
		return nil, err
	}
	if c.not, err = compiler.Compile(notURL); err != nil {
		return nil, err
	}
	eachSchema(c.schema, c.meter.install)
	return c, nil
}

type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("reference to %q: a schema may only refer to itself", url)
}

func (g *general) take() (*checker, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := len(g.free)
	if n == 0 {
		return g.compile()
	}
	c := g.free[n-1]
	g.free = g.free[:n-1]
	return c, nil
}

func (g *general) give(c *checker) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free = append(g.free, c)
}

// verdict is what the general validator says of a record.
type verdict struct {
	valid bool
	// location and rule are of the first broken rule. rule is empty where finding it would cost too much.
	location []string
	rule     string
}

var errTooExpensive = errors.New("too expensive")

// digitsPerByte bounds the digits of a record's numbers, written out: 1e-400 has four hundred, which the validator computes
// with. Numbers as programs write them come to one, or to fifteen where all of them are near the least that a double holds.
const digitsPerByte = 16

// validate checks a decoded record of size bytes. The error is errTooExpensive, or a *record.Fault if the validator panicked.
func (g *general) validate(members map[string]any, size int) (verdict, error) {
	c, err := g.take()
	if err != nil {
		return verdict{}, err
	}
	defer g.give(c)
	limit := c.meter.limit(members, g.effort)
	if c.meter.digits > digitsPerByte*size+allowance {
		return verdict{}, errTooExpensive
	}
	// To hold or not is found at the least cost. Only for a record that breaks a rule is it asked which, and where.
	c.meter.begin(limit, 1)
	var broken *jsonschema.ValidationError
	switch err := c.meter.run(func() error { return c.not.Validate(members) }); {
	case err == nil:
	case errors.As(err, &broken):
		return verdict{valid: true}, nil
	default:
		return verdict{}, err
	}
	// Each error takes hundreds of bytes, and has a copy of its location. Of a large record it is only sought so far.
	c.meter.begin(limit/64+2*allowance, 1+c.meter.depth/16)
	if err := c.meter.run(func() error { return c.schema.Validate(members) }); !errors.As(err, &broken) {
		return verdict{}, nil
	}
	for len(broken.Causes) > 0 {
		broken = broken.Causes[0]
	}
	v := verdict{location: broken.InstanceLocation, rule: strings.Join(broken.ErrorKind.KeywordPath(), "/")}
	if v.rule == "" {
		v.rule = "false schema"
	}
	return v, nil
}

// uniqueItems takes the place of the validator's own: its hash is the same for [[],[]] and [[[]]], and so for
// any number of elements that a record may choose.
type uniqueItems struct{ meter *meter }

// Validate is jsonschema.SchemaExt's.
func (u uniqueItems) Validate(ctx *jsonschema.ValidatorContext, v any) {
	list, ok := v.([]any)
	if !ok || len(list) < 2 {
		return
	}
	seen := make(map[string]int, len(list))
	var text []byte
	for i, element := range list {
		text = appendCanonical(text[:0], element)
		u.meter.charge(1 + len(text)/16)
		if before, ok := seen[string(text)]; ok {
			ctx.AddError(&kind.UniqueItems{Duplicates: [2]int{before, i}})
			return
		}
		seen[string(text)] = i
	}
}
