// Package redrive sends undeliverable records back to a stream after the cause of their failure is fixed.
//
// It reads error objects, the pipeline's own and those of Amazon Data Firehose, and puts the raw bytes of each line into
// the stream under the partition key and the explicit hash key that the line names. The payload is not changed or marked:
// readers of the stream see what the producer sent. A record that was part of an aggregate, or was split off a payload,
// is put as a record of its own.
//
// It also puts the lines of a backup (BACKUP_FORMAT=jsonl) into a stream: whole Kinesis records under their partition key, a
// KPL aggregate under the hash key of its first user record.
//
// # At most once
//
// Kinesis has no idempotent put, so lines cannot be sent exactly once. Redrive guarantees the following, despite crashes
// and interruptions, and for any number of runs, in sequence or at the same time:
//
//   - A line is sent at most once, unless the operator decides otherwise.
//   - A line that may or may not have been sent is never forgotten: it is in doubt, and reported.
//
// Lines are claimed before they are sent: redrive writes a marker object under the condition that nobody else has written
// it since. After Kinesis answers, the marker records what was sent. Lines that were claimed but have no outcome, because
// the process died or the answer was lost, are in doubt: at most chunkLines lines per incident. A signal leaves no lines
// in doubt, because redrive waits for the call in progress.
//
// Lines in doubt are left alone until Config.InDoubt says whether to send them (at least once) or to give them up (at
// most once). Looking for them in the stream helps a person but proves nothing to a program: a producer may have sent the
// same bytes under the same key.
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

// S3 is the set of S3 calls that a run makes. *s3.Client implements it. The store must support conditional puts
// (If-None-Match, If-Match).
type S3 interface {
	objects.API
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
}

// Kinesis is the call that a run makes. *kinesis.Client implements it.
type Kinesis interface {
	PutRecords(context.Context, *kinesis.PutRecordsInput, ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error)
}

// Decision says what to do with lines in doubt.
type Decision string

const (
	Leave Decision = "leave" // leave them in doubt
	Send  Decision = "send"  // send them, possibly a second time
	Skip  Decision = "skip"  // give them up, possibly unsent
)

// Config says which lines to send, and where.
type Config struct {
	Bucket string
	Prefix string // of the objects
	// Backup means that the objects are those of a backup. Codes must be empty.
	Backup bool
	// MarkerPrefix is the prefix of the markers: <MarkerPrefix><stream>/<key of the error object>/<first line>.json. It
	// must be the same in all runs. Lines that were sent to one stream can still be sent to another.
	MarkerPrefix string
	Stream       streams.ID
	// Codes selects lines by error code; empty means all but those of records that are in data files, too
	// (record.PostgresFailed): whoever sends these again has them in the files twice.
	Codes []string
	// From (inclusive) and To (exclusive) select lines by the arrival time of the record. A zero value sets no bound.
	From, To time.Time
	InDoubt  Decision
	// DryRun counts lines without sending any.
	DryRun bool
	// Rate is the maximum number of records per second; 0 means only the limits of Kinesis apply.
	Rate int
	// Run is the unique id of this run.
	Run string
	Now func() time.Time // nil for time.Now
	Log *slog.Logger     // nil for none
}

// chunkLines is the maximum number of lines per marker, and so the number that one incident can leave in doubt. It is the
// limit of PutRecords (Amazon Kinesis Data Streams API Reference).
const chunkLines = 500

// chunkBytes ends a chunk before chunkLines: a chunk is held in memory.
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
	check(c.Bucket != "", "no bucket")
	check(c.Stream != "", "no stream to send to: name it with --stream")
	check(c.Run != "", "no run id")
	check(c.MarkerPrefix != "", "no prefix for markers")
	check(!c.Backup || len(c.Codes) == 0, "error codes %q: a backup has none", c.Codes)
	check(c.Rate >= 0, "rate %d: want 0 or more", c.Rate)
	check(slices.Contains([]Decision{Leave, Send, Skip}, c.InDoubt), "lines in doubt %q: want leave, send or skip", c.InDoubt)
	if len(faults) > 0 {
		return fmt.Errorf("redrive: %w", errors.Join(faults...))
	}
	return nil
}

// Run sends the selected lines. It reads the error objects that exist when it starts, so it does not resend records that
// fail again. An error means that it did not finish; it can be run again. When ctx ends, it finishes the call in progress
// and stops.
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

// line is a record that the run selects.
type line struct {
	number int // in its object, from 0
	record record.Record
	code   string // of its fault; backupCode for a line of a backup
}

// backupCode is the code under which the lines of a backup are counted.
const backupCode = "backup"

// object processes an error object chunk by chunk. Chunk boundaries depend only on lines and bytes, so every run has the
// same chunks, whichever lines it selects.
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

// parse decodes a line and reports whether the run selects it.
func (r *run) parse(key string, n int, text []byte) (line, bool) {
	if len(text) == 0 {
		return line{}, false
	}
	l, err := parseError(text)
	if r.Backup {
		l, err = parseBackup(text)
	}
	if err != nil {
		r.report.unreadable(key, n, err)
		return line{}, false
	}
	l.number = n
	if len(r.Codes) == 0 && l.record.Fault != nil && l.record.Fault.Type == record.PostgresFailed {
		r.report.InFiles++
		return line{}, false
	}
	if len(r.Codes) > 0 && !slices.Contains(r.Codes, l.code) ||
		l.record.Arrival.Before(r.From) || !r.To.IsZero() && !l.record.Arrival.Before(r.To) {
		return line{}, false
	}
	return l, true
}

func parseError(text []byte) (line, error) {
	e, err := record.ParseErrorLine(text)
	if err != nil {
		return line{}, err
	}
	return line{record: e.Record, code: e.Record.Fault.Code}, nil
}

// parseBackup gives an aggregate the hash key that leads to the shard of its first user record: producers send aggregates with
// one, which Kinesis does not return.
func parseBackup(text []byte) (line, error) {
	rec, err := record.ParseBackupLine(text)
	if err != nil {
		return line{}, err
	}
	if key, aggregate := rec.FirstHashKey(); aggregate {
		rec.ExplicitHashKey = key
	}
	return line{record: rec, code: backupCode}, nil
}

// chunk is a sequence of lines of an object.
type chunk struct {
	object, etag string
	first        int    // number of its first line
	count, bytes int    // of all its lines
	lines        []line // that the run selects
}

// chunk sends the lines of a chunk and updates its marker.
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
			found = true // another run was faster: its claims are not ours
			continue
		}
		if err != nil {
			return fmt.Errorf("claim lines from %d: %w", c.first, err)
		}
		done := r.sender.send(ctx, todo)
		return r.settle(ctx, m, c, todo, done)
	}
}

// plan selects the lines to send now and claims them in the marker. Lines that another run claimed but did not settle are
// in doubt.
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

// settle records the outcome of the claimed lines. Lines that certainly were not sent are released.
func (r *run) settle(ctx context.Context, m *marker, c chunk, todo []line, done outcome) error {
	m.Sending = nil
	m.Sent = m.Sent.union(done.sent)
	m.Doubt = m.Doubt.union(done.unknown)
	// Refusals are not recorded: the cause may be the stream, or a limit that is raised later.
	for _, refusal := range done.refused {
		r.report.Refused++
		r.report.problem(c.object, refusal.line, refusal.reason)
	}
	r.count(m, c, todo, done)
	// Record what was sent even if the run is about to end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWord)
	defer cancel()
	if err := r.save(ctx, m); err != nil {
		r.report.Doubt += int64(len(done.sent))
		err = fmt.Errorf("record that %d lines from %d were sent: %w; they are in doubt now", len(done.sent), c.first, err)
		return errors.Join(done.err, err)
	}
	if done.err == nil {
		r.Log.Info("lines sent", logkey.Key, c.object, logkey.Records, len(done.sent))
	}
	return done.err
}

// lastWord limits the time for final writes after the run is stopped.
const lastWord = 15 * time.Second

// count adds a chunk to the report.
func (r *run) count(m *marker, c chunk, todo []line, done outcome) {
	fresh := numbers(todo)
	for _, l := range c.lines {
		count := r.report.code(l.code)
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
