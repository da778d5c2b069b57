package kcl

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	par "github.com/vmware/vmware-go-kcl-v2/clientlibrary/partition"
)

// BenchmarkEngine_Listing measures a tick of the event loop with 200 shards that are all being read.
func BenchmarkEngine_Listing(b *testing.B) {
	driver := newBoard()
	for i := range 200 {
		driver.offer(fmt.Sprintf("shardId-%012d", i))
	}
	client := newClient(newRegistry(driver, Config{Worker: testWorker, Logger: slog.New(slog.DiscardHandler)}).answer)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.ListShards(context.Background(), &kinesis.ListShardsInput{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEngine_Read measures the library's path to a session, which it takes at most five times per second and
// shard.
func BenchmarkEngine_Read(b *testing.B) {
	r := newRegistry(still{}, Config{Worker: testWorker, Logger: slog.New(slog.DiscardHandler)})
	r.ctx = context.Background()
	if err := r.getLease(&par.ShardStatus{ID: "a", Mux: new(sync.RWMutex)}); err != nil {
		b.Fatal(err)
	}
	client := newClient(r.answer)
	in := &kinesis.GetRecordsInput{ShardIterator: &r.session("a").iterator}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.GetRecords(context.Background(), in); err != nil {
			b.Fatal(err)
		}
	}
}

// still is a Driver and a Session that do nothing.
type still struct{}

func (still) Shards() []string              { return nil }
func (still) Open(string) (Session, bool)   { return still{}, true }
func (still) Next(context.Context) error    { return nil }
func (still) Process(context.Context) error { return nil }
func (still) Close()                        {}
