package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"aws-streaming-pipeline/consumer/lease"
	"aws-streaming-pipeline/consumer/shardmap"
	"aws-streaming-pipeline/internal/logkey"
)

// Errors of Run with STOP_POSITION.
var (
	// ErrInterrupted means that the daemon was stopped before everything was delivered. The next start goes on.
	ErrInterrupted = errors.New("stopped before everything up to STOP_POSITION was delivered; the next start goes on")
	// ErrIncomplete means that everything is delivered that the stream still had, but records before STOP_POSITION may
	// have reached the retention time before they were read. Another start does not bring them back.
	ErrIncomplete = errors.New("everything up to STOP_POSITION is delivered, but for records that the stream no longer had")
)

// StopStatus is how far a daemon with STOP_POSITION is.
type StopStatus struct {
	At     time.Time `json:"at"`
	Passed int       `json:"passed"` // shards of which everything before At is committed
	Shards int       `json:"shards"` // shards known to be part of the run; if the worker follows and nobody has looked, only its own
}

func (d *Daemon) stopStatus(rows []lease.RowStatus) *StopStatus {
	if d.cfg.StopPosition.Time.IsZero() {
		return nil
	}
	s := &StopStatus{At: d.cfg.StopPosition.Time}
	for _, l := range rows {
		s.Shards++
		if l.State == lease.Ended || l.State == lease.Stopped {
			s.Passed++
		}
	}
	return s
}

// checkRange refuses a run with STOP_POSITION that could not deliver what it is to deliver: records of it have reached the
// retention time, the application has begun elsewhere, or the end would not be noticed. It does so before anything is written.
func (d *Daemon) checkRange(ctx context.Context) error {
	if d.cfg.StopPosition.Time.IsZero() {
		return nil
	}
	var refused error
	err := d.patience.Await(ctx, "look at the stream and the lease table", d.cfg.AboutStream(d.region), func() error {
		about, err := d.stream.Describe(ctx)
		if err != nil {
			return err
		}
		snap, err := d.store.Scan(ctx)
		if err != nil {
			return err
		}
		switch {
		case about.ServerTime.IsZero():
			refused = fmt.Errorf("STOP_POSITION=%q: the service's answer for stream %s has no date, by which a shard without later records is known to have passed it",
				d.cfg.StopPosition.Time.Format(time.RFC3339), about.Name)
		case snap.Application.Application == "":
			refused = d.cfg.checkRetention(about)
		default:
			refused = d.cfg.checkBeginning(string(snap.Application.Initial))
		}
		return nil
	})
	return errors.Join(err, refused)
}

// checkRetention checks that the stream still has the records between START_POSITION and STOP_POSITION.
func (c *Config) checkRetention(about shardmap.Stream) error {
	oldest := about.ServerTime.Add(-about.Retention)
	if about.Retention == 0 || !about.Created.Before(oldest) {
		return nil
	}
	has := fmt.Sprintf("stream %s keeps records for %v and has none from before %s", about.Name, about.Retention, oldest.Format(time.RFC3339))
	start, stop := c.StartPosition.Time, c.StopPosition.Time
	switch {
	case !start.IsZero() && start.Before(oldest):
		return fmt.Errorf("START_POSITION=%q: %s: want a later time, or TRIM_HORIZON for what is left", start.Format(time.RFC3339), has)
	case !stop.After(oldest):
		return fmt.Errorf("STOP_POSITION=%q: %s: want a later time", stop.Format(time.RFC3339), has)
	}
	return nil
}

// checkBeginning checks that the application began where START_POSITION says: after its first start it goes on from its
// checkpoints, wherever those are.
func (c *Config) checkBeginning(initial string) error {
	if want := c.StartPosition.Position(); want != lease.Latest && string(want) != initial {
		return fmt.Errorf("START_POSITION: application %s began at %s and goes on from its checkpoints, not at %s: want the same, or an APPLICATION_NAME of its own for this run",
			c.Application, initial, want)
	}
	return nil
}

// outcome is what Run returns after a clean shutdown.
func (d *Daemon) outcome() error {
	if d.cfg.StopPosition.Time.IsZero() {
		return nil
	}
	finished, lost := d.keeper.Finished()
	gaps := int(d.shards.gaps.Load())
	switch {
	case !finished:
		return ErrInterrupted
	case lost > 0 || gaps > 0:
		return fmt.Errorf("%w: %d shards left the stream before they were read, and %d were read after a gap", ErrIncomplete, lost, gaps)
	}
	d.log.Info("everything up to STOP_POSITION is delivered", "stop", d.cfg.StopPosition.Time, logkey.Shards, len(d.keeper.Snapshot().Leases),
		logkey.Records, d.Taken(), logkey.Took, time.Since(d.started).Round(time.Second))
	return nil
}
