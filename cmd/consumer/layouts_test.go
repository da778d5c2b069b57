package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/projection"
)

// understand reads CREATE TABLE statements with an independent grammar of Athena.
func understand(t *testing.T, files []string) map[string]projection.Table {
	t.Helper()
	env, _ := emulator.Tools(t)
	cmd := exec.CommandContext(t.Context(), "python3", append([]string{"../../athena/testdata/grammar.py", "ddl"}, files...)...)
	cmd.Env = env
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var read map[string]struct {
		Location   string            `json:"location"`
		Partitions [][2]string       `json:"partitions"`
		Properties map[string]string `json:"properties"`
	}
	if err == nil {
		err = json.Unmarshal(out, &read)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	tables := make(map[string]projection.Table)
	for file, said := range read {
		table := projection.Table{Location: said.Location, Properties: said.Properties}
		for _, column := range said.Partitions {
			table.Partitions = append(table.Partitions, column[0])
		}
		tables[file] = table
	}
	return tables
}

// With the daemon's settings and no flags, ddl prints a table whose projected partitions have every file that the daemon has written, and
// no other object of the bucket.
func TestDDL_PrintsATableThatFindsTheFilesOfEachLayout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	schema := filepath.Join(dir, "trips.json")
	if err := os.WriteFile(schema, []byte(`{"properties":{"region":{"type":"string"},"fare":{"type":"number"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	layouts := map[string][]string{
		"default":                  nil,
		"Firehose's default":       {"PREFIX=", "ERROR_PREFIX="},
		"a prefix without a slash": {"PREFIX=legacy", "ERROR_PREFIX=", "TIME_ZONE=Pacific/Auckland", "FORMAT=parquet"},
		"day and hour in a zone":   {"PREFIX=a/dt=!{timestamp:yyyy-MM-dd}/!{timestamp:HH}/", "TIME_ZONE=America/New_York", "COMPRESSION=zstd"},
		"Hive's names in quotes":   {"PREFIX=!{timestamp:'year='yyyy'/month='MM}/x-", "FORMAT=parquet", "FILE_EXTENSION=.pq"},
		"names of months and days": {"PREFIX=a/!{timestamp:yyyy-MMM-d}/!{timestamp:EEEE}/!{timestamp:xxx}/", "TIME_ZONE=Europe/Lisbon"},
		"a key, then minutes":      {"PREFIX=region=!{partitionKeyFromQuery:region}/!{timestamp:yyyyMMddHHmm}/", `PARTITION_QUERY={region:(.region//"none")}`},
		"keys in one folder":       {"PREFIX=d/!{partitionKeyFromQuery:a}-!{partitionKeyFromQuery:b}/part-", "PARTITION_QUERY={a:.fare,b:.fare}"},
		"a random string in a day": {"PREFIX=d/!{timestamp:yyyy/MM/dd}/!{firehose:random-string}/!{timestamp:HH}/"},
		"one folder":               {"PREFIX=d/!{timestamp:yyyy}-!{partitionKeyFromQuery:region}-", `PARTITION_QUERY={region:(.region//"none")}`, "COMPRESSION=none"},
		"errors beside the data":   {"PREFIX=d/data!{timestamp:yyyy}/", "ERROR_PREFIX=d/!{firehose:error-output-type}/", "MANIFEST_PREFIX=manifests/d/"},
	}
	type written struct {
		ddl           string
		data, foreign []string
	}
	var mu sync.Mutex
	all := make(map[string]written)
	t.Run("deliver", func(t *testing.T) {
		for name, settings := range layouts {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := newSurroundings(t, 1)
				settings := append(settings, "SCHEMA="+schema)
				last := ""
				for i, data := range []string{`{"region":"eu","fare":1}`, `{"region":"a/b c","fare":2.5}`, `{"region":"us","fare":3}`, "not json"} {
					put, err := s.kinesis.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String(streamName), PartitionKey: aws.String(fmt.Sprint(i)), Data: []byte(data)})
					if err != nil {
						t.Fatal(err)
					}
					last = *put.SequenceNumber
				}
				manifests := s.delivered(s.start(settings...), last)
				w := written{ddl: filepath.Join(dir, strings.ReplaceAll(name, " ", "_")+".sql")}
				for _, m := range manifests {
					for _, file := range m.Files {
						if file.Error {
							w.foreign = append(w.foreign, file.Key)
							continue
						}
						w.data = append(w.data, file.Key)
					}
				}
				for _, file := range s.files("manifests/") {
					key, err := filepath.Rel(filepath.Join(s.dir, "bucket", bucketName), file)
					if err != nil {
						t.Fatal(err)
					}
					w.foreign = append(w.foreign, filepath.ToSlash(key))
				}
				out, errs, exit := s.command(settings, "ddl")
				if exit != 0 || os.WriteFile(w.ddl, []byte(out), 0o600) != nil {
					t.Fatalf("ddl: exit %d, %s", exit, errs)
				}
				mu.Lock()
				defer mu.Unlock()
				all[name] = w
			})
		}
	})
	if t.Failed() {
		return
	}
	var files []string
	for _, w := range all {
		files = append(files, w.ddl)
	}
	tables := understand(t, files)
	now := time.Now()
	for name, w := range all {
		table := tables[w.ddl]
		if len(w.data) == 0 || len(w.foreign) < 2 {
			t.Errorf("%s: %d data files and %d others", name, len(w.data), len(w.foreign))
		}
		for _, key := range w.data {
			if _, ok := table.Reads("s3://"+bucketName+"/"+key, now); !ok {
				t.Errorf("%s: no query reads %s\n%+v", name, key, table)
			}
			// The control: the table of the default PREFIX, which ddl printed for any layout, has none of the others' files.
			if _, ok := tables[all["default"].ddl].Reads("s3://"+bucketName+"/"+key, now); ok != (name == "default") {
				t.Errorf("%s: the table of the default PREFIX reads %s: %v", name, key, ok)
			}
		}
		for _, key := range w.foreign {
			if values, ok := table.Reads("s3://"+bucketName+"/"+key, now); ok {
				t.Errorf("%s: queries read %s as %v", name, key, values)
			}
		}
	}
}

func TestDDL_RefusesWhatAthenaCannotRead(t *testing.T) {
	t.Parallel()
	s := newSurroundings(t, 1)
	schema := filepath.Join(s.dir, "trips.json")
	if err := os.WriteFile(schema, []byte(`{"properties":{"fare":{"type":"number"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ settings, flags, want string }{
		{"PREFIX=a/!{timestamp:SSS}/", "", "the field SSS of the time has too many values"},
		{"PREFIX=!{timestamp:yyyy}-", "", "MANIFEST_PREFIX: its files are in folders of the table"},
		{"PREFIX=a/!{timestamp:YYYY}/", "", `PREFIX: !{timestamp:YYYY}: "Y" is the year of weeks`},
		{"TIME_ZONE=Nowhere", "", `TIME_ZONE="Nowhere"`},
		{"FORMAT=firehose", "", "FORMAT=firehose: want jsonl or parquet"},
		{"COMPRESSION=zip", "", "COMPRESSION=zip: want none, gzip, zstd or hadoop-snappy"},
		{"FILE_EXTENSION=.json", "", "FILE_EXTENSION=.json: want one that ends with .gz"},
		{"BUCKET=", "", "BUCKET is not set"},
		{"SCHEMA=", "", "--schema is required, because SCHEMA is not set: a table needs columns; \"consumer schema infer FILE\" proposes a schema"},
		{"", "--location s3://b", `--location="s3://b": want s3://bucket/prefix/`},
		{"", "--iceberg", `--location="": want s3://bucket/prefix/`},
		{"", "--format orc", `--format="orc": want`},
		{"", "--partitions year", `--partitions="year": want --location, too`},
		{"", "--partitions dt --location s3://b/", `--partitions="dt": want some of year, month, day, hour, or none`},
		{"", "--values region", `--values="region": want a partition key with its values`},
	} {
		settings := append([]string{"SCHEMA=" + schema}, strings.Fields(c.settings)...)
		out, errs, exit := s.command(settings, append([]string{"ddl"}, strings.Fields(c.flags)...)...)
		if exit != 2 || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%s ddl %s: exit %d, %s\n%s", c.settings, c.flags, exit, errs, out)
		}
	}
}

// Flags come before settings.
func TestDDL_TakesFlagsBeforeSettings(t *testing.T) {
	t.Parallel()
	s := newSurroundings(t, 1)
	schema := filepath.Join(s.dir, "trips.json")
	if err := os.WriteFile(schema, []byte(`{"properties":{"fare":{"type":"number"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := []string{"SCHEMA=/nowhere.json", "FORMAT=firehose", "BUCKET=", "PREFIX=data/r=!{partitionKeyFromQuery:r}/!{timestamp:yyyy/MM}/", "PARTITION_QUERY={r:.r}"}
	for flags, want := range map[string][]string{
		"--location s3://other/place/":                   {"LOCATION 's3://other/place/'", "'storage.location.template' = 's3://other/place/r=${r}/${month}/'", "'projection.r.type' = 'injected'"},
		"--location s3://other/place/ --values r=eu,us":  {"'projection.r.values' = 'eu,us'"},
		"--location s3://other/ --partitions year,month": {"'storage.location.template' = 's3://other/year=${year}/month=${month}/'"},
		"--location s3://other/ --partitions none":       {"LOCATION 's3://other/'\nTBLPROPERTIES (\n  'classification' = 'parquet'\n);"},
	} {
		out, errs, exit := s.command(settings, append([]string{"ddl", "--schema", schema, "--format", "parquet"}, strings.Fields(flags)...)...)
		for _, want := range want {
			if exit != 0 || !strings.Contains(out, want) {
				t.Errorf("ddl %s: exit %d, no %s\n%s%s", flags, exit, want, errs, out)
			}
		}
	}
}
