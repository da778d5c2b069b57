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

// Batch holds the decoded records that Lambda has read from one shard.
type Batch struct {
	// Records are the user records in the order of the stream. They share memory with the event.
	Records []record.Record
	// Received counts the Kinesis records that they came from.
	Received int
	// Bytes is the size of the payloads as received.
	Bytes int
	Shard string
	// First and Last are the sequence numbers of the first and the last Kinesis record.
	First, Last string
	// Rest is the sequence number of the first Kinesis record of the event that is not in the batch; empty if all are.
	Rest string
	// Arrival is when Kinesis received the first record, in UTC.
	Arrival time.Time

	id uuid.UUID
}

// OpenBatch decodes an event. It returns an error and no batch if the event is not a batch of Kinesis records; records that
// cannot be read have a Fault. If ctx ends before all payloads are opened, it returns ctx's error and a batch of the records
// before the one that waits, which may be none: Lambda must retry from Rest on.
func OpenBatch(ctx context.Context, event events.KinesisEvent, d *record.Decoder) (*Batch, error) {
	if len(event.Records) == 0 {
		return nil, errors.New("open batch: the event has no records: is it one of a Kinesis event source mapping?")
	}
	for i := range event.Records {
		r := &event.Records[i]
		if _, sequence, ok := strings.Cut(r.EventID, ":"); !ok || sequence != r.Kinesis.SequenceNumber || sequence == "" {
			return nil, fmt.Errorf("open batch: record %d: event id %q: want a shard, a colon and the sequence number", i, r.EventID)
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

// arrival returns when Kinesis received a record. The event has the time in seconds as a binary fraction, which is not quite
// a whole millisecond.
func arrival(r *events.KinesisEventRecord) time.Time {
	return r.Kinesis.ApproximateArrivalTimestamp.Round(time.Millisecond).UTC()
}

// namespace is the UUID under which those of batches are derived (RFC 9562, section 5.5). It never changes.
var namespace = uuid.MustParse("6f0d6a4e-9d0e-5c77-9f5e-3a7c1f0f2b61")

// Name returns the name of the batch's objects without their extension: the hour of its first record's arrival, in UTC,
// and a UUID derived from the stream, the shard and the first and last sequence numbers, such as
// 2026_01_31_23_5d2f5e9c-….
func (b *Batch) Name() string { return b.Arrival.Format("2006_01_02_15_") + b.id.String() }

// Failures returns the response that asks Lambda to retry from a sequence number on. If that is empty, it asks for nothing.
func Failures(from string) []events.KinesisBatchItemFailure {
	if from == "" {
		return []events.KinesisBatchItemFailure{}
	}
	return []events.KinesisBatchItemFailure{{ItemIdentifier: from}}
}

// margin is the time that a function reserves for its response before Lambda ends it.
const margin = 2 * time.Second

// OpenUntil limits the time for opening payloads, which may wait for a schema registry, to half of ctx's, so that opened
// payloads can be delivered.
func OpenUntil(ctx context.Context, now time.Time) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, now.Add(deadline.Sub(now)/2))
}

// WorkUntil returns the time until which a function with that deadline may work: margin earlier, or if the time is short,
// a quarter of it.
func WorkUntil(now, deadline time.Time) time.Time {
	return deadline.Add(-min(margin, deadline.Sub(now)/4))
}
