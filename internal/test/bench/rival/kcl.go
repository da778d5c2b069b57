package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/checkpoint"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/config"
	kcl "github.com/vmware/vmware-go-kcl-v2/clientlibrary/interfaces"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/partition"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/worker"
)

func (s site) readWithKCL(ctx context.Context) error {
	settings := config.NewKinesisClientLibConfig("rival", s.stream, s.account.Region, "rival").
		WithInitialPositionInStream(config.TRIM_HORIZON).
		WithShardSyncIntervalMillis(50). // it takes one lease each
		WithIdleTimeBetweenReadsInMillis(250).
		WithMaxRecords(10_000)
	f := &factory{site: s}
	w := worker.NewWorker(f, settings).WithKinesis(kinesis.NewFromConfig(s.account)).WithCheckpointer(&nowhere{})
	if err := w.Start(); err != nil {
		return fmt.Errorf("start worker: %w", err)
	}
	<-ctx.Done()
	w.Shutdown()
	return f.finish(context.WithoutCancel(ctx))
}

// factory makes a processor with a file of its own for each shard.
type factory struct {
	site
	mu     sync.Mutex
	tables []table
	failed error
}

// CreateProcessor implements the library's interface.
func (f *factory) CreateProcessor() kcl.IRecordProcessor { return &processor{factory: f} }

func (f *factory) fail(err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed = err
}

func (f *factory) finish(ctx context.Context) error {
	for _, t := range f.tables {
		f.fail(t.finish(ctx))
	}
	return f.failed
}

type processor struct {
	*factory
	table table
}

// Initialize implements the library's interface.
func (p *processor) Initialize(in *kcl.InitializationInput) {
	file, err := p.newFile(context.Background(), "data/"+in.ShardId+".parquet")
	if err != nil {
		p.fail(err)
		return
	}
	p.table = p.columns(file)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tables = append(p.tables, p.table)
}

// ProcessRecords implements the library's interface.
func (p *processor) ProcessRecords(in *kcl.ProcessRecordsInput) {
	if len(in.Records) > 0 && p.table != nil {
		p.fail(p.table.add(in.Records))
	}
}

// Shutdown implements the library's interface.
func (p *processor) Shutdown(*kcl.ShutdownInput) {}

// nowhere stores no checkpoints: the cost of a table is not measured.
type nowhere struct{}

func (nowhere) Init() error { return nil }
func (nowhere) GetLease(s *partition.ShardStatus, owner string) error {
	s.SetLeaseOwner(owner)
	return nil
}
func (nowhere) CheckpointSequence(*partition.ShardStatus) error { return nil }
func (nowhere) FetchCheckpoint(*partition.ShardStatus) error {
	return checkpoint.ErrSequenceIDNotFound
}
func (nowhere) RemoveLeaseInfo(string) error         { return nil }
func (nowhere) RemoveLeaseOwner(string) error        { return nil }
func (nowhere) GetLeaseOwner(string) (string, error) { return "", nil }
func (nowhere) ListActiveWorkers(map[string]*partition.ShardStatus) (map[string][]*partition.ShardStatus, error) {
	return nil, nil
}
func (nowhere) ClaimShard(*partition.ShardStatus, string) error { return nil }
