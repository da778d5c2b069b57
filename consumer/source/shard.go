package source

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
	"unsafe"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/record"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/logkey"
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
	decoder Decoder

	iterator *string // nil: to be opened, after last or else at from
	last     string  // sequence number of the last record read, or the position that was a sequence number

	count int // of records in the last answer

	called    time.Time // the last call
	notBefore time.Time // the next call
	paidAt    time.Time // when the bytes that were read are within the rate
	tipAt     time.Time // when a call last reached the tip; zero while we are behind

	failures int       // in a row
	troubled time.Time // when the first failure was that is worth a word; zero if all is well
	reminded time.Time // when it was logged last
}

// intake is what one call brought, with the memory that it takes up until it is released.
type intake struct {
	fetch   Fetch
	answer  answer
	records *slab[record.Record]
	held    int64 // bytes taken from the budget
}

// records are slices that have been read; shards that are idle hold small ones.
var records = slabs[record.Record]{least: 64}

const recordBytes = int(unsafe.Sizeof(record.Record{}))

// release gives back what the intake holds; its records are valid no more.
func (in *intake) release(b *budget.Budget) {
	in.answer.release()
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

// fetch calls until there is something to tell: records, the shard's end, or that its tip is reached. It returns nil
// when ctx has ended; and when it was to read ahead and the budget has no room to spare for that.
func (s *shardState) fetch(ctx context.Context, ahead bool) *intake {
	for sleepUntil(ctx, s.notBefore) {
		in := &intake{answer: answer{expect: s.count}}
		if !s.reserve(ctx, in, ahead) {
			return nil
		}
		err := s.call(ctx, in)
		if err == nil {
			s.recovered(ctx)
			s.take(in)
			if f := &in.fetch; f.Count > 0 || f.End || f.Tip {
				return in
			}
		}
		in.release(s.source.cfg.Budget) // after a failure, and for an empty stretch in the middle of the shard
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			s.failed(ctx, err)
		}
	}
	return nil
}

// call makes one call of GetRecords.
func (s *shardState) call(ctx context.Context, in *intake) error {
	ctx, cancel := context.WithTimeout(ctx, s.source.cfg.CallTimeout)
	defer cancel()
	if s.iterator == nil {
		if err := s.open(ctx); err != nil {
			return fmt.Errorf("open iterator of %s: %w", s.id, err)
		}
	}
	s.called = time.Now()
	s.notBefore = s.called.Add(s.source.cfg.MinInterval)
	format := s.source.format.request()
	_, err := s.source.client.GetRecords(ctx, &kinesis.GetRecordsInput{
		ShardIterator: s.iterator,
		StreamARN:     s.source.arn,
		Limit:         aws.Int32(int32(s.source.cfg.MaxRecords)),
	}, once, func(o *kinesis.Options) {
		o.Protocol = protocol{ClientProtocol: o.Protocol, request: format, into: &in.answer}
	})
	if err == nil && !in.answer.filled {
		err = errors.New("the client has read the answer by itself")
	}
	if err != nil {
		return fmt.Errorf("get records of %s: %w", s.id, err)
	}
	return nil
}

// once turns the SDK's retries off: this package is the layer that retries.
func once(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} }

// open asks for an iterator after the last record.
func (s *shardState) open(ctx context.Context) error {
	in := &kinesis.GetShardIteratorInput{
		ShardId: &s.id, StreamName: s.source.name, StreamARN: s.source.arn,
	}
	if t, ok := s.from.Timestamp(); s.last != "" {
		in.ShardIteratorType = types.ShardIteratorTypeAfterSequenceNumber
		in.StartingSequenceNumber = aws.String(s.last)
	} else if ok {
		in.ShardIteratorType = types.ShardIteratorTypeAtTimestamp
		in.Timestamp = &t
	} else if s.from == checkpoint.TrimHorizon {
		in.ShardIteratorType = types.ShardIteratorTypeTrimHorizon
	} else {
		return s.from.Validate()
	}
	out, err := s.source.client.GetShardIterator(ctx, in, once)
	if err != nil {
		return err
	}
	if out.ShardIterator == nil {
		return errors.New("the answer has no iterator")
	}
	s.iterator = out.ShardIterator
	return nil
}

// take turns an answer into a Fetch and moves on.
func (s *shardState) take(in *intake) {
	a, f := &in.answer, &in.fetch
	// Kinesis documents MillisBehindLatest as optional.
	*f = Fetch{
		Behind: time.Duration(a.behind) * time.Millisecond, Tip: a.behind == 0, End: a.next == "", Children: a.children,
	}
	in.records = records.get(len(a.entries.s))
	taken := in.records.s
	charged, repeated, made := 0, 0, 0
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
		f.Bytes += len(raw.Data)
		n := len(taken)
		taken = s.decode(taken, raw)
		made += inflated(taken[n:], len(raw.Data))
	}
	s.count = len(a.entries.s)
	a.free()
	in.records.s, f.Records = taken, taken
	if f.Count > 0 {
		s.last = strings.Clone(last) // it outlives the answer
		f.Last = s.last
	}
	s.iterator = nil
	if !f.End {
		s.iterator = aws.String(a.next)
	}
	s.settle(in, int64(a.memory()+cap(taken)*recordBytes+made))
	s.pace(charged, f.Tip)
	s.source.metrics.BehindLatest.WithLabelValues(s.id).Set(f.Behind.Seconds())
	s.source.metrics.LastRead.WithLabelValues(s.id).SetToCurrentTime()
	if repeated > 0 {
		s.source.metrics.RecordsRepeated.Add(float64(repeated))
		s.source.log.Warn("records came twice and were dropped",
			logkey.Shard, s.id, logkey.Count, repeated, logkey.Sequence, s.last)
	}
}

// inflated tells how many bytes records have that can not lie in the payload they came out of.
func inflated(records []record.Record, payload int) int {
	sum := 0
	for i := range records {
		sum += len(records[i].Data)
	}
	return max(0, sum-payload)
}

func (s *shardState) decode(records []record.Record, raw record.Record) []record.Record {
	n := len(records)
	records = s.decoder.Append(records, raw)
	for i := n; i < len(records); i++ {
		if corruptAggregate(&records[i]) {
			s.source.metrics.AggregateFault.Inc()
		}
	}
	return records
}

func corruptAggregate(r *record.Record) bool {
	return r.Fault != nil && (r.Fault.Code == record.CodeAggregateCorrupt || r.Fault.Code == record.CodeAggregateTooManyRecords)
}

// pace sets the time of the next call after an answer of some bytes. Each answer takes its time at the rate of
// reading, and nothing is saved up while less is read: that is how an answer of 10 MB forbids calls for 5 s
// ("Quotas and limits" of Kinesis Data Streams). The time counts from the call: the way to the service and back lies
// between any two calls alike.
func (s *shardState) pace(bytes int, tip bool) {
	cost := time.Duration(float64(bytes) / float64(s.source.cfg.BytesPerSecond) * float64(time.Second))
	s.paidAt = later(s.paidAt, s.called).Add(cost)
	s.notBefore = later(s.notBefore, s.paidAt)
	s.tipAt = time.Time{}
	if tip {
		s.tipAt = time.Now()
		s.notBefore = later(s.notBefore, s.tipAt.Add(s.source.cfg.Idle))
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// failed decides what follows after a call failed, and says so.
func (s *shardState) failed(ctx context.Context, err error) {
	if s.source.format.refused(err) {
		s.source.metrics.GetRecords.WithLabelValues(resultError).Inc()
		s.source.log.WarnContext(ctx, "Kinesis does not speak CBOR here: reading goes on in JSON", logkey.Shard, s.id, logkey.Error, err)
		return
	}
	f := classify(err)
	s.source.metrics.GetRecords.WithLabelValues(f.result).Inc()
	if f.reopen {
		s.iterator = nil
	}
	s.failures++
	if f.result == resultExpired && s.failures == 1 {
		return // to be expected after a long wait, and cured by the next call
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
	s.source.metrics.GetRecords.WithLabelValues(resultOK).Inc()
	if s.source.format.request() == wireCBOR {
		s.source.format.works.Store(true)
	}
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

// delay is the wait after the nth failure in a row: it doubles up to a bound, less up to a half by chance, so that
// shards that failed together do not call together.
func delay(n int) time.Duration {
	d := lastDelay
	if n <= 6 {
		d = min(d, firstDelay<<(n-1))
	}
	return d - rand.N(d/2)
}

// Memory that an answer takes up while it is received, as bounds: what a record has around its payload and key, in the
// body and in the list of records, and what a payload is longer in base64.
const (
	cborRecord = float64(200 + entryBytes + recordBytes)
	jsonRecord = float64(220 + entryBytes + recordBytes)
)

// reserve waits until the budget has room for the largest answer that the next call can bring. To read ahead it does
// not wait, and takes no room but what is to spare. It returns false if nothing was reserved.
func (s *shardState) reserve(ctx context.Context, in *intake, ahead bool) bool {
	b := s.source.cfg.Budget
	if b == nil {
		return true
	}
	n := s.estimate(time.Now())
	if ahead {
		if !b.AcquireSpare(n) {
			return false
		}
	} else if b.Acquire(ctx, n) != nil {
		return false
	}
	in.held = n
	return true
}

// estimate bounds the memory of the next answer. At the tip that is what producers can have written since then, with a
// second to spare; elsewhere it is Kinesis's limit.
func (s *shardState) estimate(now time.Time) int64 {
	bytes, count := float64(MaxAnswerBytes), float64(s.source.cfg.MaxRecords)
	if !s.tipAt.IsZero() {
		seconds := now.Sub(s.tipAt).Seconds() + 1
		bytes = min(bytes, seconds*writeBytesPerSecond)
		count = min(count, seconds*writeRecordsPerSecond)
	}
	if s.source.format.request() == wireJSON {
		return int64(bytes*4/3 + count*jsonRecord)
	}
	return int64(bytes + count*cborRecord)
}

// settle puts what was read in place of what was reserved.
func (s *shardState) settle(in *intake, n int64) {
	b := s.source.cfg.Budget
	if b == nil {
		return
	}
	if n > in.held {
		b.Add(budget.Received, n-in.held)
	} else {
		b.Release(budget.Received, in.held-n)
	}
	in.held = n
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
