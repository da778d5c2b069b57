package consumer

import (
	"cmp"
	"errors"
	"strings"
	"time"

	"aws-streaming-pipeline/internal/settings"
	"aws-streaming-pipeline/internal/streams"
)

// StreamConfig sets what is read, and how. The patterns are from the Kinesis API Reference: CreateStream for names of streams,
// RegisterStreamConsumer for consumers.
type StreamConfig struct {
	Stream         string        `envconfig:"STREAM_NAME" required:"true" pattern:"^[a-zA-Z0-9_.-]{1,128}$" form:"the name of a stream: 1 to 128 letters, digits, _ . and -; the ARN goes into STREAM_ARN" desc:"Name of the Kinesis stream to read."`
	StreamARN      string        `envconfig:"STREAM_ARN" pattern:"^arn:[^:]+:kinesis:[^:]+:[0-9]{12}:stream/[a-zA-Z0-9_.-]{1,128}$" form:"the ARN of a stream such as arn:aws:kinesis:eu-west-1:123456789012:stream/trips" desc:"ARN of the stream, for a stream in another account. STREAM_NAME must match it. Default: the stream of that name in the account and region of the credentials."`
	Application    string        `envconfig:"APPLICATION_NAME" default:"streaming-pipeline" desc:"Name of this application. Workers with the same name share the stream's shards."`
	StartPosition  StartPosition `envconfig:"START_POSITION" default:"TRIM_HORIZON" desc:"Where an application that has no checkpoints starts to read: TRIM_HORIZON (the oldest record), LATEST, or an RFC 3339 time such as 2026-01-31T00:00:00Z."`
	StopPosition   StopPosition  `envconfig:"STOP_POSITION" desc:"Ends the program, with exit code 0, when every record that arrived before this time is delivered: an RFC 3339 time such as 2026-01-31T01:00:00Z, which may be in the future. It replays a part of the stream under an APPLICATION_NAME of its own, see docs/replay.md. Default: none; the daemon runs until it is stopped."`
	ReadInterval   time.Duration `envconfig:"READ_INTERVAL" default:"250ms" min:"200ms" max:"1m" desc:"Shortest interval between two reads of a shard. Kinesis allows 5 reads per second per shard, shared by all applications. With TRANSFORM, a longer interval means fewer calls."`
	Protocol       string        `envconfig:"KINESIS_PROTOCOL" default:"cbor" oneof:"cbor,json" desc:"Encoding of records on the wire: cbor, which the AWS SDK for Java also uses and which takes the least CPU time, or json. The daemon falls back to json by itself where cbor is not supported."`
	FanOutConsumer string        `envconfig:"FAN_OUT_CONSUMER" pattern:"^([a-zA-Z0-9_.-]{1,128}|arn:[^:]+:kinesis:[^:]+:[0-9]{12}:stream/[a-zA-Z0-9_.-]+/consumer/[a-zA-Z0-9_.-]+:[0-9]+)$" form:"a name of 1 to 128 letters, digits, _ . and -, or the ARN of a consumer of the stream" desc:"Reads by enhanced fan-out through the consumer of this name (registered if it does not exist) or ARN: 2 MB/s per shard for this application alone, billed separately. Default: none; records are fetched with GetRecords."`
}

func (c *StreamConfig) check(f *settings.Faults) {
	if c.StreamARN != "" && f.Sound("STREAM_NAME") {
		f.Check(strings.HasSuffix(c.StreamARN, ":stream/"+c.Stream), "STREAM_ARN", "the ARN of the stream that STREAM_NAME names, "+c.Stream)
	}
	if stop := c.StopPosition.Time; !stop.IsZero() && f.Sound("START_POSITION") && !c.StartPosition.Time.IsZero() {
		f.Check(stop.After(c.StartPosition.Time), "STOP_POSITION", "a time after START_POSITION, "+c.StartPosition.Time.Format(time.RFC3339Nano))
	}
}

// StreamID returns how requests name the stream: by its ARN if set, otherwise by its name.
func (c *StreamConfig) StreamID() streams.ID { return streams.ID(cmp.Or(c.StreamARN, c.Stream)) }

// StartPosition is where an application without checkpoints begins.
type StartPosition struct {
	Latest bool
	Time   time.Time // zero: the oldest record
}

// Want describes valid values for errors.
func (*StartPosition) Want() string {
	return "TRIM_HORIZON, LATEST or an RFC 3339 time such as 2026-01-31T00:00:00Z"
}

// Decode parses TRIM_HORIZON, LATEST or an RFC 3339 time, for envconfig.
func (p *StartPosition) Decode(value string) error {
	switch value {
	case "TRIM_HORIZON":
		*p = StartPosition{}
		return nil
	case "LATEST":
		*p = StartPosition{Latest: true}
		return nil
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return errors.New("want " + p.Want())
	}
	*p = StartPosition{Time: t}
	return nil
}

// StopPosition is where reading ends.
type StopPosition struct {
	Time time.Time // zero: nowhere
}

// Want describes valid values for errors.
func (*StopPosition) Want() string {
	return "an RFC 3339 time such as 2026-01-31T01:00:00Z, or nothing"
}

// Decode parses an RFC 3339 time, for envconfig.
func (p *StopPosition) Decode(value string) error {
	if value == "" {
		*p = StopPosition{}
		return nil
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil || t.IsZero() {
		return errors.New("want " + p.Want())
	}
	*p = StopPosition{Time: t}
	return nil
}
