package route_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/operate/route"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/recordtest"
	"aws-streaming-pipeline/record/registry"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// trial makes a Trial of settings.
func trial(t *testing.T, change func(*consumer.Config), svc consumer.TrialServices) *consumer.Trial {
	t.Helper()
	cfg := consumer.Defaults()
	cfg.Stream, cfg.Bucket, cfg.Application = "trips", "out", "app"
	change(&cfg)
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	if svc.Log == nil {
		svc.Log = slog.New(slog.DiscardHandler)
	}
	made, err := consumer.NewTrial(cfg, svc)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// routed reports on samples of a file.
func routed(t *testing.T, made route.Trial, sample []byte, as route.As, o route.Options) route.Report {
	t.Helper()
	samples, _, err := route.Read(bytes.NewReader(sample), as, noon)
	if err != nil {
		t.Fatal(err)
	}
	r, err := route.Run(t.Context(), made, samples, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func text(t *testing.T, r route.Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// backupLine is a line of a backup with a payload.
func backupLine(sequence string, data []byte) []byte {
	return record.AppendBackupLine(nil, &record.Record{Shard: "shardId-000000000000", SequenceNumber: sequence, PartitionKey: "k", Arrival: noon.Add(-time.Hour), Data: data})
}

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(text))
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const secret = "s3cr3t"

func TestRun_ExplainsEachStepWithoutPayloads(t *testing.T) {
	s, err := schema.Parse("s", []byte(`{"properties":{"fare":{"type":"number"},"c":{"type":"string"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	made := trial(t, func(c *consumer.Config) {
		c.OpenGzip, c.SplitRecords, c.Format = true, "json", "parquet"
		c.Prefix, c.PartitionQuery = "data/c=!{partitionKeyFromQuery:c}/!{timestamp:yyyy}/", "{c:.c}"
		c.TransformQuery = "if .drop then empty elif .twice then (.,.) else {fare,c} end"
	}, consumer.TrialServices{Schema: s})
	aggregate := recordtest.AppendAggregate(nil, []record.Record{
		{PartitionKey: "x", Data: zipped(t, `{"c":"a","fare":1,"drop":true}{"c":"a/b","fare":2}`)},
		{PartitionKey: "y", Data: []byte(`{"c":"z","fare":"` + secret + `"}`)}, {PartitionKey: "z", Data: []byte(`{"c":"z","twice":1,"fare":5}`)},
	})
	sample := append(backupLine("7", aggregate), "not json "+secret+"\n"...)
	r := routed(t, made, sample, route.AsAuto, route.Options{Explain: true})
	got := text(t, r)
	for _, want := range []string{
		"KPL: an aggregate of 3 records", "OPEN_GZIP=true: ", "SPLIT_RECORDS=json: 3 payloads became 4",
		"line 1, 1 of 5: dropped: by TRANSFORM_QUERY", "line 1, 2 of 5: data/c=a%2Fb/2026/trips-1-{time}-{batch}-{number}.parquet", "partition keys: c=a%2Fb",
		"line 1, 3 of 5: error ", "fare", "errors/format-conversion-failed/year=2026/month=01/day=31/trips-1-{time}-{batch}-{number}.jsonl.gz",
		"made 2 records, of which this is number 2", "FORMAT=parquet: fits", "line 2: error Json.Malformed: ",
		"6 records from 2 samples: 3 to data files in 2 folders, 2 to the error prefix, 1 dropped",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, secret) {
		t.Errorf("a payload is shown:\n%s", got)
	}
	if shown := text(t, routed(t, made, sample, route.AsAuto, route.Options{Explain: true, Payloads: true})); !strings.Contains(shown, secret) {
		t.Errorf("no payload is shown when asked for:\n%s", shown)
	}
	document, err := json.Marshal(r)
	if err != nil || bytes.Contains(document, []byte(secret)) || bytes.Contains(document, []byte(`"payload"`)) {
		t.Errorf("%v, %s", err, document)
	}
	if r.Summary.Errors != 2 || r.Summary.Codes[record.CodeJSONMalformed] != 1 || r.Summary.Folders["data/c=a%2Fb/2026/"] != 1 {
		t.Errorf("%+v", r.Summary)
	}
}

func TestRun_DoesNotKnowWhatAFunctionAnswersThatItDoesNotCall(t *testing.T) {
	made := trial(t, func(c *consumer.Config) { c.Transform = "lambda:arn:aws:lambda:us-east-1:123456789012:function:f" }, consumer.TrialServices{})
	r := routed(t, made, []byte(`{"a":1}`+"\n"), route.AsAuto, route.Options{})
	if got := r.Sent[0].Records[0]; got.Outcome != route.Unknown || got.Key != "" || !strings.Contains(got.Reason, "--call-function") || r.Summary.Unknown != 1 {
		t.Errorf("%+v", r)
	}
}

func TestRead_KnowsTheLinesOfErrorsAndBackups(t *testing.T) {
	failed := record.Record{Shard: "s", SequenceNumber: "5", Aggregated: true, SubSequence: 3, PartitionKey: "p", Arrival: noon.Add(-time.Minute), Data: []byte("\xff raw")}
	errorLine := record.AppendErrorLine(nil, &failed, &record.Fault{Type: record.ProcessingFailed, Code: record.CodeJSONEmpty, Message: "x"}, record.Attempt{Ended: noon})
	file := slices.Concat(backupLine("9", []byte("kept")), []byte("\n"), errorLine, []byte(`{"rawData":"no sequence"}`))
	samples, more, err := route.Read(bytes.NewReader(zipped(t, string(file))), route.AsAuto, noon)
	if err != nil || more || len(samples) != 3 {
		t.Fatalf("%d samples, %v, %v", len(samples), more, err)
	}
	for i, want := range []struct {
		line    int
		data    string
		arrival time.Time
	}{{1, "kept", noon.Add(-time.Hour)}, {3, "\xff raw", noon.Add(-time.Minute)}, {4, `{"rawData":"no sequence"}`, noon}} {
		s := samples[i]
		if s.Line != want.line || string(s.Record.Data) != want.data || !s.Record.Arrival.Equal(want.arrival) || s.Record.Aggregated || s.Record.Fault != nil {
			t.Errorf("sample %d: %+v, want %+v", i, s, want)
		}
	}
	for as, want := range map[route.As]string{route.AsErrors: "line 1: ", route.AsBackup: "line 3: "} {
		if _, _, err := route.Read(bytes.NewReader(file), as, noon); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("as %s: %v, want %s", as, err, want)
		}
	}
	if lines, _, err := route.Read(bytes.NewReader(file), route.AsLines, noon); err != nil || len(lines) != 3 || !bytes.HasPrefix(lines[0].Record.Data, []byte(`{"rawData"`)) {
		t.Errorf("%d lines, %v", len(lines), err)
	}
	whole := zipped(t, "a\nb\n")
	if one, _, err := route.Read(bytes.NewReader(whole), route.AsPayload, noon); err != nil || len(one) != 1 || !bytes.Equal(one[0].Record.Data, whole) {
		t.Errorf("%d payloads, %v", len(one), err)
	}
	many := bytes.Repeat([]byte("{}\n"), route.MaxSamples+1)
	if lines, more, err := route.Read(bytes.NewReader(many), route.AsAuto, noon); err != nil || !more || len(lines) != route.MaxSamples {
		t.Errorf("%d lines, more %v, %v", len(lines), more, err)
	}
}

// The same line twice is two records.
func TestRun_TellsEqualLinesApart(t *testing.T) {
	made := trial(t, func(c *consumer.Config) { c.TransformQuery = "(.,.)" }, consumer.TrialServices{})
	r := routed(t, made, slices.Concat(backupLine("7", []byte(`{"a":1}`)), backupLine("7", []byte(`{"a":1}`))), route.AsBackup, route.Options{})
	if len(r.Sent) != 2 || len(r.Sent[0].Records) != 2 || len(r.Sent[1].Records) != 2 {
		t.Errorf("%+v", r)
	}
}

// definition is a table that is partitioned by the hour of the arrival and the region.
func definition(t *testing.T, s *schema.Schema) *table.Definition {
	t.Helper()
	columns := table.ColumnsOf(s)
	for i := range columns {
		columns[i].ID = i + 1
	}
	terms, err := table.ParsePartition("hour(_arrived_at),identity(region)")
	if err != nil {
		t.Fatal(err)
	}
	spec, err := table.NewSpec(terms, columns)
	if err != nil {
		t.Fatal(err)
	}
	return &table.Definition{UUID: "u", Columns: columns, Spec: spec}
}

func TestRun_ShowsThePartitionOfTheTable(t *testing.T) {
	s, err := schema.Parse("s", []byte(`{"properties":{"region":{"type":"string"},"fare":{"type":"number"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	made := trial(t, func(c *consumer.Config) { c.Format, c.TableConfig.Table = "parquet", "glue://lake/trips" }, consumer.TrialServices{Schema: s, Table: definition(t, s)})
	r := routed(t, made, []byte(`{"region":"eu","fare":1}`+"\n"+`{"region":"`+strings.Repeat("x", 2000)+`"}`), route.AsAuto, route.Options{})
	got := text(t, r)
	for _, want := range []string{"table partition _arrived_at_hour=2026-01-31-12\n", "table partition region=eu\n", "line 2: error " + table.CodeTupleTooLong} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// outage is a schema registry that does not answer.
type outage struct{}

func (outage) SchemaVersion(context.Context, string) (registry.Definition, error) {
	return registry.Definition{}, errors.New("planted outage")
}

// unknown is a schema registry without schemas.
type unknown struct{}

func (unknown) SchemaVersion(context.Context, string) (registry.Definition, error) {
	return registry.Definition{}, registry.ErrUnknown
}

func TestRun_WaitsForNothingLongerThanItsContext(t *testing.T) {
	framed := append(append([]byte{3, 0}, make([]byte, 16)...), `{"a":1}`...) // by record/registry
	use := func(c *consumer.Config) { c.SchemaRegistry = "glue" }
	r := routed(t, trial(t, use, consumer.TrialServices{SchemaRegistry: unknown{}}), framed, route.AsPayload, route.Options{Explain: true})
	if got := text(t, r); r.Summary.Codes[record.CodeRegistrySchemaUnknown] != 1 || !strings.Contains(got, "SCHEMA_REGISTRY=glue: failed for 1 payload") {
		t.Errorf("%s", got)
	}
	synctest.Test(t, func(t *testing.T) {
		made := trial(t, use, consumer.TrialServices{SchemaRegistry: outage{}})
		samples, _, err := route.Read(bytes.NewReader(framed), route.AsPayload, noon)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("not done within 1m"))
		defer cancel()
		_, err = route.Run(ctx, made, samples, route.Options{})
		if err == nil || !strings.Contains(err.Error(), "planted outage") {
			t.Errorf("got %v", err)
		}
	})
}

func TestRun_DropsAggregatesOfAnotherShard(t *testing.T) {
	aggregate := recordtest.AppendAggregate(nil, []record.Record{{PartitionKey: "x", Data: []byte(`{"a":1}`)}})
	point := record.HashKeyOf("x")
	for name, c := range map[string]struct {
		hashes *record.HashRange
		want   route.Outcome
	}{
		"its own shard":  {&record.HashRange{First: point, Last: point}, route.ToFile},
		"another shard":  {&record.HashRange{First: record.HashKeyOf("y"), Last: record.HashKeyOf("y")}, route.Dropped},
		"unknown as yet": {nil, route.ToFile},
	} {
		made := trial(t, func(c *consumer.Config) { c.KPLHashFilter = true }, consumer.TrialServices{})
		r, err := route.Run(t.Context(), made, []route.Sample{{Hashes: c.hashes, Record: record.Record{SequenceNumber: "1", Arrival: noon, Data: aggregate}}}, route.Options{})
		if err != nil || len(r.Sent) != 1 || len(r.Sent[0].Records) != 1 || r.Sent[0].Records[0].Outcome != c.want {
			t.Errorf("%s: %+v, %v", name, r.Sent, err)
		}
	}
}

// The example in the documentation is what the command prints.
func TestRun_PrintsTheExampleOfTheDocumentation(t *testing.T) {
	made := trial(t, func(c *consumer.Config) {
		c.Prefix, c.PartitionQuery = "data/region=!{partitionKeyFromQuery:region}/day=!{timestamp:yyyy-MM-dd}/", `{region:(.region//"none")}`
		c.SplitRecords = "json"
	}, consumer.TrialServices{})
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "prefixes.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := func(mark string) string {
		_, after, _ := strings.Cut(string(page), "<!-- "+mark+" -->\n```\n")
		shown, _, _ := strings.Cut(after, "```\n")
		return shown
	}
	_, shown, _ := strings.Cut(block("route"), "\n")
	if got := text(t, routed(t, made, []byte(block("sample")), route.AsAuto, route.Options{Explain: true})); got != shown {
		t.Errorf("docs/prefixes.md shows\n%s\nand the command prints\n%s", shown, got)
	}
}
