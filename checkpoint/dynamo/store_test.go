package dynamo_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/dynamo"
)

var application = checkpoint.Application{
	Identity: checkpoint.Identity{Application: "trips", Stream: "taxi", StreamCreated: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
	Initial:  checkpoint.AtTimestamp(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)),
}

type row map[string]types.AttributeValue

func s(v string) types.AttributeValue        { return &types.AttributeValueMemberS{Value: v} }
func n(v string) types.AttributeValue        { return &types.AttributeValueMemberN{Value: v} }
func set(v ...string) types.AttributeValue   { return &types.AttributeValueMemberSS{Value: v} }
func (r row) with(k, v string) row           { r[k] = s(v); return r }
func (r row) subSequence(v string) row       { r["checkpointSubSequenceNumber"] = n(v); return r }
func (r row) children(parents ...string) row { r["parentShardId"] = set(parents...); return r }

// javaRow is a row as the Kinesis Client Library for Java writes it.
func javaRow(shard, position string) row {
	return row{"leaseKey": s(shard), "leaseOwner": s("host-1"), "leaseCounter": n("812"), "checkpoint": s(position),
		"ownerSwitchesSinceCheckpoint": n("0"), "startingHashKey": s("0"), "endingHashKey": s("1")}.subSequence("0")
}

// stockRow is a row as vmware-go-kcl's own checkpointer writes it.
func stockRow(shard, position, parent string) row {
	r := row{"ShardID": s(shard), "AssignedTo": s("host-1"), "LeaseTimeout": s("2026-11-01T00:00:00Z")}
	if position != "" {
		r.with("Checkpoint", position)
	}
	if parent != "" {
		r.with("ParentShardId", parent)
	}
	return r
}

// listed is a stream of three shards that do not descend from each other.
var listed = map[string][]string{"shardId-1": nil, "shardId-2": nil, "shardId-3": nil}

// foreignTable creates a table with that key and those rows, and returns its name.
func foreignTable(t *testing.T, cfg dynamo.Config, key string, rows ...row) string {
	t.Helper()
	client, name := rawClient(cfg), config("").Table
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String(name), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String(key), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String(key), KeyType: types.KeyTypeHash}},
	})
	must(t, err)
	for _, r := range rows {
		_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(name), Item: r})
		must(t, err)
	}
	return name
}

func testBind_RefusesTablesOfOthers(t *testing.T, endpoint string) {
	cfg := config(endpoint)
	newer := row{"leaseKey": s("#application"), "entityType": s("APPLICATION"), "schemaVersion": n("2"), "whatever": s("x")}
	for name, c := range map[string]struct {
		rows []row
		says string
	}{
		"the Java library's":                {[]row{javaRow("shardId-1", "100")}, "Kinesis Client Library for Java"},
		"the Java library's with types":     {[]row{javaRow("shardId-1", "100").with("entityType", "LEASE")}, "Kinesis Client Library for Java"},
		"another program's":                 {[]row{{"leaseKey": s("x"), "price": n("1")}}, `"x"`},
		"ours without its application":      {[]row{{"leaseKey": s("shardId-1"), "entityType": s("LEASE"), "leaseCounter": n("1"), "checkpoint": s("1")}}, "#application"},
		"ours, written by a newer release":  {[]row{newer}, "newer release"},
		"ours, written by an older release": {[]row{{"leaseKey": s("#application"), "entityType": s("APPLICATION"), "schemaVersion": n("0")}}, "schema version 0"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := cfg
			cfg.Table = foreignTable(t, cfg, "leaseKey", c.rows...)
			_, err := open(t, cfg).Bind(t.Context(), application)
			if !errors.Is(err, checkpoint.ErrForeignTable) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), cfg.Table) {
				t.Errorf("%v, want ErrForeignTable with %q and the name of the table", err, c.says)
			}
		})
	}
	t.Run("vmware-go-kcl's", func(t *testing.T) {
		cfg := cfg
		cfg.Table = foreignTable(t, cfg, "ShardID", stockRow("shardId-1", "100", ""))
		if _, err := dynamo.Open(t.Context(), cfg); !errors.Is(err, checkpoint.ErrForeignTable) || !strings.Contains(err.Error(), "vmware-go-kcl") {
			t.Errorf("%v, want ErrForeignTable that names vmware-go-kcl", err)
		}
	})
}

func testImport_GoesOnWhereTheOthersStopped(t *testing.T, endpoint string) {
	for name, c := range map[string]struct {
		key    string
		rows   []row
		listed map[string][]string
		want   []checkpoint.Lease
	}{
		"vmware-go-kcl": {"ShardID", []row{
			stockRow("shardId-0", "SHARD_END", ""), stockRow("shardId-1", "495", "shardId-0"), stockRow("shardId-2", "", "shardId-0"),
			stockRow("shardId-3", "TRIM_HORIZON", ""), stockRow("shardId-4", "LATEST", ""),
		}, map[string][]string{"shardId-1": {"shardId-0"}, "shardId-2": {"shardId-0"}, "shardId-3": nil, "shardId-4": nil, "shardId-5": {"shardId-1", "shardId-2"}},
			[]checkpoint.Lease{
				{Shard: "shardId-0", Checkpoint: checkpoint.ShardEnd}, {Shard: "shardId-1", Checkpoint: "495", Parents: []string{"shardId-0"}},
				{Shard: "shardId-2", Checkpoint: checkpoint.TrimHorizon, Parents: []string{"shardId-0"}},
				{Shard: "shardId-3", Checkpoint: checkpoint.TrimHorizon}, {Shard: "shardId-4", Checkpoint: application.Initial},
				{Shard: "shardId-5", Checkpoint: checkpoint.TrimHorizon, Parents: []string{"shardId-1", "shardId-2"}},
			}},
		"Kinesis Client Library for Java": {"leaseKey", []row{
			javaRow("shardId-0", "SHARD_END"), javaRow("shardId-1", "SHARD_END"), javaRow("shardId-2", "495").children("shardId-1", "shardId-0"),
			javaRow("shardId-3", "TRIM_HORIZON"), javaRow("shardId-4", "LATEST").with("entityType", "LEASE"), javaRow("shardId-5", "AT_TIMESTAMP"),
			{"leaseKey": s("Migration3.0"), "entityType": s("COORDINATOR_STATE")},
		}, map[string][]string{"shardId-2": {"shardId-0", "shardId-1"}, "shardId-3": {"shardId-6"}, "shardId-4": nil, "shardId-5": nil, "shardId-6": {"gone"}, "shardId-7": {"shardId-2"}},
			[]checkpoint.Lease{
				{Shard: "shardId-0", Checkpoint: checkpoint.ShardEnd}, {Shard: "shardId-1", Checkpoint: checkpoint.ShardEnd},
				{Shard: "shardId-2", Checkpoint: "495", Parents: []string{"shardId-0", "shardId-1"}},
				{Shard: "shardId-3", Checkpoint: checkpoint.TrimHorizon, Parents: []string{"shardId-6"}}, {Shard: "shardId-4", Checkpoint: application.Initial},
				{Shard: "shardId-5", Checkpoint: application.Initial},
				{Shard: "shardId-6", Checkpoint: checkpoint.ShardEnd, Parents: []string{"gone"}},
				{Shard: "shardId-7", Checkpoint: checkpoint.TrimHorizon, Parents: []string{"shardId-2"}},
			}},
	} {
		t.Run(name, func(t *testing.T) {
			store, from := importing(t, endpoint, c.key, c.rows...)
			must(t, store.CreateLeases(t.Context(), []checkpoint.Lease{{Shard: "shardId-1", Checkpoint: application.Initial}}))
			for range 2 { // repeating it is safe
				plan, err := store.Import(t.Context(), dynamo.Source{Table: from, Listed: c.listed})
				must(t, err)
				if len(plan.Leases) != len(c.want) {
					t.Errorf("imported %d shards, want %d", len(plan.Leases), len(c.want))
				}
			}
			got := leases(t, store)
			for i := range got {
				if got[i].Shard == "shardId-1" && got[i].Counter == 1 { // a replaced row keeps counting
					got[i].Counter = 0
				}
				if got[i].Begin != got[i].Checkpoint {
					t.Errorf("shard %s is at %s, its row says that it begins at %s", got[i].Shard, got[i].Checkpoint, got[i].Begin)
				}
				got[i].Begin = ""
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("the leases are\n%+v, want\n%+v", got, c.want)
			}
		})
	}
}

// importing returns a bound store and the name of another consumer's table.
func importing(t *testing.T, endpoint, key string, rows ...row) (*dynamo.Store, string) {
	t.Helper()
	cfg := config(endpoint)
	store := open(t, cfg)
	_, err := store.Bind(t.Context(), application)
	must(t, err)
	return store, foreignTable(t, cfg, key, rows...)
}

func leases(t *testing.T, store *dynamo.Store) []checkpoint.Lease {
	t.Helper()
	snap, err := store.Scan(t.Context())
	must(t, err)
	slices.SortFunc(snap.Leases, func(a, b checkpoint.Lease) int { return strings.Compare(a.Shard, b.Shard) })
	return snap.Leases
}

func testImport_WritesNothingWhenItRefuses(t *testing.T, endpoint string) {
	for name, c := range map[string]struct {
		own  checkpoint.Position
		key  string
		rows []row
		says string
	}{
		"a lease has progress of its own":  {"500", "leaseKey", []row{javaRow("shardId-1", "495")}, "shardId-1 is at 500 here"},
		"a shard has ended here":           {checkpoint.ShardEnd, "ShardID", []row{stockRow("shardId-1", "495", "")}, "shardId-1 is at SHARD_END here"},
		"a checkpoint inside an aggregate": {"", "leaseKey", []row{javaRow("shardId-1", "495").subSequence("3")}, "inside aggregates"},
		"tables of several streams":        {"", "leaseKey", []row{javaRow("123456789012:taxi:1700000000:shardId-1", "495")}, "several streams"},
		"a value that is not a checkpoint": {"", "ShardID", []row{stockRow("shardId-1", "somewhere", "")}, "somewhere"},
		"a table of this pipeline":         {"", "leaseKey", []row{{"leaseKey": s("#application"), "entityType": s("APPLICATION")}}, "a table of this pipeline"},
		"a table of something else":        {"", "id", nil, "its key is id:S"},
	} {
		t.Run(name, func(t *testing.T) {
			rows := append([]row{}, c.rows...)
			if c.key == "leaseKey" {
				rows = append(rows, javaRow("shardId-0", "100")) // that could be imported
			}
			store, from := importing(t, endpoint, c.key, rows...)
			if c.own != "" {
				must(t, store.CreateLeases(t.Context(), []checkpoint.Lease{{Shard: "shardId-1", Checkpoint: c.own}}))
			}
			before := leases(t, store)
			_, err := store.Import(t.Context(), dynamo.Source{Table: from, Listed: listed})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want an error with %q", err, c.says)
			}
			if after := leases(t, store); !reflect.DeepEqual(after, before) {
				t.Errorf("the refused import left %+v, before it were %+v", after, before)
			}
		})
	}
	t.Run("no such table", func(t *testing.T) {
		store, _ := importing(t, endpoint, "leaseKey")
		if _, err := store.Import(t.Context(), dynamo.Source{Table: "missing", Listed: listed}); !errors.Is(err, checkpoint.ErrNotFound) {
			t.Errorf("%v, want ErrNotFound", err)
		}
	})
	t.Run("not bound", func(t *testing.T) {
		cfg := config(endpoint)
		from := foreignTable(t, cfg, "leaseKey", javaRow("shardId-1", "1"))
		if _, err := open(t, cfg).Import(t.Context(), dynamo.Source{Table: from, Listed: listed}); !errors.Is(err, checkpoint.ErrNotFound) {
			t.Errorf("%v, want ErrNotFound for the application", err)
		}
	})
}

func testImport_AsksForThePositionBeforeAnAggregate(t *testing.T, endpoint string) {
	rows := []row{javaRow("shardId-1", "495").subSequence("0"), javaRow("shardId-2", "600").subSequence("3"), javaRow("shardId-4", "TRIM_HORIZON")}
	store, from := importing(t, endpoint, "leaseKey", rows...)
	before := checkpoint.AtTimestamp(time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC))
	asked := []string{}
	source := dynamo.Source{Table: from, Listed: listed, Before: positionBefore(&asked, before, nil)}
	if _, err := store.Import(t.Context(), source); err == nil || !strings.Contains(err.Error(), "1 shards are inside aggregates") || len(leases(t, store)) > 0 {
		t.Errorf("%v, want a refusal", err)
	}
	slices.Sort(asked)
	if !slices.Equal(asked, []string{"shardId-1 495.0", "shardId-2 600.3"}) {
		t.Errorf("asked for %q", asked)
	}
	source.Reread = true
	_, err := store.Import(t.Context(), source)
	must(t, err)
	want := []checkpoint.Lease{
		{Shard: "shardId-1", Checkpoint: before, Begin: before}, {Shard: "shardId-2", Checkpoint: "600", Begin: "600"},
		{Shard: "shardId-3", Checkpoint: application.Initial, Begin: application.Initial},
		{Shard: "shardId-4", Checkpoint: checkpoint.TrimHorizon, Begin: checkpoint.TrimHorizon},
	}
	if got := leases(t, store); !reflect.DeepEqual(got, want) {
		t.Errorf("the leases are %+v, want %+v", got, want)
	}

	store, from = importing(t, endpoint, "leaseKey", javaRow("shardId-1", "495").subSequence("3"))
	trimmed := errors.New("trimmed")
	if _, err := store.Import(t.Context(), dynamo.Source{Table: from, Listed: listed, Before: positionBefore(&asked, "", trimmed)}); !errors.Is(err, trimmed) {
		t.Errorf("%v, want the cause", err)
	}
}

// Between the first row and the last the table is wrong. No worker may use it then, whether the import is still running
// or died.
func testImport_KeepsWorkersOutUntilItHasFinished(t *testing.T, endpoint string) {
	cfg := config(endpoint)
	store := open(t, cfg)
	_, err := store.Bind(t.Context(), application)
	must(t, err)
	rows := []row{javaRow("shardId-1", "495"), javaRow("shardId-2", "600"), javaRow("shardId-3", "700")}
	source := dynamo.Source{Table: foreignTable(t, cfg, "leaseKey", rows...), Listed: listed, Failover: time.Second}
	importing := func() string {
		app, err := store.Bind(t.Context(), application)
		must(t, err)
		return app.Importing
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
	if _, err := open(t, dying).Import(ctx, source); err == nil || !strings.Contains(err.Error(), "repeated") {
		t.Errorf("the import that dies: %v", err)
	}
	if len(leases(t, store)) != 1 || importing() != source.Table {
		t.Fatalf("after an import that died there are the leases %+v, and %q is being imported", leases(t, store), importing())
	}
	snap, err := store.Scan(t.Context())
	must(t, err)
	if snap.Application.Importing != source.Table {
		t.Errorf("running workers do not see the import: %+v", snap.Application)
	}
	other := dynamo.Source{Table: foreignTable(t, cfg, "leaseKey", rows...), Listed: listed}
	if _, err := store.Import(t.Context(), other); err == nil || !strings.Contains(err.Error(), source.Table) {
		t.Errorf("an import from another table meanwhile: %v", err)
	}
	_, err = store.Import(t.Context(), source)
	must(t, err)
	if len(leases(t, store)) != 3 || importing() != "" {
		t.Errorf("after the repetition there are the leases %+v, and %q is being imported", leases(t, store), importing())
	}
}

func testImport_RefusesWhileAWorkerRuns(t *testing.T, endpoint string) {
	store, from := importing(t, endpoint, "leaseKey", javaRow("shardId-1", "495"))
	source := dynamo.Source{Table: from, Listed: listed, Failover: 500 * time.Millisecond}
	must(t, store.Heartbeat(t.Context(), checkpoint.Worker{ID: "dead", Beat: 7}))
	ctx, stop := context.WithCancel(t.Context())
	var beating sync.WaitGroup
	beating.Go(func() {
		for beat := int64(1); ctx.Err() == nil; beat++ {
			if err := store.Heartbeat(context.WithoutCancel(ctx), checkpoint.Worker{ID: "running", Beat: beat}); err != nil {
				t.Error(err)
			}
		}
	})
	_, err := store.Import(t.Context(), source)
	stop()
	beating.Wait()
	if err == nil || !strings.Contains(err.Error(), "running") {
		t.Errorf("%v, want an error that names the worker", err)
	}
	app, err := store.Bind(t.Context(), application)
	must(t, err)
	if len(leases(t, store)) > 0 || app.Importing != "" {
		t.Errorf("the refused import left %+v and the note %q", leases(t, store), app.Importing)
	}
	if _, err := store.Import(t.Context(), source); err != nil {
		t.Errorf("after the worker has stopped: %v", err)
	}
}

// doer is an HTTP client.
type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }
