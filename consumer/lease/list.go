package lease

import (
	"context"
	"errors"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
)

// describeEvery is the time between two looks at the stream's retention, and at whether it is still the same stream.
const describeEvery = 5 * time.Minute

// listUntil keeps the map of shards fresh. It calls stop when the stream turns out to be another one.
func (k *Keeper) listUntil(life context.Context, stop context.CancelCauseFunc) {
	described := time.Now()
	for {
		wait := jitter(k.cfg.ListEvery)
		if k.shards.Uncertain() {
			wait = min(wait, k.cfg.quick())
		}
		if !pause(life, k.cfg.quick(), wait, k.listNow) {
			return
		}
		k.list(life)
		if time.Since(described) < describeEvery {
			continue
		}
		described = time.Now()
		if _, err := k.Bind(life); errors.Is(err, checkpoint.ErrForeignTable) {
			k.log.Error("the stream is another one now: the worker stops", logkey.Error, err.Error())
			stop(err)
		} else if err != nil && life.Err() == nil {
			k.log.Warn("stream could not be described", logkey.Error, err.Error())
		}
	}
}

// list takes in one complete listing, if there is an answer.
func (k *Keeper) list(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*k.cfg.ListEvery)
	defer cancel()
	shards, err := k.stream.ListShards(ctx)
	if err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) {
			k.log.Warn("shards could not be listed", logkey.Error, err.Error())
		}
		return
	}
	if k.shards.Update(time.Now(), shards) {
		signal(k.scanNow)
	}
}
