package source

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

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
	last     string  // sequence number of the last record returned, or the position that was a sequence number
	ended    bool

	notBefore time.Time // the next call
	paidAt    time.Time // when the bytes that were read are within the rate
	tipAt     time.Time // when a call last reached the tip; zero while we are behind

	failures int       // in a row
	troubled time.Time // when the first failure was that is worth a word; zero if all is well
	reminded time.Time // when it was logged last

	records *[]record.Record
	held    int64 // bytes taken from the budget
}

// fetch calls until there is something to tell: records, the shard's end, or that its tip is reached. It returns false
// when ctx has ended.
func (s *shardState) fetch(ctx context.Context) (Fetch, bool) {
	for {
		if !sleepUntil(ctx, s.notBefore) {
			return Fetch{}, false
		}
		out, err := s.call(ctx)
		if ctx.Err() != nil {
			return Fetch{}, false
		}
		if err != nil {
			s.free()
			s.failed(ctx, err)
			continue
		}
		s.recovered(ctx)
		f := s.take(out)
		if f.Count > 0 || f.End || f.Tip {
			return f, true
		}
		s.free() // an empty stretch in the middle of the shard
	}
}

// call makes one call of GetRecords, with room for its answer.
func (s *shardState) call(ctx context.Context) (*kinesis.GetRecordsOutput, error) {
	if err := s.reserve(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.source.cfg.CallTimeout)
	defer cancel()
	if s.iterator == nil {
		if err := s.open(ctx); err != nil {
			return nil, fmt.Errorf("open iterator of %s: %w", s.id, err)
		}
	}
	s.notBefore = time.Now().Add(s.source.cfg.MinInterval)
	out, err := s.source.client.GetRecords(ctx, &kinesis.GetRecordsInput{
		ShardIterator: s.iterator,
		StreamARN:     s.source.arn,
		Limit:         aws.Int32(int32(s.source.cfg.MaxRecords)),
	}, once)
	if err != nil {
		return nil, fmt.Errorf("get records of %s: %w", s.id, err)
	}
	return out, nil
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
func (s *shardState) take(out *kinesis.GetRecordsOutput) Fetch {
	now := time.Now()
	f := Fetch{
		// Kinesis documents MillisBehindLatest as optional.
		Behind: time.Duration(aws.ToInt64(out.MillisBehindLatest)) * time.Millisecond,
		End:    out.NextShardIterator == nil,
	}
	f.Tip = f.Behind == 0
	s.records = s.source.records.Get().(*[]record.Record)
	records := (*s.records)[:0]
	charged, repeated := 0, 0
	for i := range out.Records {
		in := &out.Records[i]
		charged += len(in.Data) + len(aws.ToString(in.PartitionKey))
		sequence := aws.ToString(in.SequenceNumber)
		if s.last != "" && record.CompareSequence(sequence, s.last) <= 0 {
			repeated++
			continue
		}
		s.last = sequence
		arrival := aws.ToTime(in.ApproximateArrivalTimestamp)
		if f.Count == 0 {
			f.FirstArrival = arrival
		}
		f.LastArrival, f.Last = arrival, sequence
		f.Count++
		f.Bytes += len(in.Data)
		records = s.decode(records, record.Record{
			SequenceNumber: sequence, PartitionKey: aws.ToString(in.PartitionKey), Arrival: arrival, Data: in.Data,
		})
	}
	*s.records, f.Records = records, records
	s.iterator, s.ended = out.NextShardIterator, f.End
	for _, c := range out.ChildShards {
		f.Children = append(f.Children, aws.ToString(c.ShardId))
	}
	s.settle(int64(charged + len(records)*recordMemory))
	s.pace(now, charged, f.Tip)
	s.count(&f, repeated)
	return f
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

func (s *shardState) count(f *Fetch, repeated int) {
	m := s.source.metrics
	m.RecordsRead.WithLabelValues(s.id).Add(float64(f.Count))
	m.BytesRead.WithLabelValues(s.id).Add(float64(f.Bytes))
	m.BehindLatest.WithLabelValues(s.id).Set(f.Behind.Seconds())
	m.LastRead.WithLabelValues(s.id).SetToCurrentTime()
	if repeated == 0 {
		return
	}
	m.RecordsRepeated.Add(float64(repeated))
	s.source.log.Warn("records came twice and were dropped",
		logkey.Shard, s.id, logkey.Count, repeated, logkey.Sequence, s.last)
}

// pace sets the time of the next call after an answer of some bytes. Each answer takes its time at the rate of
// reading, and nothing is saved up while less is read: that is how an answer of 10 MB forbids calls for 5 s
// ("Quotas and limits" of Kinesis Data Streams).
func (s *shardState) pace(now time.Time, bytes int, tip bool) {
	cost := time.Duration(float64(bytes) / float64(s.source.cfg.BytesPerSecond) * float64(time.Second))
	s.paidAt = later(s.paidAt, now).Add(cost)
	s.notBefore = later(s.notBefore, s.paidAt)
	s.tipAt = time.Time{}
	if tip {
		s.tipAt = now
		s.notBefore = later(s.notBefore, now.Add(s.source.cfg.Idle))
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

const (
	// decoding is the memory that an answer takes up while the SDK decodes it, in percent of its payload: the body, a
	// third longer in base64, beside the payload taken out of it.
	decoding = 235
	// recordMemory is what a record takes up besides its payload: its struct, its strings, the SDK's record.
	recordMemory = 350
)

// reserve waits until the budget has room for the largest answer that the next call can bring.
func (s *shardState) reserve(ctx context.Context) error {
	b := s.source.cfg.Budget
	if b == nil {
		return nil
	}
	n := s.estimate(time.Now()) * decoding / 100
	if err := b.Acquire(ctx, n); err != nil {
		return err
	}
	s.held = n
	return nil
}

// estimate bounds the next answer in bytes. At the tip that is what producers can have written since then, with a
// second to spare; elsewhere it is Kinesis's limit.
func (s *shardState) estimate(now time.Time) int64 {
	if s.tipAt.IsZero() {
		return MaxAnswerBytes
	}
	seconds := now.Sub(s.tipAt).Seconds() + 1
	return min(MaxAnswerBytes, int64(seconds*writeBytesPerSecond))
}

// settle puts what was read in place of what was reserved.
func (s *shardState) settle(n int64) {
	b := s.source.cfg.Budget
	if b == nil {
		return
	}
	if n > s.held {
		b.Add(budget.Received, n-s.held)
	} else {
		b.Release(budget.Received, s.held-n)
	}
	s.held = n
}

// free gives back what the last Fetch held.
func (s *shardState) free() {
	if s.held > 0 {
		s.source.cfg.Budget.Release(budget.Received, s.held)
		s.held = 0
	}
	if s.records != nil {
		clear(*s.records)
		s.source.records.Put(s.records)
		s.records = nil
	}
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
