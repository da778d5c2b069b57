package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/batch"
	"aws-streaming-pipeline/consumer/kcl"
	"aws-streaming-pipeline/consumer/lease"
	"aws-streaming-pipeline/consumer/source"
	"aws-streaming-pipeline/consumer/transform"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/record"
)

// errDrained ends a session whose shard is handed over: everything read is committed.
var errDrained = errors.New("everything read is committed, the shard is handed over")

// errPassed ends a session whose shard has passed STOP_POSITION: everything before it is committed.
var errPassed = errors.New("everything before the stop position is committed")

// shards drives the engine: it opens a session for each shard whose lease is held.
type shards struct {
	log      *slog.Logger
	metrics  *metrics.Metrics
	keeper   *lease.Keeper
	source   *source.Source
	pipeline *batch.Pipeline
	stage    transform.Stage // nil without a transform
	budget   *budget.Budget

	gaps   atomic.Int64 // times that records may have been lost to the retention time
	ticked atomic.Int64 // when the engine last called Shards, in Unix nanoseconds; 0 before the first call

	mu   sync.Mutex
	open map[string]*session
}

// Shards returns the shards that this worker holds.
func (s *shards) Shards() []string {
	s.ticked.Store(time.Now().UnixNano())
	return s.keeper.Shards()
}

// stalled returns how long the engine's loop has been stuck.
func (s *shards) stalled() time.Duration {
	last := s.ticked.Load()
	if last == 0 {
		return 0
	}
	return time.Since(time.Unix(0, last))
}

// Open starts reading a shard after its checkpoint.
func (s *shards) Open(shard string) (kcl.Session, bool) {
	hold, ok := s.keeper.Take(shard)
	if !ok {
		return nil, false
	}
	ss := &session{
		shards: s,
		hold:   hold,
		reader: s.source.Open(shard, hold.Lease().Checkpoint),
		cursor: s.pipeline.Open(hold),
		since:  hold.Lease().Arrival,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[shard] = ss
	return ss, true
}

// behind returns how far reading lags behind the tip of each open shard.
func (s *shards) behind() map[string]time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	lag := make(map[string]time.Duration, len(s.open))
	for shard, ss := range s.open {
		lag[shard] = ss.lag()
	}
	return lag
}

// checkpoint returns a shard's checkpoint as this worker knows it: from the open session, or from the last scan.
func (s *shards) checkpoint(shard string) checkpoint.Position {
	s.mu.Lock()
	ss := s.open[shard]
	s.mu.Unlock()
	if ss != nil {
		return ss.hold.Lease().Checkpoint
	}
	for _, l := range s.keeper.Snapshot().Leases {
		if l.Shard == shard {
			return l.Checkpoint
		}
	}
	return ""
}

// session reads one shard from the acquisition of its lease to the release.
type session struct {
	shards *shards
	hold   *lease.Hold
	reader *source.Reader
	cursor *batch.Cursor

	fetch  source.Fetch // result of Next
	ended  bool         // the shard's end was read and appended
	passed bool         // everything before the stop position was read and appended
	since  time.Time    // arrival of the last record committed before the session; zero once a record was read

	mu     sync.Mutex
	behind time.Duration
}

// Next fetches the next records. When the shard is to be handed over or has ended, it stops reading and waits for the
// commit.
func (s *session) Next(ctx context.Context) error {
	select {
	case <-s.hold.Draining():
		return s.finish(ctx, errDrained)
	default:
	}
	if s.ended {
		return s.finish(ctx, kcl.ErrShardEnd)
	}
	if s.passed {
		return s.pass(ctx)
	}
	ctx, cancel := within(ctx, s.hold.Context())
	defer cancel()
	var err error
	s.fetch, err = s.reader.Next(ctx)
	if err != nil {
		return context.Cause(ctx)
	}
	s.note(s.fetch.Behind)
	s.checkRetention()
	return nil
}

// checkRetention looks for a gap between the last committed record and the first one read. A gap longer than the retention
// time means that the stream may have dropped unread records in between; Kinesis does not report that. Reading continues:
// stopping would only lose more.
func (s *session) checkRetention() {
	first := s.fetch.FirstArrival
	if s.since.IsZero() || first.IsZero() {
		return
	}
	retention := s.shards.keeper.Snapshot().Stream.Retention
	if gap := first.Sub(s.since); retention > 0 && gap > retention {
		s.shards.gaps.Add(1)
		s.shards.metrics.RetentionGaps.Inc()
		s.shards.log.Error("records may have been lost to the retention time", logkey.Shard, s.hold.Lease().Shard,
			"last_committed_arrival", s.since, "first_arrival_read", first, "retention", retention.String())
	}
	s.since = time.Time{}
}

// finish waits until everything appended is committed.
func (s *session) finish(ctx context.Context, done error) error {
	s.reader.Close() // records read ahead would hold memory that others wait for
	ctx, cancel := within(ctx, s.hold.Context())
	defer cancel()
	err := s.cursor.Drain(ctx)
	// The commit of a shard's end ends the hold, and with it the context.
	if err == nil || s.cursor.Drained() {
		return done
	}
	return err
}

// pass waits until everything appended is committed, and notes that the shard has passed the stop position.
func (s *session) pass(ctx context.Context) error {
	err := s.finish(ctx, errPassed)
	if !errors.Is(err, errPassed) {
		return err
	}
	if stopErr := s.hold.Stop(ctx); stopErr != nil {
		return stopErr
	}
	return err
}

// Process appends the records from Next to the batch.
func (s *session) Process(ctx context.Context) error {
	if s.fetch.Tip {
		s.hold.ReachedTip(time.Now())
	}
	ctx, cancel := within(ctx, s.hold.Context())
	defer cancel()
	in := batch.Intake{
		Records: s.fetch.Records, Raw: s.fetch.Raw, Last: s.fetch.Last, Bytes: s.fetch.Bytes,
		FirstArrival: s.fetch.FirstArrival, LastArrival: s.fetch.LastArrival, End: s.fetch.End,
	}
	s.shards.metrics.Balance.Read(len(in.Records))
	if s.shards.stage != nil && len(in.Records) > 0 {
		records, release, err := s.transform(ctx)
		if errors.Is(err, errHandedOver) {
			return nil // Next commits what came before; whoever reads the shard next begins there
		}
		if err != nil {
			s.hold.Restart(err.Error())
			return fmt.Errorf("transform records: %w", err)
		}
		defer release()
		in.Records = records
	}
	if err := s.cursor.Append(ctx, in); err != nil {
		s.hold.Restart(err.Error())
		return fmt.Errorf("append records: %w", err)
	}
	s.hold.CaughtUp(s.cursor.Position(), s.fetch.AsOf)
	s.ended, s.passed = s.fetch.End, s.fetch.Stop
	return nil
}

// errHandedOver ends a transform that is under way when its shard is to be handed over: it may take long, and what it
// works on is not appended yet.
var errHandedOver = errors.New("the shard is handed over")

// transform returns what is to be delivered of the fetch. The memory that it takes up is accounted for until release.
func (s *session) transform(ctx context.Context) (records []record.Record, release func(), err error) {
	balance, got := s.shards.metrics.Balance, len(s.fetch.Records)
	defer func() {
		if release == nil { // an error, or a panic that the caller recovers from
			balance.Returned(int64(got))
		}
	}()
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-s.hold.Draining():
			cancel(errHandedOver)
		case <-ctx.Done():
		}
	})
	defer watching.Wait()
	defer cancel(nil)
	out, err := s.shards.stage.Apply(ctx, s.hold.Lease().Shard, s.fetch.Records)
	if err != nil {
		return nil, nil, cmp.Or(context.Cause(ctx), err)
	}
	balance.Transformed(out.Dropped, out.Added, got, len(out.Records))
	held := out.Bytes + int64(cap(out.Records))*int64(unsafe.Sizeof(record.Record{}))
	s.shards.budget.Add(budget.Received, held) // what was received is processed to the end, so it does not wait
	return out.Records, func() { s.shards.budget.Release(budget.Received, held) }, nil
}

// Close releases the shard to the next owner of its lease.
func (s *session) Close() {
	s.reader.Close()
	if !s.cursor.Drained() {
		s.cursor.Lost(errors.New("reading has ended"))
	}
	s.cursor.Close()
	s.shards.mu.Lock()
	delete(s.shards.open, s.hold.Lease().Shard)
	s.shards.mu.Unlock()
	s.hold.Release(context.Background())
}

func (s *session) note(behind time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind = behind
}

func (s *session) lag() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behind
}

// within returns a copy of ctx that also ends with other, and with other's cause.
func within(ctx, other context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(other, func() { cancel(context.Cause(other)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}
