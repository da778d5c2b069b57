package source

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"
	"unsafe"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/record"
)

const (
	firstDelay = 200 * time.Millisecond // after the first failure; doubles with each further one
	lastDelay  = 10 * time.Second
	// remindEvery is how often a failure that lasts is logged.
	remindEvery = time.Minute
)

// shardState is where a reader stands in its shard.
type shardState struct {
	source  *Source
	id      string
	from    checkpoint.Position
	decoder Decoder // nil before the first read
	way     way

	last  string // sequence number of the last record read, or the position that was a sequence number
	count int    // of records in the last answer

	notBefore time.Time // the next try
	failures  int       // in a row
	troubled  time.Time // when the first failure was that is worth a word; zero if all is well
	reminded  time.Time // when it was logged last
}

// way is how records come out of Kinesis: a poll asks for them, a push is sent them.
type way interface {
	// read waits for what comes next, takes room for it from the budget, and has the shard take it in. To read ahead it
	// takes no room but what is to spare, and returns errNoRoom where that is too little.
	read(ctx context.Context, in *intake, ahead bool) error
	// failed counts an error of read and says what it means. If it is no trouble yet, quiet is true.
	failed(ctx context.Context, err error) (f failure, quiet bool)
	// worked counts a read without an error.
	worked()
	// close ends what is open.
	close()
}

// errNoRoom tells that reading ahead would take room that others need, or that the context has ended while room was
// waited for.
var errNoRoom = errors.New("the memory budget has no room to spare")

// intake is what one fetch brought, with the memory that it takes up until it is released.
type intake struct {
	fetch   Fetch
	answers []*answer
	records *slab[record.Record]
	held    int64 // bytes taken from the budget
	apart   int   // bytes of records that do not lie in an answer
}

// records are slices that have been read; shards that are idle hold small ones.
var records = slabs[record.Record]{least: 64}

const recordBytes = int(unsafe.Sizeof(record.Record{}))

// answer adds an empty answer.
func (in *intake) answer(expect int) *answer {
	a := &answer{expect: expect}
	in.answers = append(in.answers, a)
	return a
}

// drop takes back the answer that was added last.
func (in *intake) drop() {
	last := len(in.answers) - 1
	in.answers[last].release()
	in.answers = in.answers[:last]
}

// memory is what the intake takes up.
func (in *intake) memory() int64 {
	n := in.apart
	for _, a := range in.answers {
		n += a.memory()
	}
	if in.records != nil {
		n += cap(in.records.s) * recordBytes
	}
	return int64(n)
}

// release gives back what the intake holds; its records are valid no more.
func (in *intake) release(b *budget.Budget) {
	for _, a := range in.answers {
		a.release()
	}
	in.answers = nil
	if in.records != nil {
		clear(in.records.s)
		records.put(in.records)
		in.records = nil
	}
	if in.held > 0 {
		b.Release(budget.Received, in.held)
		in.held = 0
	}
}

// reserve waits until the budget has room for n more bytes. To read ahead it does not wait, and takes no room but what
// is to spare. It returns false if nothing was reserved.
func (in *intake) reserve(ctx context.Context, b *budget.Budget, n int64, ahead bool) bool {
	switch {
	case b == nil:
		return true
	case ahead && !b.AcquireSpare(n):
		return false
	case !ahead && b.Acquire(ctx, n) != nil:
		return false
	}
	in.held += n
	return true
}

// settle puts what was read in place of what was reserved.
func (in *intake) settle(b *budget.Budget) {
	if b == nil {
		return
	}
	n := in.memory()
	if n > in.held {
		b.Add(budget.Received, n-in.held)
	} else {
		b.Release(budget.Received, in.held-n)
	}
	in.held = n
}

// fetch reads until there is something to tell: records, the shard's end, or that its tip is reached. It returns nil
// when ctx has ended; and when it was to read ahead and the budget has no room to spare for that.
func (s *shardState) fetch(ctx context.Context, ahead bool) *intake {
	for sleepUntil(ctx, s.notBefore) {
		in := &intake{}
		err := s.prepare()
		if err == nil {
			err = s.way.read(ctx, in, ahead)
		}
		if err == nil {
			s.recovered(ctx)
			if f := &in.fetch; f.Count > 0 || f.End || f.Tip {
				return in
			}
		}
		in.release(s.source.cfg.Budget) // after a failure, and for an empty stretch in the middle of the shard
		if ctx.Err() != nil || errors.Is(err, errNoRoom) {
			return nil
		}
		if err != nil {
			s.failed(ctx, err)
		}
	}
	return nil
}

// prepare makes the decoder.
func (s *shardState) prepare() error {
	if s.decoder != nil {
		return nil
	}
	decoder, err := s.source.cfg.Decoder(s.id)
	if err != nil {
		return err
	}
	s.decoder = decoder
	return nil
}

// take adds the records of an answer to an intake and moves on. It returns the bytes that Kinesis counts as read. The
// shard has ended if the answer says so without a doubt, by its children (see GetRecords in the API reference of Kinesis):
// an end cannot be taken back. The only error is ctx's, and ends the reading of the shard.
func (s *shardState) take(ctx context.Context, in *intake, a *answer) (charged int, err error) {
	f := &in.fetch
	// Kinesis documents MillisBehindLatest as optional.
	f.Behind, f.Tip = time.Duration(a.behind)*time.Millisecond, a.behind == 0
	f.End, f.Children = a.next == "" && len(a.children) > 0, a.children
	if in.records == nil {
		in.records = records.get(len(a.entries.s))
	}
	taken := in.records.s
	count, repeated := 0, 0
	last := s.last
	for i := range a.entries.s {
		raw := a.record(&a.entries.s[i])
		charged += len(raw.Data) + len(raw.PartitionKey)
		if last != "" && record.CompareSequence(raw.SequenceNumber, last) <= 0 {
			repeated++
			continue
		}
		last = raw.SequenceNumber
		if f.Count == 0 {
			f.FirstArrival = raw.Arrival
		}
		f.LastArrival = raw.Arrival
		f.Count++
		count++
		f.Bytes += len(raw.Data)
		n := len(taken)
		taken, err = s.decode(ctx, taken, raw)
		if err != nil {
			return charged, err
		}
		in.apart += inflated(taken[n:], len(raw.Data))
	}
	s.count = len(a.entries.s)
	a.free()
	in.records.s, f.Records = taken, taken
	if count > 0 {
		s.last = strings.Clone(last) // it outlives the answer
		f.Last = s.last
	}
	in.settle(s.source.cfg.Budget)
	s.source.metrics.BehindLatest.WithLabelValues(s.id).Set(f.Behind.Seconds())
	s.source.metrics.LastRead.WithLabelValues(s.id).SetToCurrentTime()
	if repeated > 0 {
		s.source.metrics.RecordsRepeated.Add(float64(repeated))
		s.source.log.Warn("records came twice and were dropped",
			logkey.Shard, s.id, logkey.Count, repeated, logkey.Sequence, s.last)
	}
	return charged, nil
}

// inflated tells how many bytes records have that can not lie in the payload they came out of.
func inflated(records []record.Record, payload int) int {
	sum := 0
	for i := range records {
		sum += len(records[i].Data)
	}
	return max(0, sum-payload)
}

func (s *shardState) decode(ctx context.Context, records []record.Record, raw record.Record) ([]record.Record, error) {
	n := len(records)
	records, err := s.decoder.Append(ctx, records, raw)
	for i := n; i < len(records); i++ {
		if corruptAggregate(&records[i]) {
			s.source.metrics.AggregateFault.Inc()
		}
	}
	return records, err
}

func corruptAggregate(r *record.Record) bool {
	return r.Fault != nil && (r.Fault.Code == record.CodeAggregateCorrupt || r.Fault.Code == record.CodeAggregateTooManyRecords)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// failed decides what follows after a read failed, and says so.
func (s *shardState) failed(ctx context.Context, err error) {
	s.failures++
	f, quiet := s.way.failed(ctx, err)
	if quiet {
		return
	}
	now := time.Now()
	s.notBefore = later(s.notBefore, now.Add(delay(s.failures)))
	if s.troubled.IsZero() {
		s.troubled = now
	}
	if s.source.cfg.Trouble != nil {
		s.source.cfg.Trouble(s.id, err)
	}
	if now.Sub(s.reminded) >= remindEvery {
		s.reminded = now
		s.source.log.Log(ctx, f.level, "reading failed and is tried again",
			logkey.Shard, s.id, logkey.Attempt, s.failures, logkey.Error, err)
	}
}

// recovered ends what failed began.
func (s *shardState) recovered(ctx context.Context) {
	s.way.worked()
	attempts := s.failures
	s.failures = 0
	if s.troubled.IsZero() {
		return
	}
	s.source.log.InfoContext(ctx, "reading works again",
		logkey.Shard, s.id, logkey.Attempt, attempts, logkey.Took, time.Since(s.troubled))
	s.troubled, s.reminded = time.Time{}, time.Time{}
	if s.source.cfg.Trouble != nil {
		s.source.cfg.Trouble(s.id, nil)
	}
}

// forgotten ends what failed began if the shard is not read here any more: nobody would say that it works again.
func (s *shardState) forgotten() {
	if !s.troubled.IsZero() && s.source.cfg.Trouble != nil {
		s.source.cfg.Trouble(s.id, nil)
	}
	s.troubled = time.Time{}
}

// delay is the wait after the nth failure in a row: it doubles up to a bound, less up to a half by chance, so that
// shards that failed together do not call together.
func delay(n int) time.Duration {
	d := lastDelay
	if n <= 6 {
		d = min(d, firstDelay<<(n-1))
	}
	return d - rand.N(d/2)
}

// sleepUntil waits for a time and tells whether ctx is still alive.
func sleepUntil(ctx context.Context, t time.Time) bool {
	d := time.Until(t)
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
