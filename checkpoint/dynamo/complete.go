package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aws-streaming-pipeline/checkpoint"
)

// moment is a time in a form whose order is that of the strings.
func moment(t time.Time) types.AttributeValue { return str(t.UTC().Format("2006-01-02T15:04:05.000Z")) }

func (r *reader) complete() checkpoint.Complete {
	return checkpoint.Complete{
		UpTo: r.time(attrUpTo), At: r.time(attrAt), Shards: int(r.count(attrShards)), Rewinds: r.count(attrRewinds),
	}
}

// Complete implements checkpoint.Store.
func (s *Store) Complete(ctx context.Context) (checkpoint.Complete, error) {
	it, err := s.get(ctx, "complete", keyComplete)
	if errors.Is(err, checkpoint.ErrNotFound) {
		return checkpoint.Complete{}, nil
	}
	var c checkpoint.Complete
	if err == nil {
		c, err = read(it, (*reader).complete)
	}
	if err != nil {
		return checkpoint.Complete{}, fmt.Errorf("complete: %w", err)
	}
	return c, nil
}

// RaiseComplete implements checkpoint.Store. If a condition fails, it reads the item: an earlier send of this call may have
// been applied, and its answer lost.
func (s *Store) RaiseComplete(ctx context.Context, c checkpoint.Complete) (checkpoint.Complete, error) {
	c = c.Normalized()
	var e expression
	if c.Rewinds == 0 {
		e.absent(attrRewinds)
	} else {
		e.equal(attrRewinds, num(c.Rewinds))
	}
	e.below(attrUpTo, moment(c.UpTo))
	e.set(attrType, str(typeComplete))
	e.set(attrUpTo, moment(c.UpTo))
	e.set(attrAt, moment(c.At))
	e.set(attrShards, num(int64(c.Shards)))
	_, err := s.update(ctx, "raise complete", keyComplete, e)
	if errors.Is(err, checkpoint.ErrConflict) {
		stored, readErr := s.Complete(ctx)
		switch {
		case readErr != nil:
			err = readErr
		case stored.Rewinds != c.Rewinds:
			err = fmt.Errorf("%d rewinds are known, %d were made: %w", c.Rewinds, stored.Rewinds, err)
		default:
			return stored, nil
		}
	}
	if err != nil {
		return checkpoint.Complete{}, fmt.Errorf("raise complete: %w", err)
	}
	return c, nil
}

// retract takes the statement back where positions are moved one by one.
func (s *Store) retract(ctx context.Context) error {
	in := &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{{Update: s.takeBack()}}}
	return s.call(ctx, "import", func() error {
		_, err := s.db.TransactWriteItems(ctx, in)
		return err
	})
}

// takeBack is the part of a transaction that takes the statement back.
func (s *Store) takeBack() *types.Update {
	var e expression
	e.set(attrType, str(typeComplete))
	e.remove(attrUpTo)
	e.remove(attrAt)
	e.remove(attrShards)
	e.add(attrRewinds, num(1))
	return &types.Update{
		TableName: s.table, Key: item{attrKey: str(keyComplete)},
		UpdateExpression: e.update(), ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
	}
}
