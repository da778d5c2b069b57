package main_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/operate/route"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/recordtest"
	"aws-streaming-pipeline/writers/layout"
)

// compressed is a payload in gzip.
func compressed(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(text))
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// difficult are payloads of every kind that ends in another way under some settings.
func difficult(t *testing.T) [][]byte {
	events := `{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s","subscriptionFilters":[],"logEvents":[` +
		`{"id":"1","timestamp":1,"message":"{\"region\":\"log\",\"fare\":3}"},{"id":"2","timestamp":2,"message":"text"}]}`
	return [][]byte{
		[]byte(`{"region":"eu","fare":12.5}`), []byte(`{"region":"a/b c","fare":"much"}`), []byte(`{"fare":1}`), []byte(`{"region":null,"fare":2}`),
		[]byte("not json"), []byte("[1,2]"), []byte(`{"region":"eu","fare":`), []byte("  "), []byte(`{"region":"\ud800"}`), []byte("{\"region\":\"\xff\"}"),
		[]byte(`{"region":"` + strings.Repeat("long", 150) + `"}`), []byte(`{"region":"eu","drop":true}`), []byte(`{"region":"eu","twice":true}`),
		[]byte(`{"region":"eu","fail":true,"fare":1e999}`), []byte(`{"region":"one"}{"region":"two"} {"region":`), []byte("{\"region\":\"l1\"}\n\n{\"region\":\"l2\"}\n"),
		[]byte(strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000)),
		compressed(t, `{"region":"zip"}{"region":"zap"}`), compressed(t, `{"region":"cut"}`)[:20], compressed(t, strings.Repeat(" ", 1<<20)), compressed(t, events),
		recordtest.AppendAggregate(nil, []record.Record{
			{PartitionKey: "a", Data: []byte(`{"region":"kpl","fare":1}`)}, {PartitionKey: "b", Data: []byte("bad")}, {PartitionKey: "c", Data: compressed(t, `{"region":"k1"}{"region":"k2"}`)},
		}),
	}
}

// sendDifficult puts the payloads into a stream of one shard, and returns them as lines of a backup.
func sendDifficult(t *testing.T, s *surroundings) (sample []byte, last string) {
	t.Helper()
	for i, data := range difficult(t) {
		if _, err := s.kinesis.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String(streamName), PartitionKey: aws.String(fmt.Sprint("k", i)), Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	begin, err := s.kinesis.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
		StreamName: aws.String(streamName), ShardId: aws.String("shardId-000000000000"), ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := s.kinesis.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: begin.ShardIterator})
	if err != nil || len(page.Records) != len(difficult(t)) {
		t.Fatalf("%d records, %v", len(page.Records), err)
	}
	for _, r := range page.Records {
		last = *r.SequenceNumber
		sample = record.AppendBackupLine(sample, &record.Record{
			Shard: "shardId-000000000000", SequenceNumber: last, PartitionKey: *r.PartitionKey, Arrival: *r.ApproximateArrivalTimestamp, Data: r.Data,
		})
	}
	return sample, last
}

// manifests returns the manifests of all batches.
func (s *surroundings) manifests() (all []layout.Manifest) {
	s.t.Helper()
	for _, file := range s.files("manifests/") {
		body, err := os.ReadFile(file)
		if err != nil {
			s.t.Fatal(err)
		}
		m, err := layout.DecodeManifest(body)
		if err != nil {
			return nil // it is being written
		}
		all = append(all, m)
	}
	return all
}

// delivered waits until a daemon has published everything up to a record, and stops it.
func (s *surroundings) delivered(p *process, last string) []layout.Manifest {
	s.t.Helper()
	var all []layout.Manifest
	eventually(s.t, "everything is published", func() bool {
		all = s.manifests()
		return slices.ContainsFunc(all, func(m layout.Manifest) bool {
			return slices.ContainsFunc(m.Ranges, func(r checkpoint.Range) bool { return string(r.End) == last })
		})
	})
	if err := p.terminate(); err != nil {
		s.t.Errorf("graceful stop: %v\n%s", err, p.log)
	}
	return all
}

// command runs the consumer with arguments in these surroundings.
func (s *surroundings) command(settings []string, args ...string) (stdout, stderr string, exit int) {
	s.t.Helper()
	program, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(s.t.Context(), program, args...)
	cmd.Env = s.environment(settings...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if _, ended := errors.AsType[*exec.ExitError](err); !ended {
			s.t.Fatal(err)
		}
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// routes runs route, and returns its report.
func (s *surroundings) routes(settings []string, args ...string) route.Report {
	s.t.Helper()
	out, errs, exit := s.command(settings, append([]string{"route", "--json"}, args...)...)
	var r route.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		s.t.Fatalf("route: exit %d, %v\n%s%s", exit, err, out, errs)
	}
	want := 0
	if r.Summary.Errors > 0 {
		want = 1
	}
	if exit != want {
		s.t.Errorf("route: exit %d with %d errors\n%s", exit, r.Summary.Errors, errs)
	}
	return r
}

// outcome is where records are: how many are in a folder, as data or with an error code. Names are the names of files without what
// {time}, {batch} and {number} stand for, so that extensions count.
type outcome map[string]int

func (o outcome) add(folder, extension, code string, n int) {
	o[fmt.Sprintf("%s *%s %s", folder, extension, code)] += n
}

// foretold is the outcome that route reports, and where each record is by its event id.
func foretold(r route.Report) (o outcome, each map[string]string) {
	o, each = outcome{}, map[string]string{}
	for _, sent := range r.Sent {
		for _, got := range sent.Records {
			if got.Outcome != route.ToFile && got.Outcome != route.ToError {
				continue
			}
			_, extension, _ := strings.Cut(got.Key, "{number}")
			folder := strings.ReplaceAll(path.Dir(got.Key), "{random}", strings.Repeat("?", 11))
			o.add(folder, extension, got.Code, 1)
			each[got.EventID] = folder + " " + got.Code
		}
	}
	return o, each
}

// found is the outcome in the bucket, and where each record with an id is.
func (s *surroundings) found(manifests []layout.Manifest, random bool) (o outcome, each map[string]string) {
	s.t.Helper()
	o, each = outcome{}, map[string]string{}
	for _, m := range manifests {
		for _, file := range m.Files {
			parsed, ok := layout.ParseFile(file.Key)
			if !ok || path.Base(parsed.Name) != streamName {
				s.t.Fatalf("the key %s", file.Key)
			}
			folder := path.Dir(file.Key)
			if random && !file.Error {
				folder = path.Dir(folder) + "/" + strings.Repeat("?", len(path.Base(folder)))
			}
			if !file.Error {
				o.add(folder, parsed.Extension, "", int(file.Rows))
				if !strings.Contains(parsed.Extension, ".jsonl") {
					continue
				}
			}
			for _, line := range s.lines(file.Key) {
				var named struct {
					EventID string `json:"event_id"`
					ErrorID string `json:"eventId"`
					Code    string `json:"errorCode"`
					Last    string `json:"lastErrorCode"`
				}
				if err := json.Unmarshal(line, &named); err != nil {
					s.t.Fatal(err)
				}
				code := named.Code + named.Last
				if file.Error {
					o.add(folder, parsed.Extension, code, 1)
				}
				each[named.EventID+named.ErrorID] = folder + " " + code
			}
		}
	}
	return o, each
}

// answers is a function of the form that Firehose calls: it drops payloads, fails on them or gives them a key, by their text.
func answers(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var out struct {
			Records []map[string]any `json:"records"`
		}
		var request struct {
			Records []struct {
				ID   string `json:"recordId"`
				Data []byte `json:"data"`
			} `json:"records"`
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
		}
		for _, r := range request.Records {
			answer := map[string]any{"recordId": r.ID, "result": "Ok", "data": r.Data, "metadata": map[string]any{"partitionKeys": map[string]string{"tenant": fmt.Sprint("t", len(r.Data)%3)}}}
			switch {
			case bytes.Contains(r.Data, []byte("drop")):
				answer = map[string]any{"recordId": r.ID, "result": "Dropped"}
			case bytes.Contains(r.Data, []byte("fail")):
				answer["result"] = "ProcessingFailed"
			case bytes.Contains(r.Data, []byte("twice")):
				delete(answer, "metadata")
			}
			out.Records = append(out.Records, answer)
		}
		json.NewEncoder(w).Encode(out)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// What route says of each record is where the daemon stores it, for records of all kinds under layouts, formats and transforms of all
// kinds. It says the same of a sample and of the stream.
func TestRoute_SaysWhereTheDaemonStoresEachRecord(t *testing.T) {
	t.Parallel()
	schema := filepath.Join(t.TempDir(), "trips.json")
	if err := os.WriteFile(schema, []byte(`{"properties":{"region":{"type":"string"},"fare":{"type":"number"}},"required":["region"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		settings []string
		random   bool
		calls    bool
		codes    []string // among those that must occur
	}{
		"default": {codes: []string{record.CodeJSONMalformed, record.CodeJSONEmpty, record.CodeJSONTooDeep, record.CodeJSONNotAnObject}},
		"query and zone": {
			settings: []string{"PREFIX=data/r=!{partitionKeyFromQuery:r}/!{timestamp:yyyy/MM/dd HH}/", "PARTITION_QUERY={r:.region}", "TIME_ZONE=Pacific/Auckland",
				"ERROR_PREFIX=bad/!{timestamp:'day='DDD}/!{firehose:error-output-type}/", "OPEN_GZIP=true", "SPLIT_RECORDS=json", "COMPRESSION=none"},
			codes: []string{"DynamicPartitioning.MetadataExtractionFailed", "DynamicPartitioning.PrefixTooLong", record.CodeGzipTooLarge, record.CodeGzipCorrupt},
		},
		"Firehose's files": {
			settings: []string{"FORMAT=firehose", "PREFIX=legacy/!{firehose:random-string}/", "COMPRESSION=gzip", "SPLIT_RECORDS=lines", "APPEND_DELIMITER=true", "FILE_EXTENSION=.txt.gz"},
			random:   true,
		},
		"schema and Parquet": {
			settings: []string{"FORMAT=parquet", "SCHEMA=" + schema, "PREFIX=", "ERROR_PREFIX=", "OPEN_GZIP=true", "SPLIT_LOG_EVENTS=event", "SPLIT_RECORDS=json"},
			codes:    []string{record.CodeJSONTruncated},
		},
		"schema, log messages and a program": {
			settings: []string{"SCHEMA=" + schema, "OPEN_GZIP=true", "SPLIT_LOG_EVENTS=message", "TRANSFORM_QUERY=if .drop then empty elif .twice then (.,{region}) elif .fail then error else . end"},
			codes:    []string{"Transform.QueryFailed"},
		},
		"function": {
			settings: []string{"TRANSFORM=lambda:" + functionARN, "AWS_ENDPOINT_URL_LAMBDA=" + answers(t), "PREFIX=data/!{partitionKeyFromLambda:tenant}/"},
			calls:    true, codes: []string{"DynamicPartitioning.MetadataExtractionFailed", "Lambda.ProcessingFailedStatus"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSurroundings(t, 1)
			sample, last := sendDifficult(t, s)
			file := filepath.Join(s.dir, "sample.jsonl")
			if err := os.WriteFile(file, sample, 0o600); err != nil {
				t.Fatal(err)
			}
			var call []string
			if c.calls {
				call = []string{"--call-function"}
				if r := s.routes(c.settings, "--sample", file); r.Summary.Unknown == 0 || r.Summary.Files > 0 {
					t.Errorf("without calling the function: %+v", r.Summary)
				}
			}
			said := s.routes(c.settings, append(call, "--sample", file)...)
			read := s.routes(c.settings, append(call, "--last", "100", "--explain")...)
			if made := slices.Concat(s.files("data"), s.files("errors"), s.files("manifests")); len(made) > 0 {
				t.Fatalf("route has written %s", made)
			}
			if _, err := os.Stat(filepath.Join(s.dir, "checkpoints.db")); err == nil {
				t.Error("route has made a checkpoint table")
			}
			manifests := s.delivered(s.start(c.settings...), last)
			want, wantEach := foretold(said)
			got, gotEach := s.found(manifests, c.random)
			if !maps.Equal(want, got) {
				t.Errorf("route says\n%s\nand the daemon has stored\n%s", listed(want), listed(got))
			}
			for id, place := range gotEach {
				if wantEach[id] != place {
					t.Errorf("record %s: route says %q, and it is in %q", id, wantEach[id], place)
				}
			}
			for _, code := range c.codes {
				if said.Summary.Codes[code] == 0 {
					t.Errorf("no record has %s: %v", code, said.Summary.Codes)
				}
			}
			fromStream, eachOfStream := foretold(read)
			if !maps.Equal(fromStream, want) || !reflect.DeepEqual(eachOfStream, wantEach) {
				t.Errorf("of the stream route says\n%s\nand of the sample\n%s", listed(fromStream), listed(want))
			}
			// The control: other settings lead elsewhere.
			if other, _ := foretold(s.routes(append(c.settings, "PREFIX=elsewhere/", "PARTITION_QUERY="), append(call, "--sample", file)...)); maps.Equal(other, got) {
				t.Error("another PREFIX leads to the same folders")
			}
		})
	}
}

func listed(o outcome) string {
	var lines []string
	for place, n := range o {
		lines = append(lines, fmt.Sprintf("%6d %s", n, place))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestRoute_RefusesWrongFlags(t *testing.T) {
	t.Parallel()
	s := newSurroundings(t, 1)
	for args, want := range map[string]string{
		"":                                   `--sample="" and --last=0: want one of them`,
		"--sample a --last 3":                `--sample="a" and --last=3: want one of them`,
		"--last -1":                          "--last=-1: want 1 to 10000",
		"--sample a --shard s":               `--shard="s": want --last, too`,
		"--sample a --as gzip":               `--as="gzip": want auto, lines, payload, errors or backup`,
		"--sample a --call-function":         "--call-function: want TRANSFORM",
		"--sample /nowhere/a":                "no such file",
		"--last 3 --shard shardId-7":         `--shard="shardId-7": want a shard of the stream`,
		"--sample a --at yesterday":          `--at="yesterday": want an RFC 3339 time`,
		"--sample a --within 0s --explain":   "--within=0s: want a time above 0",
		"--sample " + os.DevNull + " --json": "",
	} {
		_, errs, exit := s.command(nil, append([]string{"route"}, strings.Fields(args)...)...)
		if want == "" && exit == 0 {
			continue
		}
		if exit != 2 || !strings.Contains(errs, want) {
			t.Errorf("route %s: exit %d, %s", args, exit, errs)
		}
	}
	if _, errs, exit := s.command([]string{"PREFIX=!{timestamp:YYYY}/"}, "route", "--sample", os.DevNull); exit != 2 || !strings.Contains(errs, "PREFIX") {
		t.Errorf("with a wrong setting: exit %d, %s", exit, errs)
	}
}
