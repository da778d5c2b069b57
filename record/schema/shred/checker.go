package shred

import (
	"sync"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
)

// Checker checks records against a schema, for formats without columns: types and formats mean what they mean in JSON
// Schema, whatever x-parquet says. It is safe for concurrent use. A nil Checker allows all records.
type Checker struct{ scans sync.Pool }

// NewChecker returns a Checker for the schema.
func NewChecker(s *schema.Schema) *Checker {
	plain := s.Plain()
	return &Checker{sync.Pool{New: func() any { return newScan(plain) }}}
}

// AppendJSONLine is record.AppendJSONLine, or record.AppendArrivalLine if the schema has Arrival, but also refuses records that
// violate the schema. It reads a payload once. An error is always a *record.Fault.
func (c *Checker) AppendJSONLine(dst []byte, r *record.Record) ([]byte, error) {
	if c == nil || r.Fault != nil {
		return record.AppendJSONLine(dst, r)
	}
	s := c.scans.Get().(*Shredder)
	line, fault := s.check(dst, r) // after a panic nobody uses it again
	c.scans.Put(s)
	if fault != nil {
		return dst, fault
	}
	return line, nil
}

// newScan returns a Shredder whose values go nowhere.
func newScan(plain *schema.Schema) *Shredder {
	s := &Shredder{schema: plain, checks: true, dates: Calendar{Loose: plain.Coerce}}
	p := &plan{grown: &s.grown, checks: true, folds: plain.IgnoreCase}
	s.root = p.root(plain)
	s.use(p)
	return s
}

// check appends the record's line, if the record satisfies the schema.
func (s *Shredder) check(dst []byte, r *record.Record) (line []byte, fault *record.Fault) {
	s.line = record.NewObjectLine(dst, r, s.schema.Arrival)
	if s.take(r, s.root) {
		line = s.line.End()
	} else {
		line, fault = dst, s.explain(r)
	}
	s.line = record.ObjectLine{}
	s.rollBack()
	return line, fault
}
