package lambdas

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"aws-streaming-pipeline/internal/settings"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/prefix"
)

// Line is a record as a line of JSON.
type Line struct {
	Record *record.Record
	Text   []byte // with its line feed
}

// Rejected is a record that cannot be delivered.
type Rejected struct {
	Record *record.Record
	Fault  *record.Fault
}

// Encode writes the batch's records as lines of JSON with write, into one slice in the order of the batch, and returns
// those that cannot be written: those that write refuses, or on which it panics.
func (b *Batch) Encode(write func(dst []byte, r *record.Record) ([]byte, error)) (all []byte, lines []Line, rejected []Rejected) {
	// Each line has its event id in addition. Opened payloads may be larger than what was received.
	size := 0
	for i := range b.Records {
		size += len(b.Records[i].Data) + 96
	}
	all, lines = make([]byte, 0, size), make([]Line, 0, len(b.Records))
	for i := range b.Records {
		r := &b.Records[i]
		start := len(all)
		out, err := appendLine(all, r, write)
		if err != nil {
			rejected = append(rejected, Rejected{r, asFault(err)})
			continue
		}
		all = out
		lines = append(lines, Line{r, all[start:len(all):len(all)]})
	}
	return all, lines, rejected
}

// appendLine appends the line of a record. A panic is the fault of the record.
func appendLine(dst []byte, r *record.Record, write func([]byte, *record.Record) ([]byte, error)) (line []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			line, err = dst, record.Panicked(p)
		}
	}()
	return write(dst, r)
}

// asFault converts an error of AppendJSONLine: all are faults.
func asFault(err error) *record.Fault {
	if f, ok := errors.AsType[*record.Fault](err); ok {
		return f
	}
	return &record.Fault{Type: record.ProcessingFailed, Code: CodeRecordFailed, Message: err.Error()}
}

// Errors are the settings of the error prefix.
type Errors struct {
	ErrorPrefix string `envconfig:"ERROR_PREFIX" default:"errors/!{firehose:error-output-type}/date=!{timestamp:yyyy-MM-dd}/" desc:"Key prefix of records that cannot be delivered, in Firehose's prefix language. Timestamps are the time at which the batch's first record arrived."`
}

// Check reports faults beyond the rules of the tags.
func (e Errors) Check(f *settings.Faults) {
	// A retry must find the object of the first attempt.
	f.Check(!strings.Contains(e.ErrorPrefix, "random-string"), "ERROR_PREFIX", "a prefix without random strings")
	_, err := NewErrorPrefix(nil, "", e.ErrorPrefix)
	for _, p := range prefix.Problems(err) {
		f.Add("ERROR_PREFIX", p.Err)
	}
}

// ErrorPrefix is where records that cannot be delivered are written.
type ErrorPrefix struct {
	objects *Objects
	bucket  string
	router  *prefix.Router
}

// NewErrorPrefix returns an ErrorPrefix for a prefix in Firehose's language, or says what is wrong with it.
func NewErrorPrefix(objects *Objects, bucket, errorPrefix string) (*ErrorPrefix, error) {
	router, err := prefix.New(prefix.Config{Error: errorPrefix})
	if err != nil {
		return nil, err
	}
	return &ErrorPrefix{objects: objects, bucket: bucket, router: router}, nil
}

// Put writes the rejected records of a batch, one object per kind of error, and returns the objects' addresses. If it
// returns no error, all are durable.
func (e *ErrorPrefix) Put(ctx context.Context, b *Batch, rejected []Rejected, now time.Time) (addresses []string, err error) {
	defer Survive(&err)
	byType := make(map[record.OutputType][]byte)
	for _, r := range rejected {
		byType[r.Fault.Type] = record.AppendErrorLine(byType[r.Fault.Type], r.Record, r.Fault, record.Attempt{Count: 1, Ended: now})
	}
	for _, t := range sortedKeys(byType) {
		address, _, err := e.objects.Put(ctx, e.bucket, e.router.ErrorPartition(t, b.Arrival)+b.Name(), byType[t])
		if err != nil {
			return nil, fmt.Errorf("write %d rejected records: %w", len(rejected), err)
		}
		addresses = append(addresses, address)
	}
	return addresses, nil
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Codes counts the rejected records by their codes, for logs.
func Codes(rejected []Rejected) map[string]int {
	counts := make(map[string]int)
	for _, r := range rejected {
		counts[r.Fault.Code]++
	}
	return counts
}
