package lease

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/shardmap"
	"aws-streaming-pipeline/internal/logkey"
)

// adoptChildren makes the rows of the children of shards whose end this worker has committed, and acquires those that can be read. The
// leader would do so too, but later. A child is left to it if anything is unclear.
func (k *Keeper) adoptChildren(ctx, life context.Context) {
	k.mu.Lock()
	parents := maps.Clone(k.childless)
	initial := k.app.Initial
	k.mu.Unlock()
	if len(parents) == 0 {
		return
	}
	listed, at := k.shards.Listed()
	for parent, ended := range parents {
		if time.Since(ended) > k.cfg.Failover {
			k.adopted(parent)
			continue
		}
		var children []shardmap.Shard
		for _, s := range listed {
			if slices.Contains(s.Parents, parent) {
				children = append(children, s)
			}
		}
		if len(children) == 0 || at.Before(ended) {
			continue // no listing since
		}
		k.adopted(parent)
		for _, child := range children {
			if err := k.adoptChild(ctx, life, child, listed, initial); err != nil {
				k.log.Warn("child of an ended shard is left to the leader", logkey.Shard, child.ID, logkey.Error, err.Error())
			}
		}
	}
}

// adopted notes that the children of a shard were dealt with.
func (k *Keeper) adopted(parent string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.childless, parent)
}

func (k *Keeper) adoptChild(ctx, life context.Context, child shardmap.Shard, listed []shardmap.Shard, initial checkpoint.Position) error {
	parents, known, err := k.parentRows(ctx, child)
	if err != nil || !known {
		return err
	}
	b := newBeginnings(parents, listed, initial)
	rows := b.missing([]shardmap.Shard{child})
	if err := k.createChunk(life, rows); err != nil {
		return err
	}
	g := newGate(slices.Concat(parents, rows), k.shards, k.cfg.Stop)
	if k.cfg.MaxLeases > 0 || !g.open(rows[0]) || g.passed(rows[0]) {
		return nil
	}
	k.mu.Lock()
	busy := k.stopping || k.holds[child.ID] != nil
	k.mu.Unlock()
	if busy {
		return nil
	}
	err = k.acquireRow(life, rows[0])
	if errors.Is(err, checkpoint.ErrConflict) {
		return nil // the row was there, and is not new
	}
	return err
}

// parentRows reads the rows of a shard's parents. They are not known if one that the stream still has is without a row.
func (k *Keeper) parentRows(ctx context.Context, child shardmap.Shard) (rows []checkpoint.Lease, known bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Failover)
	defer cancel()
	for _, parent := range child.Parents {
		row, err := k.store.Lease(ctx, parent)
		_, there := k.shards.Shard(parent)
		switch {
		case err == nil:
			rows = append(rows, row)
		case !errors.Is(err, checkpoint.ErrNotFound):
			return nil, false, err
		case there:
			return nil, false, nil
		}
	}
	return rows, true, nil
}
