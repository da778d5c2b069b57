package localstream

import (
	"fmt"
	"iter"
	"time"
)

// Record is a record as the stream holds it.
type Record struct {
	SequenceNumber string
	PartitionKey   string
	// Arrival has millisecond precision.
	Arrival time.Time
	// Data is shared with the stream and must not be changed.
	Data []byte
}

// Entry is a record to put.
type Entry struct {
	PartitionKey string
	// ExplicitHashKey is a decimal hash key; empty routes by the partition key.
	ExplicitHashKey string
	Data            []byte
}

// ShardState describes a shard and what it holds. Bytes are those of keys and data.
type ShardState struct {
	ID              string
	StartingHashKey string
	EndingHashKey   string
	// Parents are none, one after a split, two after a merge: the parent and the adjacent parent.
	Parents []string
	Open    bool

	// Put counts all records ever accepted, Held those that can still be read. The rest is trimmed, by age or by
	// Options.MaxBytes.
	Put, PutBytes         int64
	Held, HeldBytes       int64
	Trimmed, TrimmedBytes int64
	// Unread counts records that no reader has moved past, as defined by KeepUnread, or those not released under
	// KeepUnreleased.
	Unread int64
	// Last is the sequence number of the newest record; empty if there was none.
	Last string
}

// CreateStream adds a provisioned stream that accepts records up to 1 MiB.
func (k *Kinesis) CreateStream(name string, shards int) error {
	if !streamName.MatchString(name) || shards < 1 || shards > maxShards {
		return fmt.Errorf("create stream %q with %d shards: want a name that matches %s, and 1 to %d shards", name, shards, streamName, maxShards)
	}
	if err := k.addStream(name, shards, false, defaultMaxRecordKiB<<10, k.now()); err != nil {
		return fmt.Errorf("create stream %q: %w", name, err)
	}
	return nil
}

// Put appends a record regardless of rate limits, faults and the state of the stream. It returns the shard and the
// sequence number, or an error if the record is invalid or does not fit in MaxBytes.
func (k *Kinesis) Put(stream string, e Entry) (shard, sequence string, err error) {
	shard, sequence, err = k.putDirect(stream, e)
	if err != nil {
		return "", "", fmt.Errorf("put into stream %q: %w", stream, err)
	}
	return shard, sequence, nil
}

func (k *Kinesis) putDirect(name string, e Entry) (string, string, error) {
	now := k.now()
	s, err := k.lookup(streamRef{StreamName: name}, now)
	if err != nil {
		return "", "", err
	}
	entry := putEntry{key: []byte(e.PartitionKey), data: e.Data, hasData: true}
	if e.ExplicitHashKey != "" {
		entry.explicitKey = []byte(e.ExplicitHashKey)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := entry.validate(s.maxRecord); err != nil {
		return "", "", err
	}
	key, err := entry.hashKey()
	if err != nil {
		return "", "", err
	}
	if s.open == nil {
		return "", "", errorf(codeNotFound, "Stream %s under account %s not found.", name, k.options.Account)
	}
	result := k.put(s, entry, key, now, false)
	if result.code != "" {
		return "", "", errorf(result.code, "%s", result.message)
	}
	return result.shard.id, result.sequence.String(), nil
}

// Shards returns the state of every shard of a stream, in the order of their ids, closed and expired ones included.
func (k *Kinesis) Shards(stream string) ([]ShardState, error) {
	s, err := k.lookup(streamRef{StreamName: stream}, k.now())
	if err != nil {
		return nil, fmt.Errorf("list shards of stream %q: %w", stream, err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	states := make([]ShardState, len(s.shards))
	for i, sh := range s.shards {
		states[i] = sh.state()
	}
	return states, nil
}

func (s *shard) state() ShardState {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := ShardState{
		ID: s.id, StartingHashKey: s.first.String(), EndingHashKey: s.last.String(), Open: !s.closed,
		Put: s.counts.put, PutBytes: s.counts.putBytes,
		Held: s.counts.held, HeldBytes: s.counts.heldBytes,
		Trimmed: s.counts.trimmed, TrimmedBytes: s.counts.trimmedBytes,
	}
	for _, parent := range s.parents {
		state.Parents = append(state.Parents, parent.id)
	}
	if s.counts.put > 0 {
		state.Last = s.stamp.sequence(s.newest).String()
	}
	for _, g := range s.segments {
		state.Unread += int64(len(g.entries) - g.search(func(e entry) bool { return e.ordinal >= max(s.consumed, s.horizon) }))
	}
	return state
}

// Records iterates over what a shard held when the iteration began, oldest first. An unknown stream or shard has no
// records.
func (k *Kinesis) Records(stream, shard string) iter.Seq[Record] {
	return func(yield func(Record) bool) {
		now := k.now()
		s, err := k.lookup(streamRef{StreamName: stream}, now)
		if err != nil {
			return
		}
		s.mu.RLock()
		sh, ok := s.find(shard, now)
		s.mu.RUnlock()
		if !ok {
			return
		}
		sh.mu.Lock()
		p := sh.read(0, int(sh.counts.held)+1, int(sh.counts.heldBytes), now)
		sh.mu.Unlock()
		for _, run := range p.runs {
			for _, e := range run.entries {
				record := Record{
					SequenceNumber: sh.stamp.sequence(e.ordinal).String(),
					PartitionKey:   string(run.key(e)),
					Arrival:        time.UnixMilli(e.arrival),
					Data:           run.data(e),
				}
				if !yield(record) {
					return
				}
			}
		}
	}
}

// Release declares that no reader will return to the records of a shard up to and including a sequence number, so they
// may be dropped when memory is short. It applies to KeepUnreleased and KeepUnread.
func (k *Kinesis) Release(stream, shard, sequence string) error {
	if err := k.release(stream, shard, sequence); err != nil {
		return fmt.Errorf("release %s of stream %q up to %s: %w", shard, stream, sequence, err)
	}
	return nil
}

func (k *Kinesis) release(stream, shard, sequence string) error {
	now := k.now()
	s, err := k.lookup(streamRef{StreamName: stream}, now)
	if err != nil {
		return err
	}
	s.mu.RLock()
	sh, ok := s.find(shard, now)
	s.mu.RUnlock()
	if !ok {
		return errorf(codeNotFound, "Shard %s in stream %s under account %s does not exist", shard, stream, k.options.Account)
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	next, err := sh.ordinalOf(getShardIteratorRequest{ShardIteratorType: afterSequenceNumber, StartingSequenceNumber: sequence}, stream)
	if err != nil {
		return err
	}
	sh.consume(next)
	return nil
}

// UsedBytes returns the memory that records currently take, out of Options.MaxBytes.
func (k *Kinesis) UsedBytes() int64 { return k.budget.used.Load() }
