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
	// Arrival is when Kinesis took the first record, in UTC.
	Arrival time.Time

	id uuid.UUID
}

// OpenBatch takes an event apart. It has no batch and an error for what is no batch of Kinesis records at all; records that
// can not be read come with a Fault. If ctx ends before all payloads are opened, the batch comes without records and with
// ctx's error.
func OpenBatch(ctx context.Context, event events.KinesisEvent, d *record.Decoder) (*Batch, error) {
	if len(event.Records) == 0 {
		return nil, errors.New("open batch: the event has no records: is it one of a Kinesis event source mapping?")
	}
	b := &Batch{Received: len(event.Records)}
	records := make([]record.Record, 0, len(event.Records))
	var late error
	for i := range event.Records {
		r := &event.Records[i]
		shard, sequence, ok := strings.Cut(r.EventID, ":")
		if !ok || sequence != r.Kinesis.SequenceNumber || sequence == "" {
			return nil, fmt.Errorf("open batch: record %d: event id %q is not a shard, a colon and the sequence number", i, r.EventID)
		}
		b.Bytes += len(r.Kinesis.Data)
		if late != nil {
			continue
		}
		records, late = d.Append(ctx, records, record.Record{
			Shard:          shard,
			SequenceNumber: sequence,
			PartitionKey:   r.Kinesis.PartitionKey,
			// The event has the time as a fraction of seconds in binary, which misses the millisecond by a little.
			Arrival: r.Kinesis.ApproximateArrivalTimestamp.Round(time.Millisecond).UTC(),
			Data:    r.Kinesis.Data,
		})
	}
	first, last := event.Records[0], event.Records[len(event.Records)-1]
	b.Shard, _, _ = strings.Cut(first.EventID, ":")
	b.First, b.Last = first.Kinesis.SequenceNumber, last.Kinesis.SequenceNumber
	b.Arrival = first.Kinesis.ApproximateArrivalTimestamp.Round(time.Millisecond).UTC()
	// A comma is in no ARN and in no event id.
	b.id = uuid.NewSHA1(namespace, []byte(first.EventSourceArn+","+first.EventID+","+last.EventID))
	if late == nil {
		b.Records = records
	}
	return b, late
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

// Margin is the time that a function keeps for its answer before Lambda ends it.
const Margin = 2 * time.Second

// WorkUntil is the time until which a function may work that has to be done at the deadline: Margin or, of a short time,
// a quarter earlier.
func WorkUntil(now, deadline time.Time) time.Time {
	return deadline.Add(-min(Margin, deadline.Sub(now)/4))
}
