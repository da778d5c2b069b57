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

// Takeover replaces another consumer of the same stream, which must have stopped for good, with an application.
type Takeover struct {
	// From is the table of the other consumer, Store that of the application.
	From  string
	Store *dynamo.Store
	// Application is bound to the stream. Where the other consumer has no progress, it begins at Initial or, if it was
	// bound before, at the first position it was bound with.
	Application string
	Initial     checkpoint.Position
	Kinesis     *kinesis.Client
	Stream      streams.ID
	// Failover is how long a worker's heartbeat may stand still before the worker counts as dead.
	Failover time.Duration
	// Reread delivers an aggregate again from its beginning if the other consumer stopped inside it.
	Reread bool
	Log    *slog.Logger
}

// Run imports the positions. It returns what it did and the application's first position. It writes nothing if any shard
// of the application has progress of its own. If it fails while writing, daemons refuse the table until another run
// succeeds.
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

// parents returns the shards of a stream with their parents.
func parents(ctx context.Context, lister *shardmap.Lister) (map[string][]string, error) {
	listing, err := lister.ListShards(ctx)
	listed := make(map[string][]string, len(listing.Shards))
	for _, s := range listing.Shards {
		listed[s.ID] = s.Parents
	}
	return listed, err
}
