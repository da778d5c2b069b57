package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// mostShards is about how many open shards resharding leaves.
const mostShards = 8

// reshardUntil reshards repeatedly under load.
func (s *storm) reshardUntil(ctx context.Context) {
	for sleep(ctx, s.dice.between(s.cfg.Reshard/2, s.cfg.Reshard*3/2)) {
		how, err := s.reshard(ctx)
		var busy *types.ResourceInUseException
		switch {
		case errors.As(err, &busy) || ctx.Err() != nil:
		case err != nil:
			s.fail("%s: %w", how, err)
			return
		default:
			s.mu.Lock()
			s.reshards[how]++
			s.mu.Unlock()
		}
	}
}

// span is an open shard with its range of hash keys.
type span struct {
	id          string
	first, last *big.Int
}

func (s *storm) reshard(ctx context.Context) (how string, err error) {
	open, err := s.openShards(ctx)
	if err != nil {
		return "list shards", err
	}
	ways := []string{"split", "merge"}
	if s.cfg.Counts {
		ways = append(ways, "update count")
	}
	how = s.dice.pick(ways...)
	switch {
	case len(open) <= s.cfg.Shards:
		how = "split"
	case len(open) >= mostShards && how == "split":
		how = "merge"
	}
	switch how {
	case "split":
		return how, s.split(ctx, open[s.dice.below(len(open))])
	case "merge":
		i := s.dice.below(len(open) - 1)
		return how, s.merge(ctx, open[i], open[i+1])
	}
	return how, s.updateCount(ctx, len(open))
}

// openShards lists the open shards by their hash keys.
func (s *storm) openShards(ctx context.Context) ([]span, error) {
	var open []span
	in := &kinesis.ListShardsInput{StreamName: aws.String(s.cfg.Stream)}
	for {
		out, err := s.cfg.Kinesis.ListShards(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, shard := range out.Shards {
			if shard.SequenceNumberRange.EndingSequenceNumber != nil {
				continue
			}
			first, ok1 := new(big.Int).SetString(aws.ToString(shard.HashKeyRange.StartingHashKey), 10)
			last, ok2 := new(big.Int).SetString(aws.ToString(shard.HashKeyRange.EndingHashKey), 10)
			if !ok1 || !ok2 {
				return nil, fmt.Errorf("shard %s has no range of hash keys", aws.ToString(shard.ShardId))
			}
			open = append(open, span{aws.ToString(shard.ShardId), first, last})
		}
		if out.NextToken == nil {
			break
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken}
	}
	slices.SortFunc(open, func(a, b span) int { return a.first.Cmp(b.first) })
	return open, nil
}

func (s *storm) split(ctx context.Context, shard span) error {
	middle := new(big.Int).Add(shard.first, shard.last)
	middle.Rsh(middle, 1)
	_, err := s.cfg.Kinesis.SplitShard(ctx, &kinesis.SplitShardInput{
		StreamName: aws.String(s.cfg.Stream), ShardToSplit: aws.String(shard.id),
		NewStartingHashKey: aws.String(middle.String()),
	})
	return err
}

func (s *storm) merge(ctx context.Context, a, b span) error {
	_, err := s.cfg.Kinesis.MergeShards(ctx, &kinesis.MergeShardsInput{
		StreamName: aws.String(s.cfg.Stream), ShardToMerge: aws.String(a.id), AdjacentShardToMerge: aws.String(b.id),
	})
	return err
}

// updateCount asks for another number of shards, within the bounds of the service: half to double.
func (s *storm) updateCount(ctx context.Context, open int) error {
	low, high := max(s.cfg.Shards, (open+1)/2), min(2*open, mostShards)
	count := low + s.dice.below(max(high-low+1, 1))
	if count == open {
		count = low
	}
	_, err := s.cfg.Kinesis.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{
		StreamName: aws.String(s.cfg.Stream), TargetShardCount: aws.Int32(int32(count)),
		ScalingType: types.ScalingTypeUniformScaling,
	})
	return err
}
