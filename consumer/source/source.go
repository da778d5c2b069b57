// Package source reads the shards of a Kinesis stream, with GetRecords or by enhanced fan-out.
//
// A Reader returns the records of one shard after a position, each once and in order, and does not give up: whatever
// Kinesis answers, it waits, opens a new iterator if that helps, and continues after the last record that it returned.
// It respects Kinesis's limits for the readers of a shard (five calls and 2 MB per second), so even at full speed it is
// not throttled unless others also read the shard.
//
// It cannot detect loss by retention. If the stream has trimmed the records after a position, Kinesis silently opens an
// AFTER_SEQUENCE_NUMBER iterator at the oldest remaining record, and sequence numbers have gaps anyway. Callers should
// compare Fetch.FirstArrival of a reader's first records with the arrival of the last committed record: if the two are
// further apart than the retention period, or if that record is older than it, records may be lost.
package source

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/internal/streams"
	"aws-streaming-pipeline/record"
)

// Limits of Kinesis (AWS, "Quotas and limits" of Kinesis Data Streams, and the API reference of GetRecords).
const (
	// maxRecords is the maximum number of records that one call may request.
	maxRecords = 10_000
	// maxAnswerBytes is the maximum payload of one answer.
	maxAnswerBytes = 10 << 20
	// readBytesPerSecond is the read limit of a shard, shared by all applications.
	readBytesPerSecond = 2_000_000
	// writeBytesPerSecond and writeRecordsPerSecond are the write limits of a shard.
	writeBytesPerSecond   = 1 << 20
	writeRecordsPerSecond = 1000
)

const (
	defaultMinInterval = 250 * time.Millisecond
	defaultIdle        = time.Second
	defaultTick        = time.Second
	defaultCallTimeout = 30 * time.Second
)

// Config says what to read, and how fast. Zero fields get their defaults.
type Config struct {
	Stream streams.ID
	// MaxRecords is the number of records that each call requests: 1 to 10,000, default 10,000.
	MaxRecords int
	// MinInterval is the minimum time between the starts of two calls per shard; default 250 ms. Kinesis allows five
	// calls per second for all applications together.
	MinInterval time.Duration
	// BytesPerSecond is the read rate per shard; default 2,000,000. An answer of 10 MB is followed by a pause of 5 s,
	// as Kinesis would enforce.
	BytesPerSecond int
	// Idle is the minimum time from a call that reached the tip of the shard to the next call; default 1 s.
	Idle time.Duration
	// Tick is the longest time that Next waits; default 1 s.
	Tick time.Duration
	// Consumer selects enhanced fan-out (SubscribeToShard): records are pushed to the consumer with this name, which is
	// registered if there is none, or with this ARN. Each shard then sends 2 MB per second to this consumer alone, and
	// MaxRecords, MinInterval, BytesPerSecond, Idle and JSON have no effect. If it is empty, records are read with
	// GetRecords.
	Consumer streams.ConsumerID
	// Silence is how long a subscription may send nothing before it is abandoned; default 35 s.
	Silence time.Duration
	// JSON makes GetRecords use AWS JSON 1.1 from the start. Otherwise it uses CBOR, which costs less, as long as the
	// service accepts it.
	JSON bool
	// CallTimeout bounds one Kinesis call; default 30 s.
	CallTimeout time.Duration
	// Until ends the reading of every shard before the records that arrived then or later, see Fetch.Stop. Zero: no end.
	Until time.Time
	// Decoder makes the decoder of a shard. A reader calls it before its first read; while it fails, nothing is read,
	// and it is called again as after a failed call.
	Decoder func(shard string) (Decoder, error)
	// Raw also returns the Kinesis records as they came, in Fetch.Raw.
	Raw bool
	// Closed reports whether the shard accepts no more records, according to a listing that began after the call. It is
	// called if an answer looks like the end of the shard but does not name the child shards, and before a shard is
	// stopped at its tip. If it is nil, such an answer never counts as the end, and such a shard counts as open.
	Closed func(ctx context.Context, shard string) (bool, error)
	// Budget accounts for what is read, from the call to the end of the Fetch; nil means no bound. Reading waits while
	// the budget is used up.
	Budget *budget.Budget
	// Trouble is called with the error of a failed call, and with nil after the first success that follows, or when a
	// reader that had none ends. A single expired iterator is not reported. Readers call it concurrently; it must not
	// block. It may be nil.
	Trouble func(shard string, err error)
}

// Decoder appends the user records of one Kinesis record, or the record with a Fault if it cannot be decoded. It may
// share memory with the payload. It may wait for what it needs to open a payload; its only error is ctx's.
type Decoder interface {
	Append(ctx context.Context, dst []record.Record, raw record.Record) ([]record.Record, error)
}

// Client is the set of Kinesis calls that reading needs; *kinesis.Client has them. A wrapper must pass the options on:
// they give GetRecords and SubscribeToShard a protocol of our own, and the SDK's output is ignored.
type Client interface {
	GetShardIterator(context.Context, *kinesis.GetShardIteratorInput, ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error)
	GetRecords(context.Context, *kinesis.GetRecordsInput, ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error)
	FanOut
}

// FanOut is the set of calls that enhanced fan-out needs.
type FanOut interface {
	SubscribeToShard(context.Context, *kinesis.SubscribeToShardInput, ...func(*kinesis.Options)) (*kinesis.SubscribeToShardOutput, error)
	DescribeStreamSummary(context.Context, *kinesis.DescribeStreamSummaryInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error)
	DescribeStreamConsumer(context.Context, *kinesis.DescribeStreamConsumerInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamConsumerOutput, error)
	RegisterStreamConsumer(context.Context, *kinesis.RegisterStreamConsumerInput, ...func(*kinesis.Options)) (*kinesis.RegisterStreamConsumerOutput, error)
}

// Source opens readers of one stream. It is safe for concurrent use.
type Source struct {
	cfg     Config
	client  Client
	log     *slog.Logger
	metrics *metrics.Metrics

	format   format
	consumer *registration // for fan-out
	renewal  renewal
}

// New makes a Source. Config.Stream and Config.Decoder are required; the metrics may be nil.
func New(cfg Config, client Client, log *slog.Logger, m *metrics.Metrics) *Source {
	s := &Source{cfg: cfg.withDefaults(), client: client, log: log, metrics: metrics.Or(m)}
	s.format.json.Store(cfg.JSON)
	s.consumer = newRegistration(s.cfg, client, log)
	s.renewal = renewal{every: subscribeEvery, again: subscribeAgain}
	return s
}

func (c Config) withDefaults() Config {
	if c.MaxRecords == 0 {
		c.MaxRecords = maxRecords
	}
	if c.MinInterval == 0 {
		c.MinInterval = defaultMinInterval
	}
	if c.BytesPerSecond == 0 {
		c.BytesPerSecond = readBytesPerSecond
	}
	if c.Idle == 0 {
		c.Idle = defaultIdle
	}
	if c.Tick == 0 {
		c.Tick = defaultTick
	}
	if c.Silence == 0 {
		c.Silence = defaultSilence
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = defaultCallTimeout
	}
	return c
}

// Open makes a reader of the records after a position. It makes no calls. The caller must call Close.
func (s *Source) Open(shard string, from checkpoint.Position) *Reader {
	// A call may outlast the Next that wanted it, so it uses the reader's own context.
	ctx, cancel := context.WithCancel(context.Background())
	p := &place{source: s, id: shard, from: from}
	if !s.cfg.Until.IsZero() {
		p.stop = &stop{until: s.cfg.Until}
	}
	p.last, _ = from.SequenceNumber()
	return &Reader{
		source: s, shard: shard, ctx: ctx, cancel: cancel, ended: from == checkpoint.ShardEnd,
		fetcher: fetcher{source: s, place: p, way: s.way(p)},
	}
}

// way returns the way in which a shard is read.
func (s *Source) way(p *place) way {
	if s.cfg.Consumer == "" {
		return &poll{source: s, place: p}
	}
	return &push{source: s, place: p}
}
