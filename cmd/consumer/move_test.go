package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/operate/positions"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestParsePosition(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]checkpoint.Position{
		"TRIM_HORIZON": checkpoint.TrimHorizon, "SHARD_END": checkpoint.ShardEnd, "4959": "4959",
		"2026-01-02T11:00:00Z":                  checkpoint.AtTimestamp(now.Add(-time.Hour)),
		"2026-01-02":                            checkpoint.AtTimestamp(now.Add(-12 * time.Hour)),
		"1h":                                    checkpoint.AtTimestamp(now.Add(-time.Hour)),
		"AT_TIMESTAMP:2026-01-02T11:00:00.000Z": checkpoint.AtTimestamp(now.Add(-time.Hour)),
		"":                                      "", "LATEST": "", "-1h": "", "yesterday": "", "49x": "",
	} {
		if got, err := parsePosition(text, now); got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v; want %q", text, got, err, want)
		}
	}
}

// newTable is a table of three shards.
func newTable(t *testing.T) *local.Store {
	t.Helper()
	store := local.OpenMemory()
	must(t, store.CreateLeases(t.Context(), []checkpoint.Lease{
		{Shard: "shard-1", Checkpoint: checkpoint.TrimHorizon}, {Shard: "shard-2", Checkpoint: "200"}, {Shard: "shard-3", Checkpoint: checkpoint.ShardEnd},
	}))
	return store
}

func TestRunMoves_SaysWhatItDoes(t *testing.T) {
	var out bytes.Buffer
	store := newTable(t)
	must(t, runMoves(t.Context(), positions.Mover{Store: store, To: checkpoint.TrimHorizon}, nil, nil, &out))
	want := `SHARD    OWNER  FROM          TO            EFFECT
shard-1         TRIM_HORIZON  TRIM_HORIZON  stays as it is
shard-2         200           TRIM_HORIZON  records after it are delivered AGAIN
shard-3         SHARD_END     TRIM_HORIZON  records after it are delivered AGAIN
moved shard-2: 200 -> TRIM_HORIZON, lease counter 1
moved shard-3: SHARD_END -> TRIM_HORIZON, lease counter 1
`
	if out.String() != want {
		t.Errorf("it said\n%s\nwant\n%s", &out, want)
	}
	out.Reset()
	must(t, runMoves(t.Context(), positions.Mover{Store: store, To: checkpoint.TrimHorizon}, nil, strings.NewReader(""), &out))
	if !strings.HasSuffix(out.String(), "nothing to move\n") {
		t.Errorf("it said\n%s", &out)
	}
}

func TestRunMoves_DoesNothingWithoutTheWordYes(t *testing.T) {
	for answer, moved := range map[string]bool{"yes\n": true, "yes": true, "y\n": false, "no\n": false, "\n": false, "": false} {
		store := newTable(t)
		err := runMoves(t.Context(), positions.Mover{Store: store, To: "100"}, []string{"shard-2"}, strings.NewReader(answer), new(bytes.Buffer))
		row, readErr := store.Lease(t.Context(), "shard-2")
		must(t, readErr)
		if got := row.Checkpoint == "100"; got != moved || (err == nil) != moved {
			t.Errorf("answer %q: moved %v, error %v", answer, got, err)
		}
	}
}

// newBuckets are the buckets "out" and "before".
func newBuckets(t *testing.T) *s3.Client {
	t.Helper()
	server, err := localbucket.Start("127.0.0.1:0", t.TempDir())
	must(t, err)
	t.Cleanup(func() { server.Close() })
	must(t, server.CreateBucket("out"))
	must(t, server.CreateBucket("before"))
	return s3.New(s3.Options{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		BaseEndpoint: aws.String(server.URL()), UsePathStyle: true, HTTPClient: awshttp.Keep(nil),
	})
}
