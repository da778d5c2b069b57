package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/layout"
)

const (
	// announceEvery is the time between two rounds, leadEvery that between two looks whether this worker is to do them.
	announceEvery = 30 * time.Second
	leadEvery     = time.Second
	// announceTimeout bounds a round, and lastAnnouncement the one before the daemon ends.
	announceTimeout  = 2 * time.Minute
	lastAnnouncement = 5 * time.Second
	// markersAtOnce bounds the markers of a round: the statement says in between how far they have got.
	markersAtOnce = 500
	// Every stream keeps a record for leastRetention, and none for longer than longestRetention (Amazon Kinesis Data Streams
	// Developer Guide, "Change the data retention period").
	leastRetention, longestRetention = 24 * time.Hour, 365 * 24 * time.Hour
)

// announcer tells readers of the bucket up to when the data is complete: it replaces an object with the application's statement,
// and puts a marker into each folder that is complete. One worker of the application does it, and several do no harm.
//
// A round reads the object, then the statement in the store, and replaces the object on condition that it is still as it was
// read. So the object never goes back, in whatever order workers write and requests arrive, except when positions were moved back,
// which takes the statement in the store back. Markers are written before the object says so. Whoever comes next writes
// those again that a crash left unsaid, and leaves none out.
type announcer struct {
	application, stream string
	key                 string // of the object
	marker              string // empty for none
	calendar            *prefix.Calendar
	store               checkpoint.Completeness
	bucket              board
	metrics             *metrics.Metrics
	log                 *slog.Logger

	// The fields below are owned by the goroutine of run.
	known   bool // the object was read, and written by nobody else since as far as this worker knows
	version string
	last    layout.Statement // the object's content

	mu     sync.Mutex
	status Announcement
}

// board is the part of a bucket that an announcer writes to.
type board interface {
	writers.Versions
	Put(ctx context.Context, spec writers.ObjectSpec, body []byte) error
}

// Announcement is what the bucket says.
type Announcement struct {
	Key     string    `json:"key"`
	UpTo    time.Time `json:"up_to,omitzero"` // as this worker wrote or read it last; zero if another worker announces
	Markers time.Time `json:"markers_up_to,omitzero"`
	Problem string    `json:"problem,omitempty"` // of the last round
}

// newAnnouncer returns nil unless the settings ask for one.
func newAnnouncer(cfg *Config, store checkpoint.Completeness, bucket board, m *metrics.Metrics, log *slog.Logger) (*announcer, error) {
	if cfg.CompletePrefix == "" {
		return nil, nil
	}
	a := &announcer{
		application: cfg.Application, stream: cfg.Stream, key: layout.StatementKey(cfg.CompletePrefix, cfg.Application), marker: cfg.CompleteMarker,
		store: store, bucket: bucket, metrics: m, log: log,
	}
	a.status.Key = a.key
	var err error
	if a.marker != "" {
		a.calendar, err = cfg.calendar()
	}
	return a, err
}

// run announces until ctx ends, and once more then. Lead reports whether this worker is to do it, and the table as it is.
// Finished reports whether the run of all workers is at its end: nobody will announce later what is left now.
func (a *announcer) run(ctx context.Context, lead func(context.Context) (bool, checkpoint.Snapshot, error), finished func() bool) {
	for backoff.Sleep(ctx, a.turn(ctx, announceTimeout, lead)) == nil {
	}
	ctx = context.WithoutCancel(ctx)
	if !finished() {
		a.turn(ctx, lastAnnouncement, lead)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	for a.turn(ctx, announceTimeout, lead) == 0 || a.shown().Problem != "" {
		if backoff.Sleep(ctx, leadEvery) != nil {
			return
		}
	}
}

// turn does a round if it is this worker's, and returns how long to wait for the next.
func (a *announcer) turn(ctx context.Context, timeout time.Duration, lead func(context.Context) (bool, checkpoint.Snapshot, error)) (wait time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	mine, snap, err := lead(ctx)
	if !mine {
		a.known = false
		a.note(false, nil)
		return leadEvery
	}
	var more bool
	if err == nil {
		more, err = a.round(ctx, snap)
	}
	if errors.Is(err, writers.ErrReplaced) { // by another worker, or by this one with its answer lost
		more, err = a.round(ctx, snap)
	}
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return announceEvery // the daemon ends
	}
	a.note(true, err)
	if more && err == nil {
		return 0
	}
	return announceEvery
}

// round announces what has become complete.
func (a *announcer) round(ctx context.Context, snap checkpoint.Snapshot) (more bool, err error) {
	if err := a.read(ctx); err != nil {
		return false, err
	}
	c, err := a.store.Complete(ctx)
	if err != nil {
		return false, fmt.Errorf("read the statement: %w", err)
	}
	next := a.last
	next.Application, next.Stream = a.application, a.stream
	if !next.CompleteUpTo.Equal(c.UpTo) {
		next.CompleteUpTo, next.At, next.Shards = c.UpTo, c.At, c.Shards
	}
	var unmarked error
	if a.marker != "" && !c.UpTo.IsZero() {
		more, unmarked = a.mark(ctx, &next, snap)
	}
	if next == a.last || a.version == "" && c.UpTo.IsZero() {
		return more, unmarked
	}
	return more, errors.Join(unmarked, a.write(ctx, next))
}

// read reads the object, unless its content is known.
func (a *announcer) read(ctx context.Context) error {
	if a.known {
		return nil
	}
	body, version, err := a.bucket.ReadVersion(ctx, a.key, layout.MaxStatement)
	if err != nil {
		return err
	}
	var s layout.Statement
	if version != "" {
		if s, err = layout.DecodeStatement(body, a.application); err != nil {
			return fmt.Errorf("object %s is not the statement of application %s: %w; move it away, or choose another COMPLETE_PREFIX", a.key, a.application, err)
		}
	}
	a.known, a.version, a.last = true, version, s
	return nil
}

func (a *announcer) write(ctx context.Context, s layout.Statement) error {
	body, err := s.Encode()
	if err != nil {
		return err
	}
	a.known = false // until there is an answer
	version, err := a.bucket.PutVersion(ctx, writers.ObjectSpec{Key: a.key, ContentType: "application/json"}, body, a.version)
	if err != nil {
		return err
	}
	a.known, a.version, a.last = true, version, s
	return nil
}

// mark puts a marker into each folder whose period has ended since the last time, in the order of their ends.
func (a *announcer) mark(ctx context.Context, s *layout.Statement, snap checkpoint.Snapshot) (more bool, err error) {
	start := string(snap.Application.Initial)
	if s.Marker != a.marker || s.Start != start { // with another start it is another application of the same name
		s.Marker, s.Start, s.MarkersFrom = a.marker, start, beginning(snap.Leases, s.At)
		s.MarkersUpTo = s.MarkersFrom
	}
	if s.MarkersUpTo.After(s.CompleteUpTo) { // positions were moved back
		s.MarkersUpTo = s.CompleteUpTo
	}
	written := 0
	for p := range a.calendar.Ended(s.MarkersUpTo, s.CompleteUpTo) {
		if p.Begin.Before(s.MarkersFrom) {
			continue
		}
		if written >= markersAtOnce {
			return true, nil
		}
		for _, folder := range p.Folders {
			key := layout.CompleteMarker(folder, a.marker)
			if err := a.bucket.Put(ctx, writers.ObjectSpec{Key: key}, nil); err != nil {
				return false, fmt.Errorf("mark folder %s as complete: %w", folder, err)
			}
			written++
		}
		s.MarkersUpTo = p.End
	}
	s.MarkersUpTo = s.CompleteUpTo
	return false, nil
}

// beginning returns the time from which on all records were read, as far as the leases show: where their reading began. A stream
// that is read from its oldest record has all of the last day. Where reading went on from a certain record, as after an import, it
// is not known when that arrived. A shard whose parent has a row began after it.
func beginning(leases []checkpoint.Lease, at time.Time) time.Time {
	rows := make(map[string]bool, len(leases))
	for _, l := range leases {
		rows[l.Shard] = true
	}
	var from time.Time
	for _, l := range leases {
		if slices.ContainsFunc(l.Parents, func(parent string) bool { return rows[parent] }) {
			continue
		}
		begin := at
		if t, ok := l.Begin.Timestamp(); ok {
			begin = t
		} else if l.Begin == checkpoint.TrimHorizon {
			begin = at.Add(-leastRetention)
		}
		if begin.After(from) {
			from = begin
		}
	}
	if oldest := at.Add(-longestRetention); from.Before(oldest) {
		return oldest
	}
	return from
}

// note keeps the result of a round for the status page, and logs changes.
func (a *announcer) note(mine bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.status.Problem
	a.status = Announcement{Key: a.key}
	if mine {
		a.status.UpTo, a.status.Markers = a.last.CompleteUpTo, a.last.MarkersUpTo
	}
	a.metrics.CompleteAnnounced.Set(seconds(a.status.UpTo))
	switch {
	case err != nil:
		a.status.Problem = err.Error()
		if before == "" {
			a.log.Warn("the bucket does not show up to when its data is complete; this is tried again", logkey.Key, a.key, logkey.Error, err.Error())
		}
	case before != "":
		a.log.Info("the bucket shows again up to when its data is complete", logkey.Key, a.key)
	}
}

// shown returns what the bucket says; nil if nothing is announced.
func (a *announcer) shown() *Announcement {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.status
	return &s
}

// seconds returns a time for a metric; 0 for none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
