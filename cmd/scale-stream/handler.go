package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/internal/lambdas"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/scaling"
)

// changesTag is the stream's tag with the times of its changes; scaling.FormatHistory writes it.
const changesTag = "scale-stream.changes"

// streams is the part of the Kinesis client that the function calls.
type streams interface {
	DescribeStreamSummary(context.Context, *kinesis.DescribeStreamSummaryInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error)
	ListTagsForStream(context.Context, *kinesis.ListTagsForStreamInput, ...func(*kinesis.Options)) (*kinesis.ListTagsForStreamOutput, error)
	AddTagsToStream(context.Context, *kinesis.AddTagsToStreamInput, ...func(*kinesis.Options)) (*kinesis.AddTagsToStreamOutput, error)
	UpdateShardCount(context.Context, *kinesis.UpdateShardCountInput, ...func(*kinesis.Options)) (*kinesis.UpdateShardCountOutput, error)
}

type handler struct {
	stream  string
	dryRun  bool
	planner scaling.Planner
	kinesis streams
	metrics metricReader
	log     *slog.Logger
	out     *lambdas.Metrics
	now     func() time.Time
}

// answer is the function's result, for people who invoke it by hand.
type answer struct {
	Stream  string         `json:"stream"`
	Shards  int            `json:"shards"`
	Target  int            `json:"target"`
	Reason  scaling.Reason `json:"reason"`
	Detail  string         `json:"detail"`
	Changed bool           `json:"changed"`
	DryRun  bool           `json:"dry_run"`
}

// handle checks the stream and changes it if needed. Lambda retries after an error.
func (h *handler) handle(ctx context.Context, event json.RawMessage) (answer, error) {
	now := h.now()
	state, err := h.look(ctx, now)
	if err != nil {
		return answer{}, err
	}
	d := h.planner.Plan(now, state)
	a := answer{Stream: h.stream, Shards: state.Shards, Target: d.Shards, Reason: d.Reason, Detail: d.Detail, DryRun: h.dryRun}
	if d.Shards != state.Shards && !h.dryRun {
		if a.Changed, err = h.change(ctx, now, state, d.Shards); err != nil {
			return answer{}, err
		}
	}
	h.report(a, cause(event), now)
	return a, nil
}

// look collects the planner's input. It reads the stream after its metrics, to keep the time until the change short, and the
// tags last, so that a run that sees a change also sees its time.
func (h *handler) look(ctx context.Context, now time.Time) (scaling.Stream, error) {
	minutes, err := readMinutes(ctx, h.metrics, h.stream, now.Add(-h.planner.DownWindow-5*time.Minute), now)
	if err != nil {
		return scaling.Stream{}, err
	}
	state, err := h.describe(ctx)
	if err != nil {
		return scaling.Stream{}, err
	}
	state.Minutes = minutes
	state.Changes, err = h.changes(ctx, state.Shards, now)
	return state, err
}

// describe reads the stream's shard count, status and mode.
func (h *handler) describe(ctx context.Context) (scaling.Stream, error) {
	described, err := h.kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &h.stream})
	if err != nil {
		return scaling.Stream{}, fmt.Errorf("describe stream %s: %w", h.stream, err)
	}
	summary := described.StreamDescriptionSummary
	return scaling.Stream{
		Shards:   int(aws.ToInt32(summary.OpenShardCount)),
		Active:   summary.StreamStatus == types.StreamStatusActive,
		OnDemand: summary.StreamModeDetails != nil && summary.StreamModeDetails.StreamMode == types.StreamModeOnDemand,
	}, nil
}

// changes reads the times of the last day's changes from the tags of the stream, given its number of shards. A stream has at
// most 50 tags.
func (h *handler) changes(ctx context.Context, shards int, now time.Time) ([]time.Time, error) {
	in := &kinesis.ListTagsForStreamInput{StreamName: &h.stream}
	for {
		out, err := h.kinesis.ListTagsForStream(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list tags of stream %s: %w", h.stream, err)
		}
		for _, tag := range out.Tags {
			if aws.ToString(tag.Key) == changesTag {
				changes, err := scaling.ParseHistory(aws.ToString(tag.Value), shards, now)
				if err != nil {
					h.log.Warn("tag cannot be parsed, the valid part is used", logkey.Key, changesTag, logkey.Error, err)
				}
				return changes, nil
			}
		}
		if !aws.ToBool(out.HasMoreTags) || len(out.Tags) == 0 {
			return nil, nil
		}
		in.ExclusiveStartTagKey = out.Tags[len(out.Tags)-1].Key
	}
}

// change makes a change. It returns false if the change was refused: the log says why, and the next run plans again.
func (h *handler) change(ctx context.Context, now time.Time, planned scaling.Stream, target int) (bool, error) {
	refusal, err := h.attempt(ctx, now, planned, target)
	if err != nil {
		return false, err
	}
	if refusal != nil {
		h.log.Warn("stream not changed", logkey.Stream, h.stream, logkey.Shards, planned.Shards, "target", target, logkey.Error, refusal)
	}
	return refusal == nil, nil
}

// attempt writes the attempt to the stream's tag, checks that the stream is still as planned for, and changes it. A refusal
// means that another run was faster, or that a limit of the service is reached. The attempt then stays in the tag: it does
// not count as a change (scaling.ParseHistory), and removing it could erase what another run has written.
func (h *handler) attempt(ctx context.Context, now time.Time, planned scaling.Stream, target int) (refusal, err error) {
	_, err = h.kinesis.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{
		StreamName: &h.stream, Tags: map[string]string{changesTag: scaling.FormatHistory(planned.Changes, now, planned.Shards)},
	})
	switch {
	case inUse(err):
		return err, nil
	case err != nil:
		return nil, fmt.Errorf("tag stream %s: %w", h.stream, err)
	}
	found, err := h.describe(ctx)
	if err != nil {
		return nil, err
	}
	if !found.Active || found.Shards != planned.Shards {
		return fmt.Errorf("the stream has changed since the plan: %d shards, active %t", found.Shards, found.Active), nil
	}
	_, err = h.kinesis.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{
		StreamName: &h.stream, TargetShardCount: aws.Int32(int32(target)), ScalingType: types.ScalingTypeUniformScaling,
	}, once)
	if inUse(err) || limitReached(err) {
		return err, nil
	}
	if err != nil {
		// Only a refusal is certain: a change whose response was lost may have been made.
		return nil, fmt.Errorf("update shard count of stream %s from %d to %d: %w", h.stream, planned.Shards, target, err)
	}
	return nil, nil
}

// once keeps the SDK from retrying: after a lost response the retry would be refused because of its own change.
func once(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} }

// inUse reports whether the service refuses because the stream is not ACTIVE.
func inUse(err error) bool {
	_, ok := errors.AsType[*types.ResourceInUseException](err)
	return ok
}

// limitReached reports whether the service refuses because of its limits, such as the changes per day.
func limitReached(err error) bool {
	_, ok := errors.AsType[*types.LimitExceededException](err)
	return ok
}

// report logs and counts a decision.
func (h *handler) report(a answer, cause string, now time.Time) {
	level := slog.LevelInfo
	switch a.Reason {
	case scaling.KeepSpent, scaling.KeepLimit, scaling.KeepSkewed:
		level = slog.LevelWarn // producers are throttled, and only an operator can help
	}
	h.log.Log(context.Background(), level, "shard count decided", logkey.Stream, a.Stream, logkey.Shards, a.Shards, "target", a.Target,
		logkey.Reason, a.Reason, "detail", a.Detail, "cause", cause, "changed", a.Changed, "dry_run", a.DryRun)
	err := h.out.Write(now, []lambdas.Metric{
		{Name: lambdas.ShardsOpen, Unit: lambdas.Count, Value: float64(a.Shards)},
		{Name: lambdas.ShardsWanted, Unit: lambdas.Count, Value: float64(a.Target)},
	}, map[string]string{logkey.Stream: a.Stream, logkey.Reason: string(a.Reason)})
	if err != nil {
		h.log.Error("metrics not written", logkey.Error, err)
	}
}

// alarm holds the fields of both kinds of alarm messages (Amazon CloudWatch User Guide, "Invoke a Lambda function from an
// alarm"; for SNS, the message of a notification).
type alarm struct {
	AlarmName     string `json:"AlarmName"`
	NewStateValue string `json:"NewStateValue"`
	AlarmData     struct {
		AlarmName string `json:"alarmName"`
		State     struct {
			Value string `json:"value"`
		} `json:"state"`
	} `json:"alarmData"`
}

// cause names an event's alarm, only for the log: the decision depends on the stream alone. The alarm invokes the function
// directly or through SNS.
func cause(event json.RawMessage) string {
	var message events.SNSEvent
	text := []byte(event)
	if err := json.Unmarshal(event, &message); err == nil && len(message.Records) > 0 {
		text = []byte(message.Records[0].SNS.Message)
	}
	var a alarm
	if err := json.Unmarshal(text, &a); err != nil {
		return "no alarm"
	}
	switch {
	case a.AlarmName != "":
		return a.AlarmName + " " + a.NewStateValue
	case a.AlarmData.AlarmName != "":
		return a.AlarmData.AlarmName + " " + a.AlarmData.State.Value
	}
	return "no alarm"
}
