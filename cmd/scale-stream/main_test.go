package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/internal/scaling"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/lambdatest"
	"aws-streaming-pipeline/internal/test/race"
)

const streamName = "trips"

// stage is a stream and its metrics.
type stage struct {
	kinesis    *kinesis.Client
	cloudWatch *cloudWatch
	streams    *lambdatest.Service
	metrics    *lambdatest.Service
}

func newStage(t *testing.T, shards int32) stage {
	t.Helper()
	race.LeaveOut(t)
	endpoint := emulator.Moto(t)
	account := aws.Config{
		Region: endpoint.Region, BaseEndpoint: aws.String(endpoint.URL),
		Credentials: credentials.NewStaticCredentialsProvider(endpoint.AccessKey, endpoint.SecretKey, ""),
	}
	s := stage{
		kinesis: kinesis.NewFromConfig(account), cloudWatch: &cloudWatch{},
		streams: lambdatest.Serve(t, "kinesis", lambdatest.Forward(t, endpoint.URL)),
	}
	s.metrics = lambdatest.Serve(t, "cloudwatch", s.cloudWatch)
	_, err := s.kinesis.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String(streamName), ShardCount: aws.Int32(shards)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start runs the function's real package with settings besides those it needs.
func (s stage) start(t *testing.T, settings ...string) *lambdatest.Function {
	t.Helper()
	env := map[string]string{
		"STREAM_NAME": streamName, "AWS_ENDPOINT_URL_KINESIS": s.streams.URL, "AWS_ENDPOINT_URL_CLOUDWATCH": s.metrics.URL,
	}
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		env[name] = value
	}
	return lambdatest.Start(t, lambdatest.Package(t, "scale-stream"), env)
}

func (s stage) openShards(t *testing.T) int {
	t.Helper()
	out, err := s.kinesis.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String(streamName)})
	if err != nil {
		t.Fatal(err)
	}
	return int(aws.ToInt32(out.StreamDescriptionSummary.OpenShardCount))
}

func (s stage) tag(t *testing.T) string {
	t.Helper()
	out, err := s.kinesis.ListTagsForStream(t.Context(), &kinesis.ListTagsForStreamInput{StreamName: aws.String(streamName)})
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range out.Tags {
		if aws.ToString(tag.Key) == changesTag {
			return aws.ToString(tag.Value)
		}
	}
	return ""
}

const scheduled = `{"version":"0","source":"aws.events","detail-type":"Scheduled Event","detail":{}}`

func TestFunction_GrowsAStreamThatIsFull(t *testing.T) {
	s := newStage(t, 4)
	s.cloudWatch.report(10, 3.95)
	f := s.start(t)
	// As a CloudWatch alarm sends it through SNS.
	message, err := json.Marshal(map[string]string{"AlarmName": "trips-incoming-bytes", "NewStateValue": "ALARM"})
	if err != nil {
		t.Fatal(err)
	}
	event, err := json.Marshal(map[string]any{"Records": []any{map[string]any{"EventSource": "aws:sns", "Sns": map[string]any{"Message": string(message)}}}})
	if err != nil {
		t.Fatal(err)
	}
	a := lambdatest.Answer[answer](f, event, 30*time.Second)
	if a.Shards != 4 || a.Target != 5 || !a.Changed || a.Reason != scaling.GrowLoad {
		t.Errorf("answer %+v", a)
	}
	if got := s.openShards(t); got != 5 {
		t.Errorf("the stream has %d shards", got)
	}
	changes, err := scaling.ParseHistory(s.tag(t), 5, time.Now())
	if err != nil || len(changes) != 1 {
		t.Errorf("the tag is %q: %v, %v", s.tag(t), changes, err)
	}
	if !strings.Contains(f.Output(), `"cause":"trips-incoming-bytes ALARM"`) {
		t.Error("the log does not name the alarm")
	}
	if m := f.Metrics(); m["ShardsOpen"] != 4 || m["ShardsWanted"] != 5 {
		t.Errorf("metrics %v", m)
	}
	lambdatest.AssertPermissions(t, "scale-stream", s.streams, s.metrics)
}

func TestFunction_OnlySaysWhatItWouldDoInADryRun(t *testing.T) {
	s := newStage(t, 4)
	s.cloudWatch.report(10, 3.95)
	a := lambdatest.Answer[answer](s.start(t, "DRY_RUN=true"), []byte(scheduled), 30*time.Second)
	if a.Target != 5 || a.Changed || !a.DryRun || s.openShards(t) != 4 || s.tag(t) != "" {
		t.Errorf("answer %+v, %d shards, tag %q", a, s.openShards(t), s.tag(t))
	}
}

func TestFunction_ShrinksAStreamThatWasTooLargeForAWhile(t *testing.T) {
	s := newStage(t, 8)
	s.cloudWatch.report(40, 3)
	f := s.start(t)
	a := lambdatest.Answer[answer](f, []byte(scheduled), 30*time.Second)
	if a.Target != 4 || !a.Changed || a.Reason != scaling.Shrink || s.openShards(t) != 4 {
		t.Errorf("answer %+v, %d shards", a, s.openShards(t))
	}
	// It remembers that and waits with the next, also in another process.
	s.cloudWatch.report(40, 0.1)
	if a := lambdatest.Answer[answer](s.start(t), []byte(scheduled), 30*time.Second); a.Changed {
		t.Errorf("soon after, it answers %+v", a)
	}
}

func TestFunction_KeepsToTheDaysLimit(t *testing.T) {
	s := newStage(t, 4)
	s.cloudWatch.report(10, 3.95)
	var changes []time.Time
	for i := range 9 {
		changes = append(changes, time.Now().Add(-time.Duration(10-i)*time.Hour))
	}
	_, err := s.kinesis.AddTagsToStream(t.Context(), &kinesis.AddTagsToStreamInput{
		StreamName: aws.String(streamName), Tags: map[string]string{changesTag: scaling.FormatHistory(changes, time.Now().Add(-time.Minute), 2), "team": "data"},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := lambdatest.Answer[answer](s.start(t), []byte(scheduled), 30*time.Second)
	if a.Changed || a.Reason != scaling.KeepSpent || s.openShards(t) != 4 {
		t.Errorf("answer %+v, %d shards", a, s.openShards(t))
	}
}

// The service refuses by rules of its own: others may have changed the stream, too.
func TestFunction_ForgetsAChangeThatTheServiceRefuses(t *testing.T) {
	s := newStage(t, 4)
	s.cloudWatch.report(10, 3.95)
	s.streams.Fail(func(operation string, w http.ResponseWriter) bool {
		if operation != "UpdateShardCount" {
			return false
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"LimitExceededException","message":"ten times a day"}`))
		return true
	})
	a := lambdatest.Answer[answer](s.start(t), []byte(scheduled), 30*time.Second)
	if a.Changed || a.Target != 5 || s.streams.Failed() != 1 {
		t.Errorf("answer %+v, %d calls refused", a, s.streams.Failed())
	}
	if changes, err := scaling.ParseHistory(s.tag(t), 4, time.Now()); len(changes) != 0 || err != nil {
		t.Errorf("the tag is %q: %v, %v", s.tag(t), changes, err)
	}
}

func TestFunction_FailsIfItCanNotSee(t *testing.T) {
	s := newStage(t, 4)
	for name, service := range map[string]*lambdatest.Service{"describe stream": s.streams, "get metrics": s.metrics} {
		service.Fail(lambdatest.Unavailable)
		r := s.start(t).Invoke([]byte(scheduled), 30*time.Second)
		if !strings.Contains(string(r.Error), name) || service.Failed() == 0 {
			t.Errorf("error %s, answer %s", r.Error, r.Answer)
		}
		service.Fail(nil)
	}
}

func TestFunction_NamesEveryWrongSettingWhenItStarts(t *testing.T) {
	f := lambdatest.Start(t, lambdatest.Package(t, "scale-stream"), map[string]string{
		"MIN_SHARDS": "8", "MAX_SHARDS": "4", "CHANGES_PER_DAY": "50", "GROW_AT": "0.5", "SHRINK_TO": "0.6", "LAG_LIMIT": "soon",
	})
	text := f.Await()
	for _, want := range []string{"STREAM_NAME is required", "MAX_SHARDS=", "CHANGES_PER_DAY=", "SHRINK_TO=", "LAG_LIMIT="} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
}

// The function writes the tag before it changes the stream, and the tag's pages may be many.
func TestHandler_RemembersBeforeItChanges(t *testing.T) {
	fake := &fakeStreams{pages: 3}
	h := &handler{stream: streamName, kinesis: fake, now: time.Now}
	changes, err := h.changes(t.Context(), 2, time.Unix(1772452900, 0))
	if err != nil || len(changes) != 1 {
		t.Fatalf("changes %v, %v", changes, err)
	}
	if _, err := h.change(t.Context(), time.Now(), scaling.Stream{Shards: 2, Active: true}, 4); err == nil {
		t.Error("an unknown error is not a refusal")
	}
	if got := strings.Join(fake.calls, " "); got != "list list list tag describe update" {
		t.Errorf("calls %s", got)
	}
}

// fakeStreams has pages of tags, of which the last has the one that is looked for, and loses the answers of changes.
type fakeStreams struct {
	pages int
	calls []string
}

func (f *fakeStreams) DescribeStreamSummary(context.Context, *kinesis.DescribeStreamSummaryInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error) {
	f.calls = append(f.calls, "describe")
	return (&service{shards: 2}).describe(), nil
}

func (f *fakeStreams) ListTagsForStream(_ context.Context, in *kinesis.ListTagsForStreamInput, _ ...func(*kinesis.Options)) (*kinesis.ListTagsForStreamOutput, error) {
	f.calls = append(f.calls, "list")
	if f.pages--; f.pages > 0 {
		return &kinesis.ListTagsForStreamOutput{HasMoreTags: aws.Bool(true), Tags: []types.Tag{{Key: aws.String("other")}}}, nil
	}
	if aws.ToString(in.ExclusiveStartTagKey) != "other" {
		return nil, context.Canceled
	}
	return &kinesis.ListTagsForStreamOutput{HasMoreTags: aws.Bool(false), Tags: []types.Tag{{Key: aws.String(changesTag), Value: aws.String("1772452800")}}}, nil
}

func (f *fakeStreams) AddTagsToStream(context.Context, *kinesis.AddTagsToStreamInput, ...func(*kinesis.Options)) (*kinesis.AddTagsToStreamOutput, error) {
	f.calls = append(f.calls, "tag")
	return &kinesis.AddTagsToStreamOutput{}, nil
}

func (f *fakeStreams) UpdateShardCount(context.Context, *kinesis.UpdateShardCountInput, ...func(*kinesis.Options)) (*kinesis.UpdateShardCountOutput, error) {
	f.calls = append(f.calls, "update")
	return nil, context.DeadlineExceeded
}

func TestCause_NamesTheAlarm(t *testing.T) {
	for event, want := range map[string]string{
		scheduled: "no alarm",
		`[]`:      "no alarm",
		`{"source":"aws.cloudwatch","alarmArn":"arn:x","alarmData":{"alarmName":"lag","state":{"value":"ALARM"}}}`: "lag ALARM",
		`{"Records":[{"Sns":{"Message":"{\"AlarmName\":\"bytes\",\"NewStateValue\":\"OK\"}"}}]}`:                   "bytes OK",
		`{"Records":[{"Sns":{"Message":"hello"}}]}`:                                                                "no alarm",
	} {
		if got := cause(json.RawMessage(event)); got != want {
			t.Errorf("%s: %s", event, got)
		}
	}
}
