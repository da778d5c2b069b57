package dynamo

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/checkpoint"
)

// maxSegments is far below DynamoDB's limit of a million; more readers than this wait for each other.
const maxSegments = 64

// Scan implements checkpoint.Store. It is eventually consistent unless the store was opened otherwise. DynamoDB bills
// whole items, whatever part of them is asked for.
func (s *Store) Scan(ctx context.Context) (checkpoint.Snapshot, error) {
	parts := make([]checkpoint.Snapshot, s.segments)
	g, ctx := errgroup.WithContext(ctx)
	for i := range parts {
		g.Go(func() error { return s.scanSegment(ctx, int32(i), &parts[i]) })
	}
	if err := g.Wait(); err != nil {
		return checkpoint.Snapshot{}, fmt.Errorf("scan: %w", err)
	}
	all := parts[0]
	for _, p := range parts[1:] {
		merge(&all, p)
	}
	return all, nil
}

func merge(all *checkpoint.Snapshot, p checkpoint.Snapshot) {
	if p.Application != (checkpoint.Application{}) {
		all.Application = p.Application
	}
	all.Leases = append(all.Leases, p.Leases...)
	all.Workers = append(all.Workers, p.Workers...)
	all.Batches = append(all.Batches, p.Batches...)
	all.Tombstones = append(all.Tombstones, p.Tombstones...)
}

func (s *Store) scanSegment(ctx context.Context, segment int32, snap *checkpoint.Snapshot) error {
	in := &dynamodb.ScanInput{
		TableName: s.table, ConsistentRead: aws.Bool(s.consistent),
		ProjectionExpression: projection(scanned...), ExpressionAttributeNames: names(scanned...),
	}
	if s.segments > 1 {
		in.Segment, in.TotalSegments = aws.Int32(segment), aws.Int32(s.segments)
	}
	return s.pages(ctx, in, func(items []map[string]types.AttributeValue) error {
		for _, it := range items {
			if err := take(snap, it); err != nil {
				return err
			}
		}
		return nil
	})
}

// pages sends a scan page after page.
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
	case typeTombstone:
		snap.Tombstones = append(snap.Tombstones, strings.TrimPrefix(it.key(), keyBatch))
	case typeApplication:
		snap.Application, err = read(it, (*reader).application)
	case "":
		return fmt.Errorf("item %q has no entityType, another program writes to this table: %w", it.key(), checkpoint.ErrForeignTable)
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
