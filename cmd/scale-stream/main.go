// Command scale-stream is a Lambda function that gives a Kinesis stream the number of shards that its traffic needs. Package
// scaling decides; this one looks and acts.
//
// Any event makes it look at the stream: a CloudWatch alarm, by itself or through SNS, on incoming bytes, incoming records
// or readers' lag, and a schedule. It needs the schedule besides the alarms: an alarm speaks when its state changes, not while it
// lasts, and nothing alarms of a stream that has become too large. One minute is the interval that reacts fastest, five
// are enough if the alarms are there.
//
// The answer tells what was decided and why:
//
//	{"stream": "trips", "shards": 4, "target": 8, "reason": "grow-throttled", "detail": "...", "changed": true}
//
// # What it remembers
//
// Nothing in the function. The times of the last day's changes are in the tag scale-stream.changes of the stream. An attempt
// is written there before the stream is changed, with the number of shards that the stream has at that moment; it counts as a
// change once the stream has another number. So a run that dies leaves nothing to clean up, and neither does one that the
// service refuses. Changes that others make are not counted, except where they follow an attempt that came to nothing; if they
// use the limit up, the service refuses, and the function says so.
//
// Runs may overlap: alarms and the schedule invoke the function at the same moment. Those that look at the stream before it
// is changed write the same history, UpdateShardCount accepts one of them, and the others change nothing. It needs no
// reserved concurrency, which a new account has too little of to give away (AWS Lambda Developer Guide, "Lambda quotas").
//
// Settings are environment variables, see config. lambdas.Permissions lists what the function's role has to allow.
package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/internal/lambdas"
	"aws-streaming-pipeline/internal/scaling"
	"aws-streaming-pipeline/internal/settings"
)

func main() { lambdas.Main(build) }

// build makes the handler from the environment.
func build(ctx context.Context) (any, error) {
	var c config
	if err := errors.Join(settings.Read(&c), c.validate()); err != nil {
		return nil, err
	}
	account, err := lambdas.Account(ctx)
	if err != nil {
		return nil, err
	}
	h := &handler{
		stream: c.Stream, dryRun: c.DryRun, planner: c.planner(),
		kinesis: kinesis.NewFromConfig(account), metrics: cloudwatch.NewFromConfig(account),
		log: c.Logger(os.Stderr), out: c.Metrics(os.Stdout), now: time.Now,
	}
	return h.handle, nil
}

// config is all that can be set. What the defaults mean is told by scaling.Planner.
type config struct {
	Stream     string        `envconfig:"STREAM_NAME" required:"true" desc:"name of the Kinesis stream"`
	MinShards  int           `envconfig:"MIN_SHARDS" default:"1" desc:"fewest shards"`
	MaxShards  int           `envconfig:"MAX_SHARDS" default:"16" desc:"most shards, which bounds the cost"`
	DryRun     bool          `envconfig:"DRY_RUN" default:"false" desc:"only say what would be done"`
	Changes    int           `envconfig:"CHANGES_PER_DAY" default:"10" desc:"changes within 24 hours; 10 unless AWS has raised the quota"`
	Reserve    int           `envconfig:"GROW_RESERVE" default:"2" desc:"changes of the day that are kept for growing"`
	UpAt       float64       `envconfig:"GROW_AT" default:"0.95" desc:"share of the capacity beyond which the stream grows"`
	DownTo     float64       `envconfig:"SHRINK_TO" default:"0.9" desc:"share of the capacity that the busiest minute may fill after shrinking"`
	DownWindow time.Duration `envconfig:"SHRINK_WINDOW" default:"30m" desc:"how long the stream must have been too large before it shrinks"`
	DownAfter  time.Duration `envconfig:"SHRINK_COOL_DOWN" default:"50m" desc:"shortest time from any change to shrinking"`
	Ahead      time.Duration `envconfig:"LOOK_AHEAD" default:"2h" desc:"how far the trend of SHRINK_WINDOW is carried on"`
	LagLimit   time.Duration `envconfig:"LAG_LIMIT" default:"5m" desc:"age of the last record read beyond which readers lag"`
	LagAfter   time.Duration `envconfig:"LAG_COOL_DOWN" default:"15m" desc:"shortest time from any change to growing because of lag"`
	lambdas.Reporting
}

func (c *config) validate() error {
	var f settings.Faults
	f.Check(c.MinShards >= 1, "MIN_SHARDS", c.MinShards, "1 or more")
	f.Check(c.MaxShards >= c.MinShards && c.MaxShards <= 10_000, "MAX_SHARDS", c.MaxShards, "MIN_SHARDS to 10000")
	f.Check(c.Changes >= 1 && c.Changes <= scaling.HistoryCapacity, "CHANGES_PER_DAY", c.Changes, "1 to 20")
	f.Check(c.Reserve >= 0 && c.Reserve < c.Changes, "GROW_RESERVE", c.Reserve, "0 or more, and less than CHANGES_PER_DAY")
	f.Check(c.UpAt >= 0.3 && c.UpAt <= 1, "GROW_AT", c.UpAt, "0.3 to 1")
	f.Check(c.DownTo >= 0.2 && c.DownTo < c.UpAt, "SHRINK_TO", c.DownTo, "0.2 or more, and less than GROW_AT")
	f.Within("SHRINK_WINDOW", c.DownWindow, 5*time.Minute, 12*time.Hour)
	f.Within("SHRINK_COOL_DOWN", c.DownAfter, 0, 24*time.Hour)
	f.Within("LOOK_AHEAD", c.Ahead, 0, 12*time.Hour)
	f.Within("LAG_LIMIT", c.LagLimit, 10*time.Second, 365*24*time.Hour)
	f.Within("LAG_COOL_DOWN", c.LagAfter, 0, 24*time.Hour)
	c.Reporting.Check(&f)
	return f.Err()
}

func (c *config) planner() scaling.Planner {
	p := scaling.Default()
	p.MinShards, p.MaxShards, p.Changes, p.Reserve = c.MinShards, c.MaxShards, c.Changes, c.Reserve
	p.UpAt, p.DownTo, p.Ahead = c.UpAt, c.DownTo, c.Ahead
	p.DownWindow, p.DownAfter, p.LagLimit, p.LagAfter = c.DownWindow, c.DownAfter, c.LagLimit, c.LagAfter
	return p
}
