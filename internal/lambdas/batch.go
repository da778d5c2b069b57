package lambdas

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/uuid"

	"aws-streaming-pipeline/record"
)

// Batch is what Lambda has read from one shard, taken apart.
type Batch struct {
	// Records are the user records in the order of the stream. They share memory with the event.
	Records []record.Record
	// Received counts the Kinesis records that they came from.
	Received int
	// Bytes is the size of the payloads as they came.
	Bytes int
	Shard string
	// First and Last are the sequence numbers of the first and the last Kinesis record.
	First, Last string
	// Rest is the sequence number of the first Kinesis record of the event that is not in the batch; empty if all are.
	Rest string
	// Arrival is when Kinesis took the first record, in UTC.
	Arrival time.Time

	id uuid.UUID
}

// OpenBatch takes an event apart. It has no batch and an error for what is no batch of Kinesis records at all; records that
// can not be read come with a Fault. If ctx ends before all payloads are opened, the batch is of the records before the one that
// waits, which may be none, and comes with ctx's error: Lambda is to retry from Rest on.
func OpenBatch(ctx context.Context, event events.KinesisEvent, d *record.Decoder) (*Batch, error) {
	if len(event.Records) == 0 {
		return nil, errors.New("open batch: the event has no records: is it one of a Kinesis event source mapping?")
	}
	for i := range event.Records {
		r := &event.Records[i]
		if _, sequence, ok := strings.Cut(r.EventID, ":"); !ok || sequence != r.Kinesis.SequenceNumber || sequence == "" {
			return nil, fmt.Errorf("open batch: record %d: event id %q is not a shard, a colon and the sequence number", i, r.EventID)
		}
	}
	first := &event.Records[0]
	b := &Batch{
		Records: make([]record.Record, 0, len(event.Records)), First: first.Kinesis.SequenceNumber, Arrival: arrival(first),
	}
	b.Shard, _, _ = strings.Cut(first.EventID, ":")
	last := first
	for i := range event.Records {
		r := &event.Records[i]
		shard, _, _ := strings.Cut(r.EventID, ":")
		all, err := d.Append(ctx, b.Records, record.Record{
			Shard: shard, SequenceNumber: r.Kinesis.SequenceNumber, PartitionKey: r.Kinesis.PartitionKey, Arrival: arrival(r), Data: r.Kinesis.Data,
		})
		if err != nil {
			b.Rest = r.Kinesis.SequenceNumber
			return b.until(first, last), err
		}
		b.Records, last = all, r
		b.Received++
		b.Bytes += len(r.Kinesis.Data)
	}
	return b.until(first, last), nil
}

// until names the batch by its first and its last record.
func (b *Batch) until(first, last *events.KinesisEventRecord) *Batch {
	b.Last = last.Kinesis.SequenceNumber
	// A comma is in no ARN and in no event id.
	b.id = uuid.NewSHA1(namespace, []byte(first.EventSourceArn+","+first.EventID+","+last.EventID))
	return b
}

// arrival is when Kinesis took a record. The event has the time as a fraction of seconds in binary, which misses the millisecond
// by a little.
func arrival(r *events.KinesisEventRecord) time.Time {
	return r.Kinesis.ApproximateArrivalTimestamp.Round(time.Millisecond).UTC()
}

// namespace is the UUID under which those of batches are derived (RFC 9562, section 5.5). It never changes.
var namespace = uuid.MustParse("6f0d6a4e-9d0e-5c77-9f5e-3a7c1f0f2b61")

// Name is the name of the batch's objects without their extension: the hour of its first record's arrival, in UTC, and
// a UUID made of the stream, the shard and the first and last sequence numbers, as
// 2026_01_31_23_5d2f5e9c-….
func (b *Batch) Name() string { return b.Arrival.Format("2006_01_02_15_") + b.id.String() }

// Failures is the answer that asks Lambda to retry from a sequence number on. An empty one asks for nothing.
func Failures(from string) []events.KinesisBatchItemFailure {
	if from == "" {
		return []events.KinesisBatchItemFailure{}
	}
	return []events.KinesisBatchItemFailure{{ItemIdentifier: from}}
}

// margin is the time that a function keeps for its answer before Lambda ends it.
const margin = 2 * time.Second

// OpenUntil ends the time for opening payloads, which may wait for a schema registry: half of what ctx has, so that what was opened
// can be delivered.
func OpenUntil(ctx context.Context, now time.Time) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, now.Add(deadline.Sub(now)/2))
}

// WorkUntil is the time until which a function may work that has to be done at the deadline: margin or, of a short time,
// a quarter earlier.
func WorkUntil(now, deadline time.Time) time.Time {
	return deadline.Add(-min(margin, deadline.Sub(now)/4))
}
