package transform

import (
	"context"
	"errors"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/prefix"
)

// Query is a Stage that runs a jq program on each payload. A payload of which the program makes nothing is dropped, one
// object replaces it, and several become records of their own. A record on which the program fails gets a Fault.
type Query struct{ program *prefix.Program }

// NewQuery compiles a program. Its error states what is wanted.
func NewQuery(source string) (*Query, error) {
	program, err := prefix.NewProgram(source)
	if err != nil {
		return nil, err
	}
	return &Query{program}, nil
}

// Apply transforms records. Its error is the cause of the context's end.
func (q *Query) Apply(ctx context.Context, _ string, in []record.Record) (Output, error) {
	out := Output{Records: make([]record.Record, 0, len(in))}
	var memory arena
	var ends []int
	for i := range in {
		if ctx.Err() != nil {
			return Output{}, context.Cause(ctx)
		}
		r := &in[i]
		if r.Fault != nil {
			out.Records = append(out.Records, *r)
			continue
		}
		made, all, err := q.program.Append(memory.room(len(r.Data)), ends[:0], r.Data)
		ends = all
		if err != nil {
			broken := *r
			broken.Fault = faultOf(err)
			out.Records = append(out.Records, broken)
			continue
		}
		memory.take(made)
		out.add(r, made, ends)
	}
	out.Bytes = memory.bytes
	return out, nil
}

// add appends the records that were made of r, with their payloads one after the other in made.
func (o *Output) add(r *record.Record, made []byte, ends []int) {
	if len(ends) == 0 {
		o.Dropped++
		return
	}
	o.Added += len(ends) - 1
	first, start := len(o.Records), 0
	for _, end := range ends {
		piece := *r
		piece.Data = made[start:end:end]
		o.Records = append(o.Records, piece)
		start = end
	}
	Split(o.Records[first:])
}

// faultOf returns the Fault for an error of a program, none of which shows anything of the payload.
func faultOf(err error) *record.Fault {
	if fault, ok := errors.AsType[*record.Fault](err); ok {
		return fault
	}
	switch {
	case errors.Is(err, prefix.ErrTooExpensive):
		return failed(CodeQueryTooExpensive, err.Error())
	case errors.Is(err, prefix.ErrTooLarge):
		return failed(CodeResultTooLarge, err.Error())
	}
	return failed(CodeQueryFailed, err.Error())
}

// arena holds the payloads of many records in few allocations.
type arena struct {
	free  []byte // unused, with length 0
	bytes int64  // allocated and in use
}

// chunk is how much an arena allocates at a time.
const chunk = 64 << 10

// room returns an empty slice to append about n bytes to.
func (a *arena) room(n int) []byte {
	if cap(a.free) < n+n/4 {
		a.free = make([]byte, 0, max(chunk, n+n/4))
		a.bytes += int64(cap(a.free))
	}
	return a.free
}

// take keeps what was appended to the slice of room.
func (a *arena) take(made []byte) {
	if len(made) > cap(a.free) {
		a.bytes += int64(cap(made)) // append has allocated anew
		return
	}
	a.free = a.free[len(made):len(made)]
}
