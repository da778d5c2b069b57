package producer_test

import (
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/producer"
)

// startStream starts a Kinesis endpoint with a stream named trips.
func startStream(t testing.TB, shards int, options localstream.Options) (*localstream.Server, *kinesis.Client) {
	t.Helper()
	server, err := localstream.Start("127.0.0.1:0", options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := server.CreateStream("trips", shards); err != nil {
		t.Fatal(err)
	}
	return server, kinesis.New(kinesis.Options{
		BaseEndpoint: aws.String(server.URL()),
		Region:       "us-east-1",
		HTTPClient:   awshttp.Keep(nil),
		Credentials:  credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
}

// held returns the records of the stream by partition key.
func held(t testing.TB, server *localstream.Server) map[string][]localstream.Record {
	t.Helper()
	shards, err := server.Shards("trips")
	if err != nil {
		t.Fatal(err)
	}
	records := map[string][]localstream.Record{}
	for _, shard := range shards {
		for r := range server.Records("trips", shard.ID) {
			records[r.PartitionKey] = append(records[r.PartitionKey], r)
		}
	}
	return records
}

func run(t testing.TB, c producer.Config, client producer.Client) producer.Summary {
	t.Helper()
	p, err := producer.New(c, client)
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestProducer_TheSampleArrivesRowByRow(t *testing.T) {
	server, client := startStream(t, 4, localstream.Options{LimitWrites: true})
	c := producer.Config{Stream: "trips", PartitionKey: "TRIP_ID", Source: func() (producer.Source, error) {
		file, err := os.Open("testdata/trips.csv")
		if err != nil {
			return nil, err
		}
		return struct {
			producer.Source
			io.Closer
		}{producer.CSV(file), file}, nil
	}}
	s := run(t, c, client)
	if s.Records != 300 || s.SettledRows != 300 || s.BadRows != 0 {
		t.Errorf("summary %+v", s)
	}

	got := held(t, server)
	trips := producer.Generate(300, 1)
	columns, _ := trips.Columns()
	for range 300 {
		row, err := trips.Next()
		if err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		for i, column := range columns {
			want.WriteString(map[bool]string{true: "{", false: ","}[i == 0] + strconv.Quote(column) + ":" + strconv.Quote(string(row.Cells[i])))
		}
		want.WriteString("}")
		records := got[string(row.Cells[0])]
		if len(records) != 1 || string(records[0].Data) != want.String() {
			t.Fatalf("trip %s: %d records, want one of %.200s", row.Cells[0], len(records), want.String())
		}
	}

	shards, err := server.Shards("trips")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]producer.Shard{}
	for _, shard := range shards {
		want[shard.ID] = producer.Shard{Records: shard.Put, Bytes: shard.PutBytes}
	}
	if !maps.Equal(s.Shards, want) {
		t.Errorf("summary says %v, the stream %v", s.Shards, want)
	}
}

// Each way in which a call can fail on the wire is planted once. Only the lost answer may double records, and only those
// of that call; nothing may be lost.
func TestProducer_FaultsOfTheServiceLoseNothingAndOnlyALostAnswerDoubles(t *testing.T) {
	faults := localstream.NewFaults(1)
	server, client := startStream(t, 4, localstream.Options{Faults: faults})
	plant := func(kind localstream.FaultKind, nth, entries int) *localstream.Fault {
		return faults.Plant(localstream.Rule{Kind: kind, Operation: "PutRecords", Nth: nth, Entries: entries})
	}
	planted := []*localstream.Fault{
		plant(localstream.LostAnswer, 2, 0),
		plant(localstream.LostRequest, 3, 0),
		plant(localstream.ServerError, 4, 0),
		plant(localstream.Throttle, 5, 0),
		plant(localstream.ThrottleEntries, 6, 40),
		plant(localstream.FailEntries, 7, 60),
	}
	const rows = 3000
	c := producer.Config{Stream: "trips", PartitionKey: "id", Source: func() (producer.Source, error) {
		var text strings.Builder
		text.WriteString("id\n")
		for i := range rows {
			text.WriteString(strconv.Itoa(i) + "\n")
		}
		return producer.CSV(strings.NewReader(text.String())), nil
	}}
	s := run(t, c, client)

	for i, fault := range planted {
		if fault.Hits() != 1 {
			t.Errorf("fault %d was hit %d times", i, fault.Hits())
		}
	}
	records := held(t, server)
	if len(records) != rows || s.Records != rows {
		t.Errorf("%d different rows in the stream, %d in the summary, want %d", len(records), s.Records, rows)
	}
	doubles := 0
	for key, same := range records {
		if len(same) > 2 {
			t.Errorf("row %s is in the stream %d times", key, len(same))
		}
		doubles += len(same) - 1
	}
	if doubles < 1 || doubles > 500 {
		t.Errorf("%d doubles, want those of one call", doubles)
	}
	if s.FailedCalls != 4 {
		t.Errorf("%d calls failed as a whole, want 4", s.FailedCalls)
	}
	if again := s.Retries; again < 100+4 || again > 100+4*500 {
		t.Errorf("%d records sent again", again)
	}
}

func TestProducer_TakesAStreamByItsARN(t *testing.T) {
	server, client := startStream(t, 2, localstream.Options{})
	c := producer.Config{
		Stream:       "arn:aws:kinesis:us-east-1:123456789012:stream/trips",
		PartitionKey: "TRIP_ID",
		Source:       func() (producer.Source, error) { return producer.Generate(20, 1), nil },
	}
	run(t, c, client)
	if n := len(slices.Collect(maps.Keys(held(t, server)))); n != 20 {
		t.Errorf("%d trips in the stream", n)
	}
}

func BenchmarkProducer(b *testing.B) {
	for _, name := range []string{"generated", "csv"} {
		b.Run(name, func(b *testing.B) {
			_, client := startStream(b, 4, localstream.Options{WhenFull: localstream.TrimOldest, MaxBytes: 64 << 20})
			text, err := os.ReadFile("testdata/trips.csv")
			if err != nil {
				b.Fatal(err)
			}
			c := producer.Config{Stream: "trips", PartitionKey: "TRIP_ID", Unpaced: true, Repeat: 10}
			c.Source = func() (producer.Source, error) { return producer.Generate(300, 1), nil }
			if name == "csv" {
				c.Source = func() (producer.Source, error) { return producer.CSV(strings.NewReader(string(text))), nil }
			}
			b.ReportAllocs()
			var records, bytes int64
			for b.Loop() {
				s := run(b, c, client)
				records, bytes = records+s.Records, bytes+s.Bytes
			}
			b.SetBytes(bytes / int64(b.N))
			b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
