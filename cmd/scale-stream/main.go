// Command scale-stream is a Lambda function that sets the number of shards of a Kinesis stream to what its traffic needs.
// Package scaling decides; this command observes and acts.
//
// Any event makes it check the stream: a CloudWatch alarm, directly or through SNS, on incoming bytes, incoming records
// or readers' lag, and a schedule. It needs the schedule as well as the alarms: an alarm fires when its state changes, not
// while it lasts, and no alarm fires for a stream that has become too large. A schedule of one minute reacts fastest, five
// are enough with alarms.
//
// The result shows what was decided and why:
//
//	{"stream": "trips", "shards": 4, "target": 8, "reason": "grow-throttled", "detail": "...", "changed": true}
//
// # State
//
// The function keeps no state of its own. The stream's tag scale-stream.changes holds the times of the last day's changes. An
// attempt is written there before the stream is changed, with the number of shards at that moment; it counts as a change once
// the number differs. So a run that dies leaves nothing to clean up, and neither does one that the service refuses. Changes by
// others are not counted, except after an attempt that failed; if they use up the limit, the service refuses, and the function
// reports it.
//
// Runs may overlap: alarms and the schedule may invoke the function at the same moment. Runs that read the stream before it
// is changed write the same history, UpdateShardCount accepts one of them, and the others change nothing. The function needs no
// reserved concurrency, of which a new account has little (AWS Lambda Developer Guide, "Lambda quotas").
//
// Settings are environment variables, see config. lambdatest.Permissions lists the permissions that the function's role needs.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/internal/lambdas"
	"aws-streaming-pipeline/internal/scaling"
	"aws-streaming-pipeline/internal/settings"
)

func main() { lambdas.Main(build) }

// build creates the handler from the environment.
func build(ctx context.Context) (any, error) {
	var c config
	f := settings.Read(&c)
	c.check(f)
	if err := f.Err(); err != nil {
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

// config holds all settings. scaling.Planner explains the defaults.
type config struct {
	Stream     string        `envconfig:"STREAM_NAME" required:"true" desc:"Name of the Kinesis stream to scale."`
	MinShards  int           `envconfig:"MIN_SHARDS" default:"1" min:"1" desc:"Smallest number of shards."`
	MaxShards  int           `envconfig:"MAX_SHARDS" default:"16" max:"10000" desc:"Largest number of shards, which bounds the cost."`
	DryRun     bool          `envconfig:"DRY_RUN" default:"false" desc:"Logs what would be done, and does nothing."`
	Changes    int           `envconfig:"CHANGES_PER_DAY" default:"10" min:"1" desc:"Number of changes allowed within 24 hours. Raise it only if AWS has raised the quota."`
	Reserve    int           `envconfig:"GROW_RESERVE" default:"2" min:"0" desc:"Number of the day's changes that are reserved for growing."`
	UpAt       float64       `envconfig:"GROW_AT" default:"0.95" min:"0.3" max:"1" desc:"Share of the capacity above which the stream grows."`
	DownTo     float64       `envconfig:"SHRINK_TO" default:"0.9" min:"0.2" desc:"Share of the capacity that the busiest minute may fill after shrinking."`
	DownWindow time.Duration `envconfig:"SHRINK_WINDOW" default:"30m" min:"5m" max:"12h" desc:"Time for which the stream must have been too large before it shrinks."`
	DownAfter  time.Duration `envconfig:"SHRINK_COOL_DOWN" default:"50m" min:"0s" max:"24h" desc:"Shortest time between any change and shrinking."`
	Ahead      time.Duration `envconfig:"LOOK_AHEAD" default:"2h" min:"0s" max:"12h" desc:"Time by which the trend of SHRINK_WINDOW is extrapolated."`
	LagLimit   time.Duration `envconfig:"LAG_LIMIT" default:"5m" min:"10s" max:"8760h" desc:"Age of the last record read above which readers are considered to lag."`
	LagAfter   time.Duration `envconfig:"LAG_COOL_DOWN" default:"15m" min:"0s" max:"24h" desc:"Shortest time between any change and growing because of lag."`
	lambdas.Reporting
}

// check adds the faults that the tags' rules do not find.
func (c *config) check(f *settings.Faults) {
	if f.Sound("MIN_SHARDS") {
		f.Check(c.MaxShards >= c.MinShards, "MAX_SHARDS", fmt.Sprintf("at least MIN_SHARDS, which is %d", c.MinShards))
	}
	f.Check(c.Changes <= scaling.HistoryCapacity, "CHANGES_PER_DAY", fmt.Sprintf("a whole number from 1 to %d", scaling.HistoryCapacity))
	if f.Sound("CHANGES_PER_DAY") {
		f.Check(c.Reserve < c.Changes, "GROW_RESERVE", fmt.Sprintf("less than CHANGES_PER_DAY, which is %d", c.Changes))
	}
	if f.Sound("GROW_AT") {
		f.Check(c.DownTo < c.UpAt, "SHRINK_TO", fmt.Sprintf("less than GROW_AT, which is %v", c.UpAt))
	}
	c.Reporting.Check(f)
}

func (c *config) planner() scaling.Planner {
	p := scaling.Default()
	p.MinShards, p.MaxShards, p.Changes, p.Reserve = c.MinShards, c.MaxShards, c.Changes, c.Reserve
	p.UpAt, p.DownTo, p.Ahead = c.UpAt, c.DownTo, c.Ahead
	p.DownWindow, p.DownAfter, p.LagLimit, p.LagAfter = c.DownWindow, c.DownAfter, c.LagLimit, c.LagAfter
	return p
}
