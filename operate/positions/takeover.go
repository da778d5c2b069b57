package positions

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/checkpoint/takeover"
	"aws-streaming-pipeline/consumer/lease"
	"aws-streaming-pipeline/consumer/shardmap"
	"aws-streaming-pipeline/internal/streams"
)

// Takeover puts an application in the place of another consumer of the same stream, which must be stopped for good.
type Takeover struct {
	// From is the table of the other consumer, Store that of the application.
	From  string
	Store *dynamo.Store
	// Application is bound to the stream, and begins at Initial where the other has no progress, unless it was bound
	// before: then its own first position stays.
	Application string
	Initial     checkpoint.Position
	Kinesis     *kinesis.Client
	Stream      streams.ID
	// Failover is how long a worker's heartbeat may stand still until the worker counts as dead.
	Failover time.Duration
	// Reread begins an aggregate anew in which the other has stopped.
	Reread bool
	Log    *slog.Logger
}

// Run takes the positions over, and returns what it did and the application's first position. Nothing is written if any
// shard of the application has progress of its own. If it fails while it writes, daemons refuse the table until it has
// been run again.
func (t Takeover) Run(ctx context.Context) (takeover.Plan, checkpoint.Position, error) {
	lister := shardmap.NewLister(t.Kinesis, t.Stream)
	app, _, err := lease.Bind(ctx, t.Store, lister, t.Application, t.Initial)
	if err != nil {
		return takeover.Plan{}, "", err
	}
	source := dynamo.Source{Table: t.From, Failover: t.Failover, Before: arrivals{t.Kinesis, t.Stream, t.Log}.before, Reread: t.Reread}
	if source.Listed, err = parents(ctx, lister); err != nil {
		return takeover.Plan{}, "", err
	}
	plan, err := t.Store.Import(ctx, source)
	return plan, app.Initial, err
}

// parents lists the shards of a stream with their parents.
func parents(ctx context.Context, lister *shardmap.Lister) (map[string][]string, error) {
	shards, err := lister.ListShards(ctx)
	listed := make(map[string][]string, len(shards))
	for _, s := range shards {
		listed[s.ID] = s.Parents
	}
	return listed, err
}
