package prefix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/itchyny/gojq"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/jsonscan"
)

// maxKeys is how many partition keys Firehose allows (Amazon Data Firehose Developer Guide, "Amazon Data Firehose Quota").
const maxKeys = 50

// value is the value of a partition key before escaping: text, or if that is empty, the bytes of the payload between two
// offsets.
type value struct {
	text     string
	from, to int
}

// appendTo appends the value in the form that it has in an object key.
func (v value) appendTo(b, payload []byte) []byte {
	if v.text != "" {
		return appendSegmentSafe(b, v.text)
	}
	return appendSegmentSafe(b, payload[v.from:v.to])
}

func (v value) isEmpty() bool { return v.text == "" && v.from == v.to }

// query produces the partition keys of a payload with jq.
type query struct {
	programs programs
	keys     []string // those that the prefix uses
	paths    *pathNode
}

// program is the compiled query, with the work that its functions spend. It can serve only one payload at a time.
type program struct {
	code *gojq.Code
	work work
}

// compileQuery compiles a query for the keys that the prefix uses. The options are gojq's.
func compileQuery(source string, keys []string, options ...gojq.CompilerOption) (*query, error) {
	parsed, err := gojq.Parse(source)
	if err != nil {
		return nil, fmt.Errorf("want a jq program: %w", err)
	}
	if made, known := madeKeys(parsed); known {
		if err := checkKeys(keys, made); err != nil {
			return nil, err
		}
	}
	q := &query{keys: keys, paths: compilePaths(parsed, keys)}
	if err := q.programs.compile(source, false, options...); err != nil {
		return nil, err
	}
	return q, nil
}

// programs are the compiled copies of a query. One is kept for good, others as long as they are in use.
type programs struct {
	one    atomic.Pointer[program]
	others sync.Pool
}

// compile compiles a query; ordered is that of charged.
func (p *programs) compile(source string, ordered bool, options ...gojq.CompilerOption) error {
	charged, written, err := charged(source, ordered)
	if err != nil {
		return fmt.Errorf("want a jq program: %w", err)
	}
	compile := func() (*program, error) {
		p := &program{}
		patterns := patterns{written: written, kept: make(map[patternKey]*pattern)}
		code, err := gojq.Compile(charged, slices.Concat(chargeOptions(&p.work), orderOptions(&p.work), patterns.options(&p.work), options)...)
		p.code = code
		return p, err
	}
	first, err := compile()
	if err != nil {
		return fmt.Errorf("want a jq program: %w", err)
	}
	p.others.New = func() any {
		p, _ := compile() // as it did before
		return p
	}
	p.put(first)
	return nil
}

func (p *programs) get() *program {
	if one := p.one.Swap(nil); one != nil {
		return one
	}
	return p.others.Get().(*program)
}

func (p *programs) put(done *program) {
	if !p.one.CompareAndSwap(nil, done) {
		p.others.Put(done)
	}
}

// madeKeys returns the names of the members that a query of the form {...} produces, if they are known before it runs.
func madeKeys(q *gojq.Query) (names []string, known bool) {
	members, ok := objectMembers(q)
	if !ok {
		return nil, false
	}
	for _, m := range members {
		name, ok := memberName(m)
		if !ok {
			return nil, false
		}
		names = append(names, name)
	}
	return names, true
}

func checkKeys(used, made []string) error {
	slices.Sort(made)
	if n := len(slices.Compact(made)); n > maxKeys {
		return fmt.Errorf("want at most %d partition keys, not %d", maxKeys, n)
	}
	for _, name := range used {
		if !slices.Contains(made, name) {
			return fmt.Errorf("want the partition key %q, which the prefix uses, among those that it produces", name)
		}
	}
	return nil
}

// values returns the values of the query's keys for a payload; none of them is null or empty. It uses room if its
// capacity suffices.
func (q *query) values(payload []byte, room []value) ([]value, *record.Fault) {
	if q.paths != nil {
		if values, ok := q.paths.values(payload, room, len(q.keys)); ok {
			return values, nil
		}
	}
	return q.run(payload)
}

// run evaluates the query with the interpreter.
func (q *query) run(payload []byte) ([]value, *record.Fault) {
	input, err := decode(payload)
	if err != nil {
		return nil, extractionFault("the payload is not a single JSON value")
	}
	if !record.NumbersBounded(input) {
		return nil, record.NumberTooLarge()
	}
	if tooDeep(payload, input) {
		return nil, extractionFault(errTooDeep.Error())
	}
	object, fault := q.object(payload, input, freeWork+workPerByte*len(payload))
	if fault != nil {
		return nil, fault
	}
	values := make([]value, 0, len(q.keys))
	for _, name := range q.keys {
		text, err := scalar(object[name])
		if err != nil {
			return nil, extractionFault(fmt.Sprintf("partition key %s %v", name, err))
		}
		values = append(values, value{text: text})
	}
	return values, nil
}

var errTooDeep = fmt.Errorf("the payload is nested deeper than %d levels", maxDepth)

// tooDeep reports whether a payload is nested deeper than a query may walk.
func tooDeep(payload []byte, input any) bool {
	brackets := bytes.Count(payload, []byte("[")) + bytes.Count(payload, []byte("{"))
	return brackets > maxDepth && isDeeper(input, maxDepth)
}

// isDeeper reports whether a value is nested deeper than the given number of levels.
func isDeeper(v any, levels int) bool {
	switch v := v.(type) {
	case []any:
		return levels == 0 || slices.ContainsFunc(v, func(element any) bool { return isDeeper(element, levels-1) })
	case map[string]any:
		if levels == 0 {
			return true
		}
		for _, member := range v {
			if isDeeper(member, levels-1) {
				return true
			}
		}
	}
	return false
}

// object runs the query, which must have one result, an object.
func (q *query) object(payload []byte, input any, units int) (object map[string]any, fault *record.Fault) {
	err := q.programs.run(payload, input, units, func(_ *work, result any) error {
		if object != nil {
			return extractionFault("the query has more than one result")
		}
		made, ok := result.(map[string]any)
		if !ok {
			return extractionFault("the query's result is not an object")
		}
		object = made
		return nil
	})
	switch {
	case err != nil:
		return nil, queryFault(err)
	case object == nil:
		return nil, extractionFault("the query has no result")
	}
	return object, nil
}

// run runs the query on a payload and calls each with its results until that returns an error. The errors are that one,
// errTooExpensive, errFailed, and the Fault of a payload on which the interpreter panics, which would take down one worker
// after another. The interpreter's own errors stay here: their texts show values.
func (p *programs) run(payload []byte, input any, units int, each func(w *work, result any) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = record.Panicked(v)
		}
	}()
	program := p.get()
	program.work.start(payload, input, units)
	defer func() {
		program.work = work{} // keeps no payload
		p.put(program)
	}()
	for results := program.code.RunWithContext(&program.work, input); ; {
		result, ok := results.Next()
		if !ok {
			return nil
		}
		if err, failed := result.(error); failed {
			if errors.Is(err, errTooExpensive) {
				return errTooExpensive
			}
			return errFailed
		}
		if err := each(&program.work, result); err != nil {
			return err
		}
	}
}

var errFailed = errors.New("the query failed for this payload")

func queryFault(err error) *record.Fault {
	if fault, ok := errors.AsType[*record.Fault](err); ok {
		return fault
	}
	if errors.Is(err, errTooExpensive) {
		return faultOf(CodeQueryTooExpensive, errTooExpensive.Error())
	}
	return extractionFault(errFailed.Error())
}

func extractionFault(message string) *record.Fault {
	return faultOf(CodeMetadataExtractionFailed, message)
}

// decode reads exactly one JSON value, and skips a byte order mark before it. Numbers keep their digits.
func decode(payload []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(payload, []byte(jsonscan.ByteOrderMark))))
	d.UseNumber()
	var input any
	if err := d.Decode(&input); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	return input, nil
}

// scalar returns a result as text. Firehose rejects records with a null or empty key.
func scalar(result any) (string, error) {
	switch v := result.(type) {
	case nil:
		return "", errors.New("is null or missing")
	case string:
		if v == "" {
			return "", errors.New("is empty")
		}
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case float64:
		return number(v)
	case *big.Int:
		return v.String(), nil
	case json.Number:
		return v.String(), nil
	case []any:
		return "", errors.New("is an array")
	}
	return "", errors.New("is an object")
}

// number writes a computed number as jq does: plain digits if they are few, otherwise with an exponent.
func number(f float64) (string, error) {
	text, err := json.Marshal(f)
	if err != nil { // infinite, or not a number
		return "", errors.New("is not a finite number")
	}
	return string(text), nil
}
