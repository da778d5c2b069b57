package dynamo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aws-streaming-pipeline/checkpoint"
)

// Commit implements checkpoint.Store with one transaction. It retries while other requests touch the same rows, until
// ctx ends.
func (s *Store) Commit(ctx context.Context, b checkpoint.Batch) error {
	if err := b.Validate(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	in, err := s.transaction(b)
	if err != nil {
		return fmt.Errorf("commit: batch %s: %w", b.ID, err)
	}
	err = s.call(ctx, "commit", func() error {
		_, err := s.db.TransactWriteItems(ctx, in)
		return err
	})
	if err != nil {
		return fmt.Errorf("commit: batch %s: %w", b.ID, err)
	}
	return nil
}

// transaction puts the batch if nothing is stored under its id, and moves every checkpoint if the row is at the range's
// start and is held by its lease owner.
func (s *Store) transaction(b checkpoint.Batch) (*dynamodb.TransactWriteItemsInput, error) {
	it, err := batchItem(b)
	if err != nil {
		return nil, err
	}
	var e expression
	e.absent(attrKey)
	in := &dynamodb.TransactWriteItemsInput{
		ClientRequestToken: aws.String(s.requestToken(b, it)),
		TransactItems: []types.TransactWriteItem{{Put: &types.Put{
			TableName: s.table, Item: it, ConditionExpression: e.condition(), ExpressionAttributeNames: e.names,
		}}},
	}
	for _, r := range b.Ranges {
		in.TransactItems = append(in.TransactItems, types.TransactWriteItem{Update: s.advance(r)})
	}
	return in, nil
}

func (s *Store) advance(r checkpoint.Range) *types.Update {
	var e expression
	e.equal(attrCheckpoint, str(string(r.Start)))
	e.owned(r.LeaseOwner, r.LeaseCounter)
	e.set(attrCheckpoint, str(string(r.End)))
	if !r.LastArrival.IsZero() {
		e.set(attrArrival, instant(r.LastArrival))
	}
	if r.Load > 0 {
		e.set(attrLoad, num(r.Load))
	}
	return &types.Update{
		TableName: s.table, Key: item{attrKey: str(r.Shard)},
		ConditionExpression: e.condition(), UpdateExpression: e.update(),
		ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
	}
}

// requestToken makes a repeated commit of a batch the same request to DynamoDB, which remembers a token for ten minutes
// and accepts up to 36 characters. All tables of an account share their tokens, hence the table name. A batch with
// other content under the same id is a different request, which the condition on the id refuses.
func (s *Store) requestToken(b checkpoint.Batch, it item) string {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(*s.table), []byte(b.ID), it.bytes(attrRanges), it.files()} {
		sum := sha256.Sum256(part)
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Bury implements checkpoint.Store.
func (s *Store) Bury(ctx context.Context, id, worker string) (committed bool, err error) {
	if id == "" {
		return false, errors.New("bury: the batch has no id")
	}
	for {
		committed, err := s.bury(ctx, id, worker)
		// Between the two requests the item may have been forgotten, which frees its key again.
		if errors.Is(err, checkpoint.ErrNotFound) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("bury: batch %s: %w", id, err)
		}
		return committed, nil
	}
}

func (s *Store) bury(ctx context.Context, id, worker string) (committed bool, err error) {
	tombstone := item{attrKey: str(keyBatch + id), attrType: str(typeTombstone)}
	tombstone.setString(attrWorker, worker)
	var e expression
	e.absent(attrKey)
	err = s.put(ctx, "bury", tombstone, e)
	if !errors.Is(err, checkpoint.ErrConflict) {
		return false, err
	}
	it, err := s.get(ctx, "bury", keyBatch+id, attrKey, attrType)
	if err != nil {
		return false, err
	}
	switch {
	case it.isBatch():
		return true, nil
	case it.entity() == typeTombstone:
		return false, nil
	}
	return false, it.notBatch()
}

// Batch implements checkpoint.Store.
func (s *Store) Batch(ctx context.Context, id string) (checkpoint.Batch, error) {
	it, err := s.get(ctx, "batch", keyBatch+id)
	if err == nil && !it.isBatch() {
		err = it.notBatch()
	}
	if err != nil {
		return checkpoint.Batch{}, fmt.Errorf("batch %s: %w", id, err)
	}
	b, err := read(it, (*reader).batch)
	if err != nil {
		return checkpoint.Batch{}, fmt.Errorf("batch %s: %w", id, err)
	}
	return b, nil
}

// NotePublished implements checkpoint.Store. Adding to a set twice is the same as adding once.
func (s *Store) NotePublished(ctx context.Context, id string, files []int) error {
	if len(files) == 0 {
		return nil // DynamoDB has no empty sets
	}
	var e expression
	e.among(attrType, batchTypes...)
	e.add(attrPublished, numbers(files))
	in := &dynamodb.UpdateItemInput{
		TableName: s.table, Key: item{attrKey: str(keyBatch + id)},
		ConditionExpression: e.condition(), UpdateExpression: e.update(),
		ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
	}
	err := s.call(ctx, "note published", func() error {
		_, err := s.db.UpdateItem(ctx, in)
		return err
	})
	if errors.Is(err, checkpoint.ErrConflict) {
		err = checkpoint.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("note published files: batch %s: %w", id, err)
	}
	return nil
}

// Forget implements checkpoint.Store.
func (s *Store) Forget(ctx context.Context, id string) error {
	var e expression
	e.forgettable()
	err := s.remove(ctx, "forget", keyBatch+id, e)
	if errors.Is(err, checkpoint.ErrConflict) {
		err = s.whyKept(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("forget: batch %s: %w", id, err)
	}
	return nil
}

// whyKept says why a batch cannot be forgotten.
func (s *Store) whyKept(ctx context.Context, id string) error {
	it, err := s.get(ctx, "forget", keyBatch+id, attrKey, attrType)
	switch {
	case errors.Is(err, checkpoint.ErrNotFound):
		return nil
	case err != nil:
		return err
	case it.entity() == typeTables:
		return checkpoint.ErrNotLoaded
	}
	return checkpoint.ErrUnknownKind
}
