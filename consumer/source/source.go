// Package source reads the shards of a Kinesis stream, with GetRecords or by enhanced fan-out.
//
// A Reader gives the records of one shard after a position, each once and in order, and does not give up: whatever
// Kinesis answers, it waits, opens another iterator where that helps, and goes on after the last record that it
// returned. It keeps to the limits that Kinesis sets to the readers of a shard (five calls and 2 MB a second), so at
// full speed it is not throttled unless others read the shard as well.
//
// What it can not see is loss by retention. Where the stream has trimmed the records after a position, Kinesis opens
// an AFTER_SEQUENCE_NUMBER iterator at the oldest record that is left, without a word, and sequence numbers have gaps
// by nature. Fetch.FirstArrival of a reader's first records is there to be compared with the arrival of the last
// committed record: if they lie further apart than the retention period, or if that record is older than it, records
// may be lost.
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
	// maxRecords is the most records that one call may ask for.
	maxRecords = 10_000
	// maxAnswerBytes is the most payload that one answer brings.
	maxAnswerBytes = 10 << 20
	// readBytesPerSecond is what may be read of a shard, by all applications together.
	readBytesPerSecond = 2_000_000
	// writeBytesPerSecond and writeRecordsPerSecond are what producers may write to a shard.
	writeBytesPerSecond   = 1 << 20
	writeRecordsPerSecond = 1000
)

const (
	defaultMinInterval = 250 * time.Millisecond
	defaultIdle        = time.Second
	defaultTick        = time.Second
	defaultCallTimeout = 30 * time.Second
)

// Config says what is read, and how fast. Fields without a value get their default.
type Config struct {
	Stream streams.ID
	// MaxRecords is asked for in each call: 1 to 10,000, default 10,000.
	MaxRecords int
	// MinInterval is the least time between the starts of two calls of a shard; default 250 ms. Kinesis allows five
	// calls a second to all applications together.
	MinInterval time.Duration
	// BytesPerSecond is the rate of reading a shard; default 2,000,000. An answer of 10 MB is followed by a pause of
	// 5 s, as Kinesis would enforce it.
	BytesPerSecond int
	// Idle is the least time from a call that reached the tip of the shard to the next; default 1 s.
	Idle time.Duration
	// Tick is the longest time that Next waits; default 1 s.
	Tick time.Duration
	// Consumer has the records pushed by enhanced fan-out (SubscribeToShard) to the consumer of this name, which is
	// registered if there is none, or of this ARN. Empty: they are asked for with GetRecords. Each shard then sends 2 MB a
	// second to this consumer alone, and MaxRecords, MinInterval, BytesPerSecond, Idle and JSON have no meaning.
	Consumer streams.ConsumerID
	// Silence is how long a subscription may say nothing before it is given up; default 35 s.
	Silence time.Duration
	// JSON has GetRecords called in AWS JSON 1.1 from the start. Otherwise it is called in CBOR, which costs less, as long
	// as the service takes it.
	JSON bool
	// CallTimeout bounds one call of Kinesis; default 30 s.
	CallTimeout time.Duration
	// Decoder makes what takes the Kinesis records of a shard apart. A reader asks for it before it reads for the first
	// time; while it fails, nothing is read, and it is asked again as after a failed call.
	Decoder func(shard string) (Decoder, error)
	// Closed tells whether the shard takes no more records, by a listing that began after it was asked. It is asked where
	// an answer looks like the end of the shard and does not name the shards that follow. With nil such an answer is never
	// taken for the end.
	Closed func(ctx context.Context, shard string) (bool, error)
	// Budget takes account of what is read, from the call to the end of the Fetch; nil for no bound. Reading waits
	// while it is used up.
	Budget *budget.Budget
	// Trouble is told of failed calls, and with a nil error of the first success after them, or of the end of a reader
	// that had none. An iterator that has expired once is no trouble. Readers call it at the same time; it must not wait.
	// It may be nil.
	Trouble func(shard string, err error)
}

// Decoder appends the user records of one Kinesis record, or the record with a Fault if it can not be taken apart. It
// may share memory with the payload. It may wait for what it takes to open a payload; its only error is ctx's.
type Decoder interface {
	Append(ctx context.Context, dst []record.Record, raw record.Record) ([]record.Record, error)
}

// Client are the calls of Kinesis that reading takes, those of *kinesis.Client. What stands before one passes the
// options on: GetRecords and SubscribeToShard are given a protocol of their own by them, and what they return is not
// looked at.
type Client interface {
	GetShardIterator(context.Context, *kinesis.GetShardIteratorInput, ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error)
	GetRecords(context.Context, *kinesis.GetRecordsInput, ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error)
	FanOut
}

// FanOut are the calls that enhanced fan-out takes.
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
	consumer *registration // of fan-out
	renewal  renewal
}

// New makes a Source. Config.Stream and Config.Decoder are required, the metrics may be nil.
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

// Open makes a reader of the records after a position. It calls nobody. The caller owes a Close.
func (s *Source) Open(shard string, from checkpoint.Position) *Reader {
	// A call may take longer than the Next that wanted it, so it hangs on a context of the reader's own.
	ctx, cancel := context.WithCancel(context.Background())
	p := &place{source: s, id: shard, from: from}
	p.last, _ = from.SequenceNumber()
	return &Reader{
		source: s, shard: shard, ctx: ctx, cancel: cancel, ended: from == checkpoint.ShardEnd,
		fetcher: fetcher{source: s, place: p, way: s.way(p)},
	}
}

// way makes what reads a shard.
func (s *Source) way(p *place) way {
	if s.cfg.Consumer == "" {
		return &poll{source: s, place: p}
	}
	return &push{source: s, place: p}
}
