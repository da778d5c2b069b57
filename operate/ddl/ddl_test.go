package ddl

import (
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/test/projection"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/writers/formats"
)

func layoutOf(data, zone string) Layout {
	at, err := prefix.LoadZone(zone)
	if err != nil {
		panic(err)
	}
	return Layout{Location: "s3://bucket/", Prefix: data, Zone: at, Stream: "trips", FromYear: 2020, Taken: []string{"fare", "event_id"}}
}

// table is what a reader of the table's properties sees.
func table(p Partitions) projection.Table {
	t := projection.Table{Location: p.Location, Properties: map[string]string{"projection.enabled": "true", "storage.location.template": p.Template}}
	for _, c := range p.Columns {
		t.Partitions = append(t.Partitions, c.Name)
		for _, property := range c.Projection {
			t.Properties["projection."+c.Name+"."+property.Key] = property.Value
		}
	}
	return t
}

// describe writes the columns of a table on one line.
func describe(p Partitions) string {
	var columns []string
	for _, c := range p.Columns {
		text := c.Name
		for _, property := range c.Projection {
			text += " " + property.Value
		}
		columns = append(columns, text)
	}
	return strings.Join(append(columns, p.Location, p.Template), " | ")
}

var layouts = []struct{ prefix, query, zone, want string }{
	{"data/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/", "", "UTC",
		"year integer 2020,2100 4 | month integer 1,12 2 | day integer 1,31 2 | hour integer 0,23 2 | s3://bucket/data/ | s3://bucket/data/year=${year}/month=${month}/day=${day}/hour=${hour}/"},
	{"", "", "UTC", "datehour date yyyy/MM/dd/HH 2020/01/01/00,NOW 1 HOURS | s3://bucket/ | s3://bucket/${datehour}/"},
	{"legacy", "", "Pacific/Auckland", "datehour date yyyy/MM/dd/HH 2020/01/01/00,NOW+1DAY 1 HOURS | s3://bucket/ | s3://bucket/legacy${datehour}/"},
	{"trips/!{timestamp:'year='yyyy'/month='MM}/", "", "UTC", "year integer 2020,2100 4 | month integer 1,12 2 | s3://bucket/trips/ | s3://bucket/trips/year=${year}/month=${month}/"},
	{"dt=!{timestamp:yyyy-MM-dd}/!{timestamp:HH}/", "", "America/New_York", "dt date yyyy-MM-dd 2020-01-01,NOW+1DAY 1 DAYS | hour integer 0,23 2 | s3://bucket/ | s3://bucket/dt=${dt}/${hour}/"},
	{"a/!{timestamp:yyyyMM}/", "", "UTC", "month date yyyyMM 202001,NOW 1 MONTHS | s3://bucket/a/ | s3://bucket/a/${month}/"},
	{"a/!{timestamp:yyyy/M/d HH.mm}/", "", "UTC", "dateminute date yyyy/M/d HH.mm 2020/1/1 00.00,NOW 1 MINUTES | s3://bucket/a/ | s3://bucket/a/${dateminute}/"},
	{"a/!{timestamp:dd-MM-uuuu}/x", "", "UTC", "day date dd-MM-uuuu 01-01-2020,NOW 1 DAYS | s3://bucket/a/ | s3://bucket/a/${day}/"},
	{"a/!{timestamp:yyyy/MM/dd/HH}-", "", "UTC", "day date yyyy/MM/dd 2020/01/01,NOW 1 DAYS | s3://bucket/a/ | s3://bucket/a/${day}/"},
	{"a/!{timestamp:yyyyDDD}/", "", "UTC", "year integer 2020,2100 4 | yearday integer 1,366 3 | s3://bucket/a/ | s3://bucket/a/${year}${yearday}/"},
	{"a/!{timestamp:yyyy-MMM-d}/!{timestamp:E}/", "", "UTC", "year integer 2020,2100 4 | month enum Apr,Aug,Dec,Feb,Jan,Jul,Jun,Mar,May,Nov,Oct,Sep | day integer 1,31 | weekday enum Fri,Mon,Sat,Sun,Thu,Tue,Wed | s3://bucket/a/ | s3://bucket/a/${year}-${month}-${day}/${weekday}/"},
	{"a/!{timestamp:yyyy-MM-dd'T'HHxxx}/", "", "Europe/Lisbon", "day date yyyy-MM-dd 2020-01-01,NOW+1DAY 1 DAYS | hour integer 0,23 2 | zone enum +00:00,+01:00 | s3://bucket/a/ | s3://bucket/a/${day}T${hour}${zone}/"},
	{"a/!{timestamp:yy/Q/hh a}/", "", "UTC", "year integer 0,99 2 | quarter integer 1,4 | hour integer 1,12 2 | half enum AM,PM | s3://bucket/a/ | s3://bucket/a/${year}/${quarter}/${hour} ${half}/"},
	{"customer=!{partitionKeyFromQuery:c}/!{timestamp:yyyy-MM-dd}/", "{c:.c}", "UTC", "customer injected | day date yyyy-MM-dd 2020-01-01,NOW 1 DAYS | s3://bucket/ | s3://bucket/customer=${customer}/${day}/"},
	{"d/!{partitionKeyFromQuery:fare}/!{partitionKeyFromQuery:Region-2}/", `{fare:.c,"Region-2":.r}`, "UTC", "partition_fare injected | region_2 injected | s3://bucket/d/ | s3://bucket/d/${partition_fare}/${region_2}/"},
	{"d/!{timestamp:yyyy}/!{firehose:random-string}/!{timestamp:MM}/", "", "UTC", "year integer 2020,2100 4 | s3://bucket/d/ | s3://bucket/d/${year}/"},
	{"d/!{firehose:random-string}/!{timestamp:MM}/", "", "UTC", "s3://bucket/d/ | "},
	{"d/e/!{timestamp:yyyy}-!{partitionKeyFromQuery:c}-", "{c:.c}", "UTC", "s3://bucket/d/e/ | "},
}

// Each layout's files, named by the code that names the daemon's, are read by a query over the derived table, whatever the time of their
// arrival. Files of others are not.
func TestNew_FindsTheFilesOfEachLayout(t *testing.T) {
	times := []time.Time{
		time.Date(2020, 1, 1, 12, 0, 0, 0, time.UTC), time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC), time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC),
		time.Date(2026, 7, 4, 12, 5, 6, 0, time.UTC), time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC), time.Date(2026, 11, 29, 2, 3, 4, 0, time.UTC),
	}
	now := times[len(times)-1]
	for _, l := range layouts {
		p, err := New(layoutOf(l.prefix, l.zone))
		if err != nil {
			t.Errorf("%s: %v", l.prefix, err)
			continue
		}
		if got := describe(p); got != l.want {
			t.Errorf("%s:\n got %s\nwant %s", l.prefix, got, l.want)
		}
		zone, _ := prefix.LoadZone(l.zone)
		router, err := prefix.New(prefix.Config{Data: l.prefix, Error: "errors/!{firehose:error-output-type}/", Query: l.query, Zone: zone})
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range times {
			r := record.Record{Arrival: at, Data: []byte(`{"c":"a/b c","r":7}`)}
			partition, err := router.Partition(&r)
			if err != nil {
				t.Fatal(err)
			}
			key := router.KeyPrefix(partition) + "trips-1-2026-11-29-02-03-04-id-000.parquet"
			if _, ok := table(p).Reads("s3://bucket/"+key, now); !ok {
				t.Errorf("%s in %s: no query finds %s", l.prefix, l.zone, key)
			}
			for _, other := range []string{"errors/processing-failed/" + path.Base(key), "manifests/2026/11/29/02/id.json", "x/" + key} {
				if _, ok := table(p).Reads("s3://bucket/"+other, now); ok {
					t.Errorf("%s: queries read %s", l.prefix, other)
				}
			}
		}
	}
}

// The control: a table that ignores PREFIX finds nothing, and the reader refuses what Athena would not compute.
func TestReads_DoesNotFindFilesElsewhere(t *testing.T) {
	standard, err := New(layoutOf(layouts[0].prefix, "UTC"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 29, 2, 3, 4, 0, time.UTC)
	for _, key := range []string{
		"2026/11/29/02/f", "data/2026/11/29/02/f", "data/year=2026/month=11/day=29/f", "data/year=2026/month=13/day=29/hour=02/f", "data/year=2026/month=1/day=29/hour=02/f",
		"data/year=2019/month=11/day=29/hour=02/f", "data/year=2026/month=11/day=29/hour=24/f",
	} {
		if values, ok := table(standard).Reads("s3://bucket/"+key, now); ok {
			t.Errorf("%s is read as %v", key, values)
		}
	}
	hours, err := New(layoutOf("", "UTC"))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]bool{"2026/11/29/02/f": true, "2026/11/29/03/f": false, "2019/12/31/23/f": false, "2026/02/30/02/f": false, "2026/11/29/2/f": false} {
		if _, ok := table(hours).Reads("s3://bucket/"+key, now); ok != want {
			t.Errorf("%s is read: %v", key, ok)
		}
	}
	// A zone that is ahead of UTC needs the day after NOW.
	auckland, err := New(layoutOf("legacy", "Pacific/Auckland"))
	if err != nil {
		t.Fatal(err)
	}
	behind := table(auckland)
	behind.Properties["projection.datehour.range"] = "2020/01/01/00,NOW"
	if _, ok := behind.Reads("s3://bucket/legacy2026/11/29/15/f", now); ok {
		t.Error("a folder of the zone that NOW has not reached is read")
	}
	if _, ok := table(auckland).Reads("s3://bucket/legacy2026/11/29/15/f", now); !ok {
		t.Error("the folder of the present hour in the zone is not read")
	}
}

func TestNew_RefusesWhatAthenaCannotRead(t *testing.T) {
	others := map[string][]string{"MANIFEST_PREFIX": {"manifests/2026/"}, "ERROR_PREFIX": {"data/2026/errors/x"}}
	for data, want := range map[string]string{
		"a/!{timestamp:SSS}/":          "the field SSS of the time has too many values for Athena: partition projection has dates",
		"a/!{timestamp:HH-n}/":         "the field n of the time",
		"a//!{timestamp:yyyy}/":        "want no empty folder (//)",
		"/!{timestamp:yyyy}/":          "want no empty folder (//)",
		"a/!{timestamp:yyyy}/_x":       `do not begin with "_"`,
		"!{timestamp:yyyy}-":           "MANIFEST_PREFIX: its files are in folders of the table",
		"data/!{timestamp:yyyy}/":      "ERROR_PREFIX: its files are in folders of the table",
		"!{firehose:random-string}/a/": "MANIFEST_PREFIX: its files are in folders of the table",
		"a/!{timestamp:YYYY}/":         "the year of weeks",
	} {
		l := layoutOf(data, "UTC")
		l.Others, l.At = others, time.Date(2026, 11, 29, 2, 3, 4, 0, time.UTC)
		if p, err := New(l); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), fmt.Sprintf("PREFIX=%q", data)) {
			t.Errorf("%s: got %s, %v, want %s", data, describe(p), err, want)
		}
	}
	for data := range map[string]bool{"data/a/!{timestamp:yyyy}/": true, "a/_x/!{timestamp:yyyy}/": true, "x!{timestamp:yyyy}/": true} {
		l := layoutOf(data, "UTC")
		l.Others, l.At = others, time.Date(2026, 11, 29, 2, 3, 4, 0, time.UTC)
		if _, err := New(l); err != nil {
			t.Errorf("%s: %v", data, err)
		}
	}
}

func TestNew_ListsTheValuesOfAKeyThatAreGiven(t *testing.T) {
	l := layoutOf("r=!{partitionKeyFromQuery:region}/", "UTC")
	if p, err := New(l); err != nil || len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "WHERE r = '...'") {
		t.Errorf("%q, %v", p.Notes, err)
	}
	l.Values = map[string][]string{"region": {"eu", "us%2Feast"}}
	p, err := New(l)
	if want := "r enum eu,us%2Feast | s3://bucket/ | s3://bucket/r=${r}/"; err != nil || describe(p) != want || len(p.Notes) > 0 {
		t.Errorf("%s, %v, want %s", describe(p), err, want)
	}
}

func TestFiles_NamesWhatAthenaDoesNotRead(t *testing.T) {
	for settings, want := range map[[3]string]string{
		{"parquet", "zstd", ".data"}:   "",
		{"jsonl", "gzip", ""}:          "",
		{"jsonl", "none", ".json"}:     "",
		{"jsonl", "hadoop-snappy", ""}: "",
		{"jsonl", "gzip", ".json.gz"}:  "",
		{"jsonl", "gzip", ".json"}:     "FILE_EXTENSION=.json: want one that ends with .gz",
		{"jsonl", "zip", ""}:           "COMPRESSION=zip: want none, gzip, zstd or hadoop-snappy",
		{"jsonl", "snappy", ""}:        "COMPRESSION=snappy: want none",
		{"firehose", "none", ""}:       "FORMAT=firehose: want jsonl or parquet",
	} {
		kind, _ := formats.All.Find(settings[0])
		got := strings.Join(Files{kind, settings[1], settings[2]}.Check(), "\n")
		if (got == "") != (want == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%v: %q, want %q", settings, got, want)
		}
	}
}
