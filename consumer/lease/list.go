package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
)

const (
	// describeEvery is the time between two checks of the stream's retention, and of whether it is still the same
	// stream.
	describeEvery = 5 * time.Minute
	// describeAgain is the time after a failed check.
	describeAgain = time.Minute
	// followerLists is the time between two listings of a follower that has no other reason to list.
	followerLists = 5 * time.Minute
)

// listing is one listing of the stream's shards.
type listing struct {
	done chan struct{} // closed when it has ended
	err  error         // valid once done is closed
}

func newListing() *listing { return &listing{done: make(chan struct{})} }

// Closed reports whether a shard accepts no more records, according to a listing that begins after the call: it shows
// the shard's end, or the shard has left the stream. Closed waits for that listing until ctx ends. Listings run at a
// bounded rate, however many callers wait.
func (k *Keeper) Closed(ctx context.Context, shard string) (bool, error) {
	k.mu.Lock()
	coming := k.coming
	k.mu.Unlock()
	signal(k.listNow)
	select {
	case <-coming.done:
	case <-ctx.Done():
		return false, fmt.Errorf("wait for a listing of the shards: %w", context.Cause(ctx))
	}
	if coming.err != nil {
		return false, coming.err
	}
	if s, listed := k.shards.Shard(shard); listed && s.Closed {
		return true, nil // closed shards stay closed
	}
	_, absent := k.shards.Absent(shard)
	return absent, nil
}

// listUntil keeps the map of shards up to date.
func (k *Keeper) listUntil(life context.Context) {
	for {
		wait := jitter(k.listEvery(k.isLeading()))
		if k.needsListing() {
			wait = min(wait, k.cfg.quick())
		}
		if !pause(life, k.cfg.quick(), wait, k.listNow) {
			return
		}
		k.list(life)
	}
}

// listEvery is the time between two listings. A follower lists mostly when it needs to.
func (k *Keeper) listEvery(leading bool) time.Duration {
	if leading {
		return k.cfg.ListEvery
	}
	return max(followerLists, k.cfg.ListEvery)
}

// needsListing reports whether another listing should come soon: for the leader, as long as it is not certain which shards are there,
// and for a follower, as long as it knows nothing of a shard that it holds.
func (k *Keeper) needsListing() bool {
	if k.isLeading() {
		return k.shards.Uncertain()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range k.activeLocked() {
		if _, listed := k.shards.Shard(h.row.Shard); !listed {
			return true
		}
	}
	return false
}

// describeUntil describes the stream from time to time. It calls stop if the stream turns out to be a different one.
func (k *Keeper) describeUntil(life context.Context, stop context.CancelCauseFunc) {
	next := describeEvery
	for {
		wait := jitter(next)
		if !pause(life, wait, wait, nil) {
			return
		}
		next = describeEvery
		if err := k.describe(life); errors.Is(err, checkpoint.ErrForeignTable) {
			k.log.Error("the stream was deleted and recreated: the worker stops", logkey.Error, err.Error())
			stop(err)
		} else if err != nil && life.Err() == nil {
			next = describeAgain
			k.log.Warn("stream could not be described", logkey.Error, err.Error())
		}
	}
}

// describe compares the stream with the one that the table was bound to. It does not look at the table: a table that was
// lost and made again would be bound anew, without its positions.
func (k *Keeper) describe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.streamTimeout())
	defer cancel()
	about, err := k.stream.Describe(ctx)
	if err != nil {
		return err
	}
	k.mu.Lock()
	bound := k.app
	k.mu.Unlock()
	now := bound
	now.Stream, now.StreamARN, now.StreamCreated = about.Name, about.ARN, about.Created
	if now, err = now.Normalized(); err == nil {
		err = bound.Accept(now)
	}
	if err != nil {
		return err
	}
	k.done(described, time.Now())
	k.mu.Lock()
	defer k.mu.Unlock()
	k.about = about
	return nil
}

// list adds one complete listing to the map, if there is an answer.
func (k *Keeper) list(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.streamTimeout())
	defer cancel()
	k.mu.Lock()
	this := k.coming
	k.coming = newListing()
	k.mu.Unlock()
	defer close(this.done)
	began := time.Now()
	listing, err := k.stream.ListShards(ctx)
	if err != nil {
		this.err = err
		if !errors.Is(ctx.Err(), context.Canceled) {
			k.log.Warn("shards could not be listed", logkey.Error, err.Error())
		}
		return
	}
	if k.shards.Update(time.Now(), listing.Shards) {
		signal(k.turnNow)
	}
	k.done(listed, time.Now())
	k.mu.Lock()
	defer k.mu.Unlock()
	k.listing, k.listedFrom = listing, began
}
