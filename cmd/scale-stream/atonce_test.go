package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/internal/lambdas"
	"aws-streaming-pipeline/internal/scaling"
)

// Alarms and the schedule run the function at the same time. In every order of the calls that two or three runs make, with
// one of them dying, or losing an answer, at one of its calls: a load that needs one change gets one, and the stream's
// history has exactly the changes that were made. Runs that take back what they wrote when they are refused do not manage that.
func TestRuns_AtOnceMakeOneChangeAndRememberIt(t *testing.T) {
	for _, c := range []struct {
		name   string
		stream service
	}{
		{"tags need an active stream", service{}},
		{"tags change at any time", service{lax: true}},
		{"the service has reached its limit", service{spent: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			faults := map[int][]fault{2: {{}}, 3: {{}, {call: tagging}, {call: updating}, {call: updating, lost: true}}}
			for call := 1; call <= updating; call++ {
				faults[2] = append(faults[2], fault{call: call}, fault{call: call, lost: true})
			}
			for runs := 2; runs <= 3; runs++ {
				states := 0
				for _, f := range faults[runs] {
					n, err := everyOrder(runs, c.stream, f)
					if err != nil {
						t.Fatal(err)
					}
					states += n
				}
				t.Logf("%d runs: %d states", runs, states)
			}
			if _, err := everyOrder(2, c.stream, fault{careless: true}); err == nil && c.stream.lax {
				t.Error("a run that takes its change back when it is refused does no harm: the test sees nothing")
			}
		})
	}
}

// began is when the first run begins: twenty seconds into a minute. The others begin a second after each other.
var began = time.Unix(1772452820, 0).UTC()

// earlier is what the tag has when the runs begin.
var earlier = []time.Time{began.Add(-9 * time.Hour), began.Add(-3 * time.Hour)}

// everyOrder has the runs make their calls in every order that leads to something new, and checks each end. It counts the
// states on the way.
func everyOrder(runs int, initial service, f fault) (states int, err error) {
	seen := make(map[string]bool)
	for path := []step{}; path != nil; path = next(path) {
		s := initial
		s.shards, s.tag = 4, scaling.FormatHistory(earlier[:1], earlier[1], 2)
		w := &world{service: &s}
		w.start(began, few, f)
		for i := 1; i < runs; i++ {
			w.start(began.Add(time.Duration(i)*time.Second), many, fault{})
		}
		for depth := 0; ; depth++ {
			if depth == len(path) {
				if state := w.state(); seen[state] {
					break
				} else {
					seen[state] = true
				}
				n := w.choices()
				if n == 0 {
					err = w.check(f)
					break
				}
				path = append(path, step{of: n})
			}
			w.choose(path[depth].pick)
		}
		w.abandon()
		if err != nil {
			return len(seen), err
		}
	}
	return len(seen), nil
}

// step is a choice, and the number of choices there were.
type step struct{ pick, of int }

// next is the path after this one in the order of a dictionary, nil after the last.
func next(path []step) []step {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i].pick++; path[i].pick < path[i].of {
			return path[:i+1]
		}
	}
	return nil
}

// The calls of a run that write, by their number.
const (
	tagging  = 3
	updating = 5
)

// fault is what goes wrong with a run right after one of its calls has reached the service: it dies, or the answer is lost.
// Without a call nothing does. A careless run writes the tag as it found it when it is refused a change.
type fault struct {
	call     int
	lost     bool
	careless bool
}

// world is a service, and runs of which one moves at a time.
type world struct {
	service *service
	runs    []*running
}

// running is one run of the function, which waits before each of its calls.
type running struct {
	world  *world
	fault  fault
	found  string // the tag
	next   string // the call that it waits to make
	calls  int
	trace  string // what it called and was answered
	waits  chan bool
	goOn   chan bool // false: it is over
	over   bool
	answer answer
	err    error
}

func (w *world) start(at time.Time, seen refusals, f fault) {
	r := &running{world: w, fault: f, waits: make(chan bool), goOn: make(chan bool), err: errDied}
	w.runs = append(w.runs, r)
	go func() {
		defer close(r.waits)
		r.answer, r.err = newHandler(r, seen, at).handle(context.Background(), []byte(scheduled))
	}()
	r.over = !<-r.waits
}

var errDied = errors.New("the run died")

func newHandler(s streams, seen refusals, now time.Time) *handler {
	return &handler{
		stream: streamName, planner: scaling.Default(), kinesis: s, metrics: seen, log: slog.New(slog.DiscardHandler),
		out: (&lambdas.Reporting{}).Metrics(io.Discard), now: func() time.Time { return now },
	}
}

// choices are the runs that can move, and a change of the stream that can come to its end. It takes longer than from one call
// of a run to its next: seconds at least, for a single shard.
func (w *world) choices() (n int) {
	quick := false
	for _, r := range w.runs {
		if !r.over {
			n++
			quick = quick || r.next == "update"
		}
	}
	if w.service.updating && !quick {
		n++
	}
	return n
}

func (w *world) choose(pick int) {
	for _, r := range w.runs {
		if r.over {
			continue
		}
		if pick == 0 {
			r.goOn <- true
			r.over = !<-r.waits
			return
		}
		pick--
	}
	w.service.complete()
}

func (w *world) abandon() {
	for _, r := range w.runs {
		if !r.over {
			r.goOn <- false
			<-r.waits
		}
	}
}

// state is all that decides what can follow.
func (w *world) state() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%+v", *w.service)
	for _, r := range w.runs {
		if r.over {
			fmt.Fprintf(&b, "|over %t %v", r.answer.Changed, r.err)
		} else {
			fmt.Fprintf(&b, "|%s", r.trace)
		}
	}
	return b.String()
}

// check holds an end to the promise, and has the function run twice more, as the schedule does.
func (w *world) check(f fault) error {
	s := w.service
	fail := func(format string, arguments ...any) error {
		text := fmt.Sprintf("fault %+v: %s; the stream is %+v; the runs saw", f, fmt.Sprintf(format, arguments...), *s)
		for _, r := range w.runs {
			text += fmt.Sprintf("\n  %s: %+v, %v", r.trace, r.answer, r.err)
		}
		return errors.New(text)
	}
	changed := 0
	for i, r := range w.runs {
		if r.answer.Changed {
			changed++
		}
		if r.err != nil && (i > 0 || f.call == 0) {
			return fail("run %d failed", i)
		}
	}
	if changed > s.made || f.call == 0 && changed < s.made {
		return fail("%d runs say that they changed the stream", changed)
	}
	if s.spent && s.made != 0 || s.made > 1 {
		return fail("%d changes were made", s.made)
	}
	// The metrics of the next minutes are late, so the alarm still lasts. Had no run come to its end, these make the change.
	for minute := range 3 {
		now := began.Add(time.Duration(minute) * time.Minute)
		if minute > 0 {
			if _, err := newHandler(free{s}, many, now).handle(context.Background(), []byte(scheduled)); err != nil {
				return fail("the next run: %v", err)
			}
			if s.updating {
				s.complete()
			}
		}
		changes, err := newHandler(free{s}, many, now).changes(context.Background(), s.shards, now)
		if err != nil || len(changes) != len(earlier)+s.made || !slices.Equal(changes[:len(earlier)], earlier) {
			return fail("%d changes were made, the history is %v, %v", s.made, changes, err)
		}
	}
	if s.spent != (s.made == 0) {
		return fail("in the end it has %d shards", s.shards)
	}
	return nil
}

// service is a Kinesis with one stream, as the API Reference has it: UpdateShardCount and, unless it is lax, AddTagsToStream
// need the stream to be ACTIVE (ResourceInUseException), a target lies within half and twice the shards, and a day has ten
// changes, which others have used up if it is spent.
type service struct {
	lax, spent bool

	shards, target int
	updating       bool
	tag            string
	made           int // changes
}

func (s *service) complete() { s.shards, s.updating = s.target, false }

func (s *service) describe() *kinesis.DescribeStreamSummaryOutput {
	status := types.StreamStatusActive
	if s.updating {
		status = types.StreamStatusUpdating
	}
	return &kinesis.DescribeStreamSummaryOutput{StreamDescriptionSummary: &types.StreamDescriptionSummary{
		OpenShardCount: aws.Int32(int32(s.shards)), StreamStatus: status,
	}}
}

func (s *service) list() *kinesis.ListTagsForStreamOutput {
	return &kinesis.ListTagsForStreamOutput{HasMoreTags: aws.Bool(false), Tags: []types.Tag{{Key: aws.String(changesTag), Value: aws.String(s.tag)}}}
}

func (s *service) addTags(in *kinesis.AddTagsToStreamInput) error {
	if s.updating && !s.lax {
		return &types.ResourceInUseException{}
	}
	s.tag = in.Tags[changesTag]
	return nil
}

func (s *service) update(in *kinesis.UpdateShardCountInput) error {
	target := int(aws.ToInt32(in.TargetShardCount))
	switch {
	case s.updating:
		return &types.ResourceInUseException{}
	case s.spent:
		return &types.LimitExceededException{}
	case target == s.shards, target > 2*s.shards, 2*target < s.shards:
		return &types.InvalidArgumentException{}
	}
	s.target, s.updating = target, true
	s.made++
	return nil
}

// call waits for its turn, has the service answer, and notes what it says.
func call[Out any](r *running, name string, ask func(*service) (Out, error), says func(service) any) (out Out, err error) {
	r.next = name
	r.waits <- true
	if !<-r.goOn {
		runtime.Goexit()
	}
	out, err = ask(r.world.service)
	r.trace += fmt.Sprintf("%s %v %v, ", name, says(*r.world.service), err)
	if r.calls++; r.calls != r.fault.call {
		return out, err
	}
	if !r.fault.lost {
		runtime.Goexit()
	}
	return out, errors.New("the answer was lost")
}

func (r *running) DescribeStreamSummary(context.Context, *kinesis.DescribeStreamSummaryInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error) {
	return call(r, "describe", func(s *service) (*kinesis.DescribeStreamSummaryOutput, error) { return s.describe(), nil }, func(s service) any { return []any{s.shards, s.updating} })
}

func (r *running) ListTagsForStream(context.Context, *kinesis.ListTagsForStreamInput, ...func(*kinesis.Options)) (*kinesis.ListTagsForStreamOutput, error) {
	defer func() { r.found = r.world.service.tag }()
	return call(r, "list", func(s *service) (*kinesis.ListTagsForStreamOutput, error) { return s.list(), nil }, func(s service) any { return s.tag })
}

func (r *running) AddTagsToStream(_ context.Context, in *kinesis.AddTagsToStreamInput, _ ...func(*kinesis.Options)) (*kinesis.AddTagsToStreamOutput, error) {
	return call(r, "tag", func(s *service) (*kinesis.AddTagsToStreamOutput, error) {
		return &kinesis.AddTagsToStreamOutput{}, s.addTags(in)
	}, func(service) any { return "" })
}

func (r *running) UpdateShardCount(_ context.Context, in *kinesis.UpdateShardCountInput, _ ...func(*kinesis.Options)) (*kinesis.UpdateShardCountOutput, error) {
	return call(r, "update", func(s *service) (*kinesis.UpdateShardCountOutput, error) {
		err := s.update(in)
		if r.fault.careless && err != nil {
			s.tag = r.found
		}
		return &kinesis.UpdateShardCountOutput{}, err
	}, func(service) any { return "" })
}

// free answers at once.
type free struct{ service *service }

func (f free) DescribeStreamSummary(context.Context, *kinesis.DescribeStreamSummaryInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error) {
	return f.service.describe(), nil
}

func (f free) ListTagsForStream(context.Context, *kinesis.ListTagsForStreamInput, ...func(*kinesis.Options)) (*kinesis.ListTagsForStreamOutput, error) {
	return f.service.list(), nil
}

func (f free) AddTagsToStream(_ context.Context, in *kinesis.AddTagsToStreamInput, _ ...func(*kinesis.Options)) (*kinesis.AddTagsToStreamOutput, error) {
	return &kinesis.AddTagsToStreamOutput{}, f.service.addTags(in)
}

func (f free) UpdateShardCount(_ context.Context, in *kinesis.UpdateShardCountInput, _ ...func(*kinesis.Options)) (*kinesis.UpdateShardCountOutput, error) {
	return &kinesis.UpdateShardCountOutput{}, f.service.update(in)
}

// refusals are metrics of the ten minutes before the first run: four shards were nearly full and refused the given number of
// records per minute. Later minutes are not available yet.
type refusals float64

// Few are reason for five shards, many for eight: runs may see the last minute differently.
const (
	few  refusals = 200
	many refusals = 4800
)

func (refused refusals) GetMetricData(context.Context, *cloudwatch.GetMetricDataInput, ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error) {
	values := map[string]float64{
		"bytes": 3.9 * 60 * scaling.ShardBytesPerSecond, "records": 48_000, "rejected": float64(refused), "lag": 0, "reads": 0,
	}
	out := &cloudwatch.GetMetricDataOutput{}
	for id, value := range values {
		result := cwtypes.MetricDataResult{Id: aws.String(id)}
		for i := 10; i > 0; i-- {
			result.Timestamps = append(result.Timestamps, began.Truncate(time.Minute).Add(-time.Duration(i)*time.Minute))
			result.Values = append(result.Values, value)
		}
		out.MetricDataResults = append(out.MetricDataResults, result)
	}
	return out, nil
}
