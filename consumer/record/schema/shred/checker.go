package shred

import (
	"sync"

	"aws-streaming-pipeline/consumer/record"
	"aws-streaming-pipeline/consumer/record/schema"
)

// Checker tells whether records hold to a schema, for formats that have no columns: types and formats mean what they mean in
// JSON Schema, whatever x-parquet says. It is safe for concurrent use. A nil one allows all records.
type Checker struct{ scans sync.Pool }

// NewChecker returns a Checker for the schema.
func NewChecker(s *schema.Schema) *Checker {
	plain := s.Plain()
	return &Checker{sync.Pool{New: func() any { return newScan(plain) }}}
}

// AppendJSONLine is record.AppendJSONLine, and refuses the records that do not hold to the schema. An error is always a
// *record.Fault.
func (c *Checker) AppendJSONLine(dst []byte, r *record.Record) ([]byte, error) {
	line, err := record.AppendJSONLine(dst, r)
	if err != nil || c == nil {
		return line, err
	}
	s := c.scans.Get().(*Shredder)
	fault := s.check(r) // after a panic nobody uses it again
	c.scans.Put(s)
	if fault != nil {
		return dst, fault
	}
	return line, nil
}

// newScan returns a Shredder whose values go nowhere.
func newScan(plain *schema.Schema) *Shredder {
	s := &Shredder{schema: plain, checks: true, dates: calendar{loose: plain.Coerce}}
	p := &plan{grown: &s.grown, checks: true}
	s.root = p.root(plain)
	s.use(p.columns)
	return s
}

func (s *Shredder) check(r *record.Record) *record.Fault {
	ok := s.take(r, s.root)
	s.rollBack()
	if ok {
		return nil
	}
	return s.explain(r)
}
