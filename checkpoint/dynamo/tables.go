package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// Outbox implements checkpoint.Store with a strongly consistent scan.
func (s *Store) Outbox(ctx context.Context) ([]checkpoint.Batch, []checkpoint.UnknownBatch, error) {
	snap, err := s.scan(ctx, true)
	if err != nil {
		return nil, nil, fmt.Errorf("outbox: %w", err)
	}
	return slices.Concat(snap.Batches, snap.Published), snap.Unknown, nil
}

// MarkPublished implements checkpoint.Store.
func (s *Store) MarkPublished(ctx context.Context, id string, at time.Time) error {
	var e expression
	e.setOnce(attrPublishedAt, instant(at))
	return s.markBatch(ctx, "mark published", id, e)
}

// MarkLoaded implements checkpoint.Store. Adding to a set twice is the same as adding once.
func (s *Store) MarkLoaded(ctx context.Context, id, table string) error {
	var e expression
	e.contains(attrTables, table)
	e.add(attrLoaded, texts([]string{table}))
	return s.markBatch(ctx, "mark loaded", id, e)
}

// markBatch changes a batch that is to be loaded into tables. Without its condition, UpdateItem would make an item.
func (s *Store) markBatch(ctx context.Context, operation, id string, e expression) error {
	e.equal(attrType, str(typeTables))
	_, err := s.update(ctx, operation, keyBatch+id, e)
	if errors.Is(err, checkpoint.ErrConflict) {
		err = checkpoint.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("%s: batch %s: %w", operation, id, err)
	}
	return nil
}

// Table implements checkpoint.Store.
func (s *Store) Table(ctx context.Context, name string) (checkpoint.Table, error) {
	it, err := s.get(ctx, "table", keyTable+name)
	if err == nil && it.entity() != typeTable {
		err = fmt.Errorf("item %q has the entityType %q: want %s", it.key(), it.entity(), typeTable)
	}
	var t checkpoint.Table
	if err == nil {
		t, err = read(it, (*reader).table)
	}
	if err != nil {
		return checkpoint.Table{}, fmt.Errorf("table %s: %w", name, err)
	}
	return t, nil
}

// PutTable implements checkpoint.Store.
func (s *Store) PutTable(ctx context.Context, t checkpoint.Table) (checkpoint.Table, error) {
	var e expression
	if t.Version == 0 {
		e.absent(attrKey)
	} else {
		e.equal(attrTableVersion, num(t.Version))
	}
	t.Version++
	it := item{attrKey: str(keyTable + t.Name), attrType: str(typeTable), attrTableVersion: num(t.Version)}
	it.setString(attrLoader, t.Loader)
	if len(t.Definition) > 0 {
		data, err := checkpoint.EncodeDefinition(t.Definition)
		if err != nil {
			return checkpoint.Table{}, fmt.Errorf("put table %s: %w", t.Name, err)
		}
		it[attrDefinition] = binary(data)
	}
	if err := s.put(ctx, "put table", it, e); err != nil {
		return checkpoint.Table{}, fmt.Errorf("put table %s: %w", t.Name, err)
	}
	return t, nil
}
