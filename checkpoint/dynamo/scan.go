package dynamo

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aws-streaming-pipeline/checkpoint"
)

// Scan implements checkpoint.Store. It is eventually consistent.
func (s *Store) Scan(ctx context.Context) (checkpoint.Snapshot, error) { return s.scan(ctx, false) }

// ScanConsistently implements checkpoint.Store.
func (s *Store) ScanConsistently(ctx context.Context) (checkpoint.Snapshot, error) {
	return s.scan(ctx, true)
}

// scan reads the table; with strong consistency at twice the read units. DynamoDB bills whole items, whatever part of
// them is requested.
func (s *Store) scan(ctx context.Context, consistently bool) (checkpoint.Snapshot, error) {
	var snap checkpoint.Snapshot
	in := &dynamodb.ScanInput{
		TableName: s.table, ConsistentRead: aws.Bool(consistently),
		ProjectionExpression: projection(scanned...), ExpressionAttributeNames: names(scanned...),
	}
	err := s.pages(ctx, in, func(items []map[string]types.AttributeValue) error {
		for _, it := range items {
			if err := take(&snap, it); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return checkpoint.Snapshot{}, fmt.Errorf("scan: %w", err)
	}
	return snap, nil
}

// pages runs a scan page by page.
func (s *Store) pages(ctx context.Context, in *dynamodb.ScanInput, f func(items []map[string]types.AttributeValue) error) error {
	for {
		var out *dynamodb.ScanOutput
		err := s.call(ctx, "scan", func() (err error) {
			out, err = s.db.Scan(ctx, in)
			return err
		})
		if err != nil {
			return err
		}
		if err := f(out.Items); err != nil {
			return err
		}
		if len(out.LastEvaluatedKey) == 0 {
			return nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// take adds an item to the snapshot.
func take(snap *checkpoint.Snapshot, it item) (err error) {
	switch it.entity() {
	case typeLease:
		return appendTo(&snap.Leases, it, (*reader).lease)
	case typeWorker:
		return appendTo(&snap.Workers, it, (*reader).worker)
	case typeBatch, typeListed:
		return appendTo(&snap.Batches, it, (*reader).batchHeader)
	case typeTables:
		if _, published := it[attrPublishedAt]; published {
			return appendTo(&snap.Published, it, (*reader).batchHeader)
		}
		return appendTo(&snap.Batches, it, (*reader).batchHeader)
	case typeTombstone:
		snap.Tombstones = append(snap.Tombstones, strings.TrimPrefix(it.key(), keyBatch))
	case typeApplication:
		snap.Application, err = read(it, (*reader).application)
	case typeComplete:
		snap.Complete, err = read(it, (*reader).complete)
	case typeLeader:
		snap.Lead, err = read(it, (*reader).lead)
	case typeOrders:
		snap.Ordered = append(snap.Ordered, strings.TrimPrefix(it.key(), keyOrders))
	case "":
		return fmt.Errorf("item %q has no entityType: another program writes to this table: %w", it.key(), checkpoint.ErrForeignTable)
	default:
		if strings.HasPrefix(it.key(), keyBatch) {
			return appendTo(&snap.Unknown, it, (*reader).unknownBatch)
		}
	}
	return err
}

func appendTo[T any](values *[]T, it item, f func(r *reader) T) error {
	v, err := read(it, f)
	if err != nil {
		return err
	}
	*values = append(*values, v)
	return nil
}
