package lease

import (
	"context"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
)

func (k *Keeper) beatUntil(life context.Context) {
	for pause(life, k.cfg.quick()/4, jitter(k.cfg.Heartbeat), k.beatNow) {
		k.beat(life)
	}
}

// beat writes the heartbeat. It is called by one goroutine at a time.
func (k *Keeper) beat(life context.Context) {
	ctx, cancel := context.WithTimeout(life, k.cfg.Heartbeat)
	defer cancel()
	k.beats++
	began := time.Now()
	complete, leases := k.claim()
	err := k.store.Heartbeat(ctx, checkpoint.Worker{
		ID: k.cfg.Worker, Beat: k.beats, Address: k.cfg.Address, Version: k.cfg.Version,
		Complete: complete, Leases: leases, Follows: true, MaxLeases: k.cfg.MaxLeases, Fleet: k.says(),
	})
	if err == nil {
		k.done(beaten, began)
		return
	}
	if life.Err() != nil {
		return
	}
	if k.recentlyBeaten() {
		k.log.Warn("heartbeat could not be written", logkey.Error, err.Error())
		return
	}
	k.log.Error("heartbeat could not be written for a long time: other workers may take over", logkey.Error, err.Error())
}

// recentlyBeaten reports whether the other workers have no reason to consider this one dead.
func (k *Keeper) recentlyBeaten() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.last[beaten].IsZero() && time.Since(k.last[beaten]) < k.cfg.Failover
}
