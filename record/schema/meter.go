package schema

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"aws-streaming-pipeline/record"
)

// meter counts the work of the general validator on one record, and stops it by a panic when the limit is reached. It
// counts nothing but what the record and the schema say, so that a replay gives the same verdict.
type meter struct {
	left  int
	times int // what each charge is multiplied by
	// of the record
	depth  int
	names  int // length of the longest member name
	digits int // of all numbers, written out without an exponent
}

// allowance is the work that any record may cost: it makes no difference to a worker.
const allowance = 4096

// limit is the charge up to which a record may run: that of applying effort subschemas to each of its values.
func (m *meter) limit(members map[string]any, effort int) int {
	m.depth, m.names, m.digits = 0, 0, 0
	m.observe(members, 1)
	return effort*m.total(members) + allowance
}

func (m *meter) observe(v any, depth int) {
	m.depth = max(m.depth, depth)
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			m.names = max(m.names, len(name))
			m.observe(member, depth+1)
		}
	case []any:
		for _, element := range v {
			m.observe(element, depth+1)
		}
	case json.Number:
		m.digits += len(v)
		if e := strings.IndexAny(string(v), "eE"); e >= 0 {
			exponent, _ := strconv.Atoi(string(v[e+1:])) // bounded: record.NumbersBounded
			m.digits += max(exponent, -exponent)
		}
	}
}

// total is the work of one subschema for each value of the record.
func (m *meter) total(v any) int {
	sum := m.work(v)
	switch v := v.(type) {
	case map[string]any:
		for _, member := range v {
			sum += m.total(member)
		}
	case []any:
		for _, element := range v {
			sum += m.total(element)
		}
	}
	return sum
}

// work is what applying a subschema to a value takes, beside its members and elements: one for it and each of them,
// as a type that is wrong is found before anything is charged, and what it takes to match texts with patterns.
func (m *meter) work(v any) int {
	const bytesOfWork = 16
	switch v := v.(type) {
	case map[string]any:
		return 1 + len(v)*(1+m.names/bytesOfWork)
	case []any:
		return 1 + len(v)
	case string:
		return 1 + len(v)/bytesOfWork
	}
	return 1
}

func (m *meter) begin(limit, times int) { m.left, m.times = limit, times }

func (m *meter) charge(work int) {
	if m.left -= work * m.times; m.left < 0 {
		panic(errTooExpensive)
	}
}

// run calls do. The error is errTooExpensive where the meter has stopped it, and a *record.Fault where it panicked.
func (m *meter) run(do func() error) (err error) {
	defer func() {
		switch v := recover(); v {
		case nil:
		case error(errTooExpensive):
			err = errTooExpensive
		default:
			err = record.Panicked(v)
		}
	}()
	return do()
}

// install makes a subschema charge for each value that it is applied to. It does so in the place of the format, at which the
// validator looks before it descends into the value, whatever the value's type. Formats are annotations: the validator would
// check them in documents of the drafts before 2019-09.
func (m *meter) install(s *jsonschema.Schema) {
	// The target of a dynamic reference is looked for in all subschemas around the value.
	dynamic := s.DynamicRef != nil || s.RecursiveRef != nil
	s.Format = &jsonschema.Format{Name: "charge", Validate: func(v any) error {
		work := m.work(v)
		if dynamic {
			work += m.depth / 8
		}
		m.charge(work)
		return nil
	}}
	if s.UniqueItems {
		s.UniqueItems = false
		s.Extensions = append(s.Extensions, uniqueItems{m})
	}
}
