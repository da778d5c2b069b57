// Package check tests a pipeline end to end: it sends a record to each open shard of a stream, and waits until a manifest
// covers each record and a file of that manifest contains it.
//
// The records are real: the pipeline delivers them like any others.
package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/shardmap"
	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/streams"
	"aws-streaming-pipeline/operate/audit"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers/layout"
)

// Kinesis is the set of Kinesis calls that Run makes. *kinesis.Client implements it.
type Kinesis interface {
	shardmap.API
	PutRecord(context.Context, *kinesis.PutRecordInput, ...func(*kinesis.Options)) (*kinesis.PutRecordOutput, error)
}

// Config says what to send, and where it should arrive.
type Config struct {
	Kinesis Kinesis
	Stream  streams.ID
	// Payload is the content of each record.
	Payload []byte
	// Transforms is set if the daemon transforms records, and therefore may drop them.
	Transforms bool

	Bucket objects.Bucket
	// ManifestPrefix is the MANIFEST_PREFIX of the daemon.
	ManifestPrefix string
	// Sent, if not nil, is called after all records are sent and before the wait.
	Sent func([]Record)
}

// Record is a record that was sent.
type Record struct {
	Shard, Sequence string
	// Key is the file that contains the record; empty until it is found.
	Key string
	// Error reports whether that is a file of error records: the pipeline rejected the payload.
	Error bool
	// Unnamed means that the batch was published, but its files have no event ids, so the record cannot be told from
	// others. Key is then empty.
	Unnamed bool
}

const (
	lookEvery = 2 * time.Second
	// skew is how far a worker's clock, which names manifests, may be behind ours.
	skew = time.Hour
)

// Run sends the records and waits for them until ctx ends. It returns the records sent, even with an error.
func Run(ctx context.Context, c Config) ([]Record, error) {
	// Fail now if the bucket cannot be read, not after the wait.
	for _, err := range c.Bucket.List(ctx, c.ManifestPrefix, "") {
		if err != nil {
			return nil, err
		}
		break
	}
	began := time.Now()
	sent, err := send(ctx, c)
	if err != nil {
		return sent, err
	}
	if c.Sent != nil {
		c.Sent(sent)
	}
	w := wait{Config: c, after: layout.ManifestFolder(c.ManifestPrefix, began.Add(-skew)), seen: make(map[string]bool)}
	for {
		if err := w.look(ctx, sent); err != nil && ctx.Err() == nil {
			return sent, err
		}
		missing := 0
		for _, r := range sent {
			if r.Key == "" && !r.Unnamed {
				missing++
			}
		}
		if missing == 0 {
			return sent, nil
		}
		if err := backoff.Sleep(ctx, lookEvery); err != nil {
			return sent, fmt.Errorf("%d of %d records have not arrived in any file: %w", missing, len(sent), err)
		}
	}
}

// send puts a record into each open shard.
func send(ctx context.Context, c Config) ([]Record, error) {
	listing, err := shardmap.NewLister(c.Kinesis, c.Stream).ListShards(ctx)
	if err != nil {
		return nil, err
	}
	var sent []Record
	for _, shard := range listing.Shards {
		if shard.Closed {
			continue
		}
		out, err := c.Kinesis.PutRecord(ctx, &kinesis.PutRecordInput{
			StreamName: c.Stream.ByName(), StreamARN: c.Stream.ByARN(),
			Data: c.Payload, PartitionKey: aws.String("consumer-check"), ExplicitHashKey: aws.String(shard.HashStart),
		})
		if err != nil {
			return sent, fmt.Errorf("send a record to shard %s: %w", shard.ID, err)
		}
		sent = append(sent, Record{Shard: *out.ShardId, Sequence: *out.SequenceNumber})
	}
	if len(sent) == 0 {
		return nil, fmt.Errorf("stream %s has no open shard", c.Stream)
	}
	return sent, nil
}

// wait looks for records in manifests.
type wait struct {
	Config
	after string
	seen  map[string]bool // manifests that were read
}

// look reads new manifests and sets the keys of the records they cover.
func (w *wait) look(ctx context.Context, sent []Record) error {
	for o, err := range w.Bucket.List(ctx, w.ManifestPrefix, w.after) {
		if err != nil {
			return err
		}
		key := *o.Key
		if _, _, ok := layout.ParseManifestKey(w.ManifestPrefix, key); !ok || w.seen[key] {
			continue
		}
		body, _, err := w.Bucket.Read(ctx, key, layout.MaxManifest)
		if err != nil {
			return err
		}
		w.seen[key] = true
		m, err := layout.DecodeManifest(body)
		if err != nil {
			return fmt.Errorf("manifest %s: %w", key, err)
		}
		if err := w.find(ctx, m, sent); err != nil {
			return fmt.Errorf("manifest %s: %w", key, err)
		}
	}
	return nil
}

// find looks in the files of a batch for the records that its manifest covers.
func (w *wait) find(ctx context.Context, m layout.Manifest, sent []Record) error {
	// By sequence number: if each shard counts on its own, several records have the same one.
	covered := make(map[string][]*Record)
	for i, r := range sent {
		if slices.ContainsFunc(m.Ranges, func(in checkpoint.Range) bool { return in.Shard == r.Shard && in.Contains(r.Sequence) }) {
			covered[r.Sequence] = append(covered[r.Sequence], &sent[i])
		}
	}
	if len(covered) == 0 {
		return nil
	}
	unnamed := false
	for _, f := range m.Files {
		if f.Backup {
			continue
		}
		err := audit.EachID(ctx, w.Bucket, f, func(id []byte) {
			unnamed = unnamed || len(id) == 0
			sequence, _, _ := bytes.Cut(id, []byte{'-'}) // of a record that was split
			same := covered[string(sequence)]
			if i := slices.IndexFunc(same, func(r *Record) bool { return r.Key == "" }); i >= 0 {
				same[i].Key, same[i].Error = f.Key, f.Error
			}
		})
		if err != nil {
			return err
		}
	}
	why := ""
	if w.Transforms {
		why = ": if the transform has dropped it, send a payload that it keeps"
	}
	var faults []error
	for _, same := range covered {
		for _, r := range same {
			if r.Key != "" {
				continue
			}
			if r.Unnamed = unnamed; !unnamed {
				faults = append(faults, fmt.Errorf("it covers record %s of shard %s, but none of its files contains it%s", r.Sequence, r.Shard, why))
			}
		}
	}
	return errors.Join(faults...)
}
