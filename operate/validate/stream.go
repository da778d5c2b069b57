package validate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/consumer/shardmap"
	"aws-streaming-pipeline/internal/streams"
)

// tryStream describes the stream, lists its shards, and reads one.
func (t *tester) tryStream(ctx context.Context, r *Result) {
	id := t.cfg.StreamID()
	out, err := t.kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: id.ByName(), StreamARN: id.ByARN()})
	if err == nil && out.StreamDescriptionSummary == nil {
		err = errors.New("the answer is empty")
	}
	described := err == nil
	if !described {
		t.explain(r, err, call{what: "describe the stream " + t.cfg.Stream, action: "kinesis:DescribeStreamSummary", setting: "STREAM_NAME"})
		if !answered(err) || is(err, "ResourceNotFoundException") {
			return
		}
	} else {
		t.stream = out.StreamDescriptionSummary
		if s := t.stream.StreamStatus; s == types.StreamStatusCreating || s == types.StreamStatusDeleting {
			r.Fail("STREAM_NAME", fmt.Sprintf("the stream %s has the status %s", t.cfg.Stream, s), "wait until it is ACTIVE, or name another stream")
			return
		}
	}
	shards, err := shardmap.NewLister(t.kinesis, id).ListShards(ctx)
	if err != nil {
		t.explain(r, err, call{what: "list the shards of the stream", action: "kinesis:ListShards", setting: "STREAM_NAME"})
		if !answered(err) {
			return
		}
	}
	// The daemon needs no permission to fetch records if they are pushed to it.
	read := ""
	if t.cfg.FanOutConsumer != "" {
		t.tryFanOut(ctx, r)
	} else {
		shard := "shardId-000000000000" // if they could not be listed
		for _, s := range shards.Shards {
			if shard = s.ID; !s.Closed {
				break
			}
		}
		if t.readShard(ctx, r, shard) {
			read = "; read " + shard
		}
	}
	if r.Failed() {
		return
	}
	open := 0
	for _, s := range shards.Shards {
		if !s.Closed {
			open++
		}
	}
	r.OK("%s: %d open shards, %s, retention %s%s", t.cfg.Stream, open, mode(t.stream), hours(retention(t.stream)), read)
	t.warnOfStream(r, out)
}

func mode(s *types.StreamDescriptionSummary) string {
	if s.StreamModeDetails == nil || s.StreamModeDetails.StreamMode == "" {
		return string(types.StreamModeProvisioned)
	}
	return string(s.StreamModeDetails.StreamMode)
}

func retention(s *types.StreamDescriptionSummary) time.Duration {
	return time.Duration(aws.ToInt32(s.RetentionPeriodHours)) * time.Hour
}

func hours(d time.Duration) string { return fmt.Sprintf("%d h", int(d/time.Hour)) }

// skew is the difference between the clocks from which a line says so. AWS refuses requests whose time is wrong by more than five
// minutes (AWS IAM User Guide, "Elements of an AWS API request signature").
const skew = time.Minute

// warnOfStream warns of what works with the stream, but not well.
func (t *tester) warnOfStream(r *Result, out *kinesis.DescribeStreamSummaryOutput) {
	if kept := retention(t.stream); t.cfg.CommitInterval > kept/12 {
		r.Warn("COMMIT_INTERVAL", fmt.Sprintf("records are kept for %s, and COMMIT_INTERVAL=%v of them may not be committed when the daemon fails: the rest is all the time to repair it",
			hours(kept), t.cfg.CommitInterval), "raise the stream's retention, or lower COMMIT_INTERVAL")
	}
	served, ok := awsmiddleware.GetServerTime(out.ResultMetadata)
	if off := time.Since(served); ok && !served.IsZero() && off.Abs() > skew {
		r.Warn("", fmt.Sprintf("the clock of this host differs from that of Kinesis by %v", off.Round(time.Second)),
			"synchronize the clock: AWS refuses requests that are more than 5 minutes off")
	}
}

// readShard gets an iterator and records, and reports whether that worked.
func (t *tester) readShard(ctx context.Context, r *Result, shard string) bool {
	id := t.cfg.StreamID()
	iterator, err := t.kinesis.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: id.ByName(), StreamARN: id.ByARN(), ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		t.explain(r, err, call{what: "find the beginning of " + shard, action: "kinesis:GetShardIterator", setting: "STREAM_NAME"})
		return false
	}
	_, err = t.kinesis.GetRecords(ctx, &kinesis.GetRecordsInput{StreamARN: id.ByARN(), ShardIterator: iterator.ShardIterator, Limit: aws.Int32(1)})
	switch {
	case is(err, "ProvisionedThroughputExceededException"):
		// The daemon, or somebody else, reads: it is allowed.
		r.Warn("READ_INTERVAL", "the shard "+shard+" is read more often than Kinesis allows, 5 times per second for all applications", "see whether other applications read the stream, and consider FAN_OUT_CONSUMER")
	case err != nil:
		t.explain(r, err, call{what: "read " + shard, action: "kinesis:GetRecords", setting: "STREAM_NAME"})
		return false
	}
	return true
}

// noShard is an id that no shard has.
const noShard = "shardId-999999999999"

// tryFanOut looks for the consumer, and tries to subscribe it to a shard that does not exist: a subscription to one that does would take
// that of a running daemon away.
func (t *tester) tryFanOut(ctx context.Context, r *Result) {
	consumer := t.cfg.FanOutConsumer
	if !streams.ConsumerID(consumer).IsARN() {
		var ok bool
		if consumer, ok = t.findConsumer(ctx, r); !ok {
			return
		}
	} else if t.stream != nil && !streams.ConsumerID(consumer).Of(aws.ToString(t.stream.StreamARN)) {
		r.Fail("FAN_OUT_CONSUMER", "the consumer is not registered on the stream "+aws.ToString(t.stream.StreamARN), "name a consumer of that stream, or give a name without ARN, which the daemon registers")
		return
	}
	out, err := t.kinesis.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
		ConsumerARN: &consumer, ShardId: aws.String(noShard), StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeLatest},
	})
	switch {
	case err == nil:
		out.GetStream().Close()
		r.OK("the consumer %s may subscribe to shards", name(consumer))
	case is(err, "ResourceNotFoundException", "InvalidArgumentException", "ValidationException"): // the shard: it is allowed
		r.OK("the consumer %s may subscribe to shards", name(consumer))
	default:
		t.explain(r, err, call{what: "subscribe the consumer to a shard that does not exist", action: "kinesis:SubscribeToShard", setting: "FAN_OUT_CONSUMER"})
	}
}

// findConsumer returns the ARN of the consumer of a name. There need not be one: the daemon registers it.
func (t *tester) findConsumer(ctx context.Context, r *Result) (arn string, ok bool) {
	if t.stream == nil {
		return "", false // its ARN is not known
	}
	out, err := t.kinesis.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{StreamARN: t.stream.StreamARN, ConsumerName: &t.cfg.FanOutConsumer})
	switch {
	case is(err, "ResourceNotFoundException"):
		r.OK("the consumer %s is not registered; the daemon registers it, for which it needs kinesis:RegisterStreamConsumer. That right cannot be tried without registering it", t.cfg.FanOutConsumer)
		return "", false
	case err != nil:
		t.explain(r, err, call{what: "look for the consumer " + t.cfg.FanOutConsumer, action: "kinesis:DescribeStreamConsumer", setting: "FAN_OUT_CONSUMER"})
		return "", false
	}
	return aws.ToString(out.ConsumerDescription.ConsumerARN), true
}

// name returns the name of a consumer given by its ARN.
func name(arn string) string {
	_, name, _ := strings.Cut(arn, "/consumer/")
	name, _, _ = strings.Cut(name, ":")
	return name
}
