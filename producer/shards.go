package producer

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/internal/streams"
)

// hashKey is a partition key's place among the shards: its MD5, a number of 128 bits (Kinesis API Reference,
// "PutRecords").
type hashKey [md5.Size]byte

func hashOf(partitionKey string) hashKey { return md5.Sum([]byte(partitionKey)) }

// hashRange is the part of the hash keys that an open shard takes, both ends included.
type hashRange struct {
	first, last hashKey
	shard       string
}

// shardMap is the open shards of a stream in the order of their hash keys.
type shardMap []hashRange

// shard returns the id of the shard that takes the key, or "" if none is known to.
func (m shardMap) shard(key hashKey) string {
	i, found := slices.BinarySearchFunc(m, key, func(r hashRange, key hashKey) int {
		return bytes.Compare(r.first[:], key[:])
	})
	if !found {
		i--
	}
	if i < 0 || bytes.Compare(key[:], m[i].last[:]) > 0 {
		return ""
	}
	return m[i].shard
}

// listShards asks for the open shards.
func listShards(ctx context.Context, client Client, stream streams.ID) (shardMap, error) {
	in := &kinesis.ListShardsInput{
		StreamName: stream.ByName(), StreamARN: stream.ByARN(), ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest},
	}
	var m shardMap
	for {
		out, err := client.ListShards(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list shards of stream %s: %w", stream, err)
		}
		for _, s := range out.Shards {
			if s.SequenceNumberRange != nil && s.SequenceNumberRange.EndingSequenceNumber != nil {
				continue // some endpoints list closed shards whatever the filter says
			}
			r, err := newHashRange(s)
			if err != nil {
				return nil, fmt.Errorf("list shards of stream %s: shard %s: %w", stream, aws.ToString(s.ShardId), err)
			}
			m = append(m, r)
		}
		if aws.ToString(out.NextToken) == "" {
			break
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken} // which stands for the stream and the filter
	}
	if len(m) == 0 {
		return nil, fmt.Errorf("list shards of stream %s: it has no open shard", stream)
	}
	slices.SortFunc(m, func(a, b hashRange) int {
		return cmp.Or(bytes.Compare(a.first[:], b.first[:]), strings.Compare(a.shard, b.shard))
	})
	return m, nil
}

func newHashRange(s types.Shard) (hashRange, error) {
	r := hashRange{shard: aws.ToString(s.ShardId)}
	if s.HashKeyRange == nil {
		return r, errors.New("it has no hash key range")
	}
	if err := r.first.parse(aws.ToString(s.HashKeyRange.StartingHashKey)); err != nil {
		return r, err
	}
	return r, r.last.parse(aws.ToString(s.HashKeyRange.EndingHashKey))
}

func (h *hashKey) parse(decimal string) error {
	n, ok := new(big.Int).SetString(decimal, 10)
	if !ok || n.Sign() < 0 || n.BitLen() > 8*len(h) {
		return fmt.Errorf("hash key %q is not a number of 128 bits", decimal)
	}
	n.FillBytes(h[:])
	return nil
}

const (
	// refreshEvery is the shortest time between two readings of the shard map.
	refreshEvery = 5 * time.Second
	// listTimeout bounds a reading, during which no call is made.
	listTimeout = 10 * time.Second
)

// router knows the shards of the stream, and reads them again when the stream was resharded.
type router struct {
	client Client
	stream streams.ID

	mu    sync.Mutex
	now   shardMap
	stale bool
	read  time.Time
}

// shards returns the map, as new as the last call of suspect asks for.
func (r *router) shards(ctx context.Context) (shardMap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now != nil && (!r.stale || time.Since(r.read) < refreshEvery) {
		return r.now, nil
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	m, err := listShards(ctx, r.client, r.stream)
	r.read = time.Now()
	if err != nil && r.now == nil {
		return nil, err
	}
	if err != nil {
		return r.now, nil // an old map paces badly, which costs throttled records and no more
	}
	r.now, r.stale = m, false
	return m, nil
}

// known returns the map as it was last read, nil before, and nil from a nil router.
func (r *router) known() shardMap {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// suspect says that the answer to a call named another shard than the map did that was known when the call was made.
func (r *router) suspect(m shardMap) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(m) > 0 && &m[0] == &r.now[0] {
		r.stale = true
	}
}
