// Package redrive sends records that could not be delivered back to a stream, once whatever made them fail is mended.
//
// It reads error objects, the pipeline's own and those of Amazon Data Firehose, and puts the raw bytes of each line into
// the stream with the partition key and the explicit hash key that the line names. The payload is not changed or marked:
// whoever reads the stream sees what the producer had sent. A record that came in an aggregate, or was split off a
// payload, is put as a record of its own.
//
// # At most once
//
// Kinesis has no idempotent put, so that not every line can be sent exactly once. What can be had is this, and it holds
// through crashes, interruptions, and any number of runs one after the other or at the same time:
//
//   - A line is sent at most once, unless the operator decides otherwise.
//   - A line of which it is not known whether it was sent is never forgotten: it is in doubt, and named.
//
// Before lines are sent, they are claimed: a marker object that says so is written on the condition that nobody else has
// written it meanwhile. When Kinesis has answered, the marker says what was sent. What was claimed and has no outcome,
// because the process died in between or the answer was lost, is in doubt: at most chunkLines lines for each such event.
// An interruption by a signal leaves no doubt, since the call under way is waited for.
//
// Lines in doubt are left alone until Config.InDoubt says whether they are to be sent (at least once) or given up (at
// most once). To look for them in the stream helps a person, but proves nothing to a program: a producer may have sent
// the same bytes under the same key.
package redrive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/time/rate"

	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/streams"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/record"
)

// S3 are the calls that a run makes; *s3.Client has them. Conditional puts (If-None-Match, If-Match) are needed.
type S3 interface {
	objects.API
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
}

// Kinesis is the call that a run makes; *kinesis.Client has it.
type Kinesis interface {
	PutRecords(context.Context, *kinesis.PutRecordsInput, ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error)
}

// Decision says what becomes of lines in doubt.
type Decision string

const (
	Leave Decision = "leave" // they stay in doubt
	Send  Decision = "send"  // they are sent, maybe for the second time
	Skip  Decision = "skip"  // they are given up, maybe without having been sent
)

// Config says what is to be sent and where to.
type Config struct {
	Bucket string
	Prefix string // of the error objects
	// MarkerPrefix is where the markers lie: <MarkerPrefix><stream>/<key of the error object>/<first line>.json. It must
	// be the same in all runs. What was sent to one stream can be sent to another.
	MarkerPrefix string
	Stream       streams.ID
	// Codes bounds the lines to those error codes; empty for all.
	Codes []string
	// From and To bound the lines by the arrival of the record: From included, To excluded. Zero values do not bound.
	From, To time.Time
	InDoubt  Decision
	// DryRun counts and sends nothing.
	DryRun bool
	// Rate is the number of records a second; 0 for no bound but Kinesis's own.
	Rate int
	// Run is the id of this run, unique.
	Run string
	Now func() time.Time // nil for time.Now
	Log *slog.Logger     // nil for none
}

// chunkLines is the most lines that one marker is for, and that one event can leave in doubt. It is what one PutRecords
// takes (Amazon Kinesis Data Streams API reference).
const chunkLines = 500

// chunkBytes ends a chunk before it has chunkLines: what it holds is in memory.
const chunkBytes = 16 << 20

func (c *Config) fill() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	if c.InDoubt == "" {
		c.InDoubt = Leave
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	check(c.Bucket != "", "there is no bucket")
	check(c.Stream != "", "there is no stream to send to")
	check(c.Run != "", "the run has no id")
	check(c.MarkerPrefix != "", "there is no prefix for markers")
	check(c.Rate >= 0, "rate %d is negative", c.Rate)
	check(slices.Contains([]Decision{Leave, Send, Skip}, c.InDoubt), "what to do with lines in doubt: %q is none of leave, send, skip", c.InDoubt)
	if len(faults) > 0 {
		return fmt.Errorf("redrive: %w", errors.Join(faults...))
	}
	return nil
}

// Run sends what is to be sent. It goes through the error objects that are there when it begins: what fails again is not
// sent again by the same run. An error means that it has not come to the end; it may be run again. When ctx ends it
// stops behind the call that is under way.
func Run(ctx context.Context, api S3, stream Kinesis, c Config) (Report, error) {
	if err := c.fill(); err != nil {
		return Report{}, err
	}
	limit := rate.Inf
	if c.Rate > 0 {
		limit = rate.Limit(c.Rate)
	}
	r := &run{
		Config: c, bucket: objects.Bucket{API: api, Name: c.Bucket}, put: api,
		sender: sender{client: stream, stream: c.Stream, limiter: rate.NewLimiter(limit, chunkLines), log: c.Log},
		report: Report{Codes: make(map[string]*Count)},
	}
	err := r.all(ctx)
	return r.report, err
}

type run struct {
	Config
	bucket objects.Bucket
	put    S3
	sender sender
	report Report
}

func (r *run) all(ctx context.Context) error {
	var keys []string
	for o, err := range r.bucket.List(ctx, r.Prefix, "") {
		if err != nil {
			return err
		}
		if !strings.HasPrefix(*o.Key, r.MarkerPrefix) && !strings.HasSuffix(*o.Key, "/") {
			keys = append(keys, *o.Key)
		}
	}
	for _, key := range keys {
		if err := r.object(ctx, key); err != nil {
			return fmt.Errorf("redrive %s: %w", key, err)
		}
		r.report.Objects++
	}
	return nil
}

// line is one error record that the run is for.
type line struct {
	number int // in its object, from 0
	record record.Record
}

// object goes through an error object, a chunk at a time. Chunks are cut by lines and bytes alone, so that every run
// cuts the same ones, whatever lines it is for.
func (r *run) object(ctx context.Context, key string) error {
	file, err := r.bucket.Download(ctx, key)
	if errors.Is(err, objects.ErrNotFound) {
		return nil // removed since the listing
	}
	if err != nil {
		return err
	}
	defer file.Close()
	markers, err := r.markers(ctx, key)
	if err != nil {
		return err
	}
	c := chunk{object: key, etag: file.Info.ETag}
	flush := func(next int) error {
		err := r.chunk(ctx, c, markers[c.first])
		c.first, c.count, c.bytes, c.lines = next, 0, 0, nil
		return err
	}
	err = objects.Lines(file, func(n int, text []byte) error {
		if c.count > 0 && (c.count == chunkLines || c.bytes+len(text) > chunkBytes) {
			if err := flush(n); err != nil {
				return err
			}
		}
		c.count++
		c.bytes += len(text)
		if l, ok := r.parse(key, n, text); ok {
			c.lines = append(c.lines, l)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush(0)
}

// parse reads a line and tells whether the run is for it.
func (r *run) parse(key string, n int, text []byte) (line, bool) {
	if len(text) == 0 {
		return line{}, false
	}
	e, err := record.ParseErrorLine(text)
	if err != nil {
		r.report.unreadable(key, n, err)
		return line{}, false
	}
	rec := e.Record
	if len(r.Codes) > 0 && !slices.Contains(r.Codes, rec.Fault.Code) ||
		rec.Arrival.Before(r.From) || !r.To.IsZero() && !rec.Arrival.Before(r.To) {
		return line{}, false
	}
	return line{number: n, record: rec}, true
}

// chunk is some lines of an object in a row.
type chunk struct {
	object, etag string
	first        int    // number of its first line
	count, bytes int    // of all its lines
	lines        []line // that the run is for
}

// chunk takes the lines of a chunk to where they are to be.
func (r *run) chunk(ctx context.Context, c chunk, found bool) error {
	if len(c.lines) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	for {
		m, err := r.marker(ctx, c, found)
		if err != nil {
			return err
		}
		todo, changed := r.plan(m, c)
		if r.DryRun || !changed && len(todo) == 0 {
			r.count(m, c, todo, outcome{})
			return nil
		}
		err = r.save(ctx, m)
		if errors.Is(err, errTaken) {
			found = true // another run was faster: what it has claimed is not ours
			continue
		}
		if err != nil {
			return fmt.Errorf("claim lines from %d: %w", c.first, err)
		}
		done := r.sender.send(ctx, todo)
		return r.settle(ctx, m, c, todo, done)
	}
}

// plan decides which lines are to be sent now, and writes the claim into the marker. What another run has claimed and
// not settled is in doubt.
func (r *run) plan(m *marker, c chunk) (todo []line, changed bool) {
	unsettled := m.Doubt.union(m.Sending)
	var decided lineSet
	for _, l := range c.lines {
		switch {
		case unsettled.has(l.number):
			if r.InDoubt != Leave {
				decided = append(decided, l.number)
			}
			if r.InDoubt == Send {
				todo = append(todo, l)
			}
		case !m.settled(l.number):
			todo = append(todo, l)
		}
	}
	if len(todo) == 0 && len(decided) == 0 {
		return nil, false
	}
	m.Doubt = unsettled.without(decided)
	if r.InDoubt == Skip {
		m.Skipped = m.Skipped.union(decided)
	}
	m.Sending = numbers(todo)
	m.Run, m.Since = r.Run, r.Now().UTC()
	return todo, true
}

func numbers(lines []line) lineSet {
	set := make(lineSet, len(lines))
	for i, l := range lines {
		set[i] = l.number
	}
	return set
}

// settle writes down what has become of the lines that were claimed. Those that were not sent for certain are free
// again.
func (r *run) settle(ctx context.Context, m *marker, c chunk, todo []line, done outcome) error {
	m.Sending = nil
	m.Sent = m.Sent.union(done.sent)
	m.Doubt = m.Doubt.union(done.unknown)
	// What is refused is not noted: it may be the stream's fault, or a limit that is raised later.
	for _, refusal := range done.refused {
		r.report.Refused++
		r.report.problem(c.object, refusal.line, refusal.reason)
	}
	r.count(m, c, todo, done)
	// What was sent is to be known also if the run is to end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWord)
	defer cancel()
	if err := r.save(ctx, m); err != nil {
		r.report.Doubt += int64(len(done.sent))
		err = fmt.Errorf("note that %d lines from %d were sent: %w; they are in doubt now", len(done.sent), c.first, err)
		return errors.Join(done.err, err)
	}
	if done.err == nil {
		r.Log.Info("lines sent", logkey.Key, c.object, logkey.Records, len(done.sent))
	}
	return done.err
}

// lastWord bounds what is done after the run was told to stop.
const lastWord = 15 * time.Second

// count adds a chunk to the report.
func (r *run) count(m *marker, c chunk, todo []line, done outcome) {
	fresh := numbers(todo)
	for _, l := range c.lines {
		count := r.report.code(l.record.Fault.Code)
		count.Lines++
		count.Bytes += int64(len(l.record.Data))
		switch {
		case done.sent.has(l.number):
			r.report.Sent++
			count.Sent++
		case fresh.has(l.number) && r.DryRun:
			r.report.Unsent++
		case m.Doubt.has(l.number) || m.Sending.has(l.number):
			r.report.Doubt++
		case m.Sent.has(l.number):
			r.report.SentBefore++
		case m.Skipped.has(l.number):
			r.report.Skipped++
		default:
			r.report.Unsent++
		}
	}
	r.report.Unsent -= int64(len(done.refused))
	r.report.doubts(c.object, m, m.Doubt.union(m.Sending.without(fresh)))
}
