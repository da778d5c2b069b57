package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"golang.org/x/sync/errgroup"
)

func (s site) readWithSDK(ctx context.Context) error {
	client := kinesis.NewFromConfig(s.account)
	listed, err := client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &s.stream})
	if err != nil {
		return err
	}
	base := context.WithoutCancel(ctx)
	f, err := s.newFile(base, "data/all.parquet")
	if err != nil {
		return err
	}
	t := s.columns(f)
	var shards errgroup.Group
	for _, sh := range listed.Shards {
		shards.Go(func() error { return s.readShard(ctx, client, sh.ShardId, t) })
	}
	if err := shards.Wait(); err != nil {
		return err
	}
	return t.finish(base)
}

// readShard reads until ctx ends, at the rate that Kinesis allows.
func (s site) readShard(ctx context.Context, client *kinesis.Client, shard *string, t table) error {
	at, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: &s.stream, ShardId: shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		return err
	}
	for next := at.ShardIterator; next != nil; {
		out, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next, Limit: aws.Int32(10_000)})
		if errors.Is(err, context.Canceled) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", *shard, err)
		}
		size := 0
		for _, r := range out.Records {
			size += len(r.Data)
		}
		if err := t.add(out.Records); err != nil {
			return err
		}
		next = out.NextShardIterator
		pause := max(250*time.Millisecond, time.Duration(size)*time.Second/2_000_000)
		if aws.ToInt64(out.MillisBehindLatest) == 0 {
			pause = max(pause, time.Second)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}
