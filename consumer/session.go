package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/batch"
	"aws-streaming-pipeline/consumer/kcl"
	"aws-streaming-pipeline/consumer/lease"
	"aws-streaming-pipeline/consumer/source"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/metrics"
)

// errDrained ends a session whose shard is handed over: everything read is committed.
var errDrained = errors.New("everything read is committed, the shard is handed over")

// shards drives the engine: it opens a session for each shard whose lease is held.
type shards struct {
	log      *slog.Logger
	metrics  *metrics.Metrics
	keeper   *lease.Keeper
	source   *source.Source
	pipeline *batch.Pipeline

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

	fetch source.Fetch // result of Next
	ended bool         // the shard's end was read and appended
	since time.Time    // arrival of the last record committed before the session; zero once a record was read

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

// Process appends the records from Next to the batch.
func (s *session) Process(ctx context.Context) error {
	if s.fetch.Tip {
		s.hold.ReachedTip(time.Now())
	}
	ctx, cancel := within(ctx, s.hold.Context())
	defer cancel()
	err := s.cursor.Append(ctx, batch.Intake{Records: s.fetch.Records, Last: s.fetch.Last, End: s.fetch.End})
	if err != nil {
		s.hold.Restart(err.Error())
		return fmt.Errorf("append records: %w", err)
	}
	s.ended = s.fetch.End
	return nil
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
