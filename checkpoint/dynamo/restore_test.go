package dynamo_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

func testRestore_WritesRowsWhateverTheirPositions(t *testing.T, endpoint string) {
	store := open(t, config(endpoint))
	rows := []checkpoint.Lease{
		{Shard: "shardId-1", Checkpoint: "500", Begin: "500", Counter: 9},
		{Shard: "shardId-2", Checkpoint: checkpoint.ShardEnd, Begin: checkpoint.ShardEnd, Counter: 3},
		{Shard: "shardId-3", Checkpoint: "700", Begin: "700", Counter: 2, Parents: []string{"shardId-2"}},
	}
	if err := store.Restore(t.Context(), "s3://out/manifests/", 0, rows); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("a table that is not bound: %v", err)
	}
	_, err := store.Bind(t.Context(), application)
	must(t, err)
	must(t, store.CreateLeases(t.Context(), []checkpoint.Lease{{Shard: "shardId-1", Checkpoint: "400", Counter: 4}, {Shard: "shardId-2", Checkpoint: "900", Counter: 6}, {Shard: "shardId-4", Checkpoint: "1"}}))
	held, err := store.Lease(t.Context(), "shardId-1")
	must(t, err)
	_, err = store.Acquire(t.Context(), held, "dead")
	must(t, err)
	for range 2 { // repeating it changes nothing
		must(t, store.Restore(t.Context(), "s3://out/manifests/", 0, rows))
		want := []checkpoint.Lease{rows[0], rows[1], rows[2], {Shard: "shardId-4", Checkpoint: "1"}}
		want[1].Counter = 7 // one more than it was
		if got := leases(t, store); !reflect.DeepEqual(got, want) {
			t.Errorf("the leases are\n%+v, want\n%+v", got, want)
		}
	}
	if err := store.Restore(t.Context(), "s3://out/manifests/", 0, []checkpoint.Lease{{Shard: "shardId-1", Checkpoint: "LATEST"}}); err == nil {
		t.Error("a position that is not one is restored")
	}
	statement, err := store.Complete(t.Context())
	must(t, err)
	if statement.Rewinds != 2 || !statement.UpTo.IsZero() {
		t.Errorf("what was complete is %+v", statement)
	}
}

// Also workers keep it off that have nothing in the table yet: they wait for it.
func testRestore_KeepsWorkersOutUntilItHasFinished(t *testing.T, endpoint string) {
	cfg := config(endpoint)
	store := open(t, cfg)
	_, err := store.Bind(t.Context(), application)
	must(t, err)
	rows := []checkpoint.Lease{{Shard: "shardId-1", Checkpoint: "500", Counter: 1}, {Shard: "shardId-2", Checkpoint: "600", Counter: 1}}
	importing := func() string {
		app, err := store.Bind(t.Context(), application)
		must(t, err)
		return app.Importing
	}

	ctx, stop := context.WithCancel(t.Context())
	var beating sync.WaitGroup
	beating.Go(func() {
		for beat := int64(1); ctx.Err() == nil; beat++ {
			if err := store.Heartbeat(context.WithoutCancel(ctx), checkpoint.Worker{ID: "waiting", Beat: beat}); err != nil {
				t.Error(err)
			}
		}
	})
	err = store.Restore(t.Context(), "s3://out/manifests/", 500*time.Millisecond, rows)
	stop()
	beating.Wait()
	if err == nil || !strings.Contains(err.Error(), "worker waiting is running") || len(leases(t, store)) > 0 || importing() != "" {
		t.Errorf("while a worker runs: %v, %+v, import %q", err, leases(t, store), importing())
	}

	dying := cfg
	dying.Create = false
	ctx, die := context.WithCancel(t.Context())
	puts := 0
	dying.AWS.HTTPClient = doer(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutItem") {
			puts++
		}
		if puts == 2 {
			die()
		}
		return http.DefaultClient.Do(r)
	})
	if err := open(t, dying).Restore(ctx, "s3://out/manifests/", 0, rows); err == nil || !strings.Contains(err.Error(), "repeated") {
		t.Errorf("one that dies: %v", err)
	}
	if len(leases(t, store)) != 1 || importing() != "s3://out/manifests/" {
		t.Errorf("one that died left %+v and the note %q", leases(t, store), importing())
	}
	if err := store.Restore(t.Context(), "s3://other/manifests/", 0, rows); err == nil || !strings.Contains(err.Error(), "s3://out/manifests/ was not finished") {
		t.Errorf("one from elsewhere meanwhile: %v", err)
	}
	must(t, store.Restore(t.Context(), "s3://out/manifests/", 0, rows))
	if len(leases(t, store)) != 2 || importing() != "" {
		t.Errorf("after the repetition there are %+v, import %q", leases(t, store), importing())
	}
}
