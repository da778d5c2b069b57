package kcl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/middleware"
	chk "github.com/vmware/vmware-go-kcl-v2/clientlibrary/checkpoint"
	kcl "github.com/vmware/vmware-go-kcl-v2/clientlibrary/interfaces"
	par "github.com/vmware/vmware-go-kcl-v2/clientlibrary/partition"
	"github.com/vmware/vmware-go-kcl-v2/logger"
)

// checkpointer is the registry as the library's Checkpointer.
type checkpointer struct{ reg *registry }

var _ chk.Checkpointer = checkpointer{}

func (c checkpointer) Init() error { return nil }

func (c checkpointer) GetLease(s *par.ShardStatus, _ string) error { return c.reg.getLease(s) }

func (c checkpointer) RemoveLeaseOwner(shard string) error {
	c.reg.release(shard)
	return nil
}

// FetchCheckpoint returns nothing: sessions know where they begin.
func (c checkpointer) FetchCheckpoint(*par.ShardStatus) error { return chk.ErrSequenceIDNotFound }

// RemoveLeaseInfo is called when the library forgets a shard, which does not affect the shard.
func (c checkpointer) RemoveLeaseInfo(string) error { return nil }

// The library calls the methods below for disabled features, and through a record processor's checkpointer, which the
// processor of this package does not use.

func (c checkpointer) CheckpointSequence(*par.ShardStatus) error { return errUnused }

func (c checkpointer) GetLeaseOwner(string) (string, error) { return "", errUnused }

func (c checkpointer) ListActiveWorkers(map[string]*par.ShardStatus) (map[string][]*par.ShardStatus, error) {
	return nil, errUnused
}

func (c checkpointer) ClaimShard(*par.ShardStatus, string) error { return errUnused }

var errUnused = errors.New("not a call that the engine expects of the library")

// initializeFunc is the body of a middleware in the SDK's Initialize step.
type initializeFunc = func(context.Context, middleware.InitializeInput, middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error)

// newClient makes a Kinesis client whose operations are answered by f, the first step of the SDK's stack. A request
// that got past it would fail for lack of a network.
func newClient(f initializeFunc) *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region:     region,
		HTTPClient: noNetwork{},
		APIOptions: []func(*middleware.Stack) error{func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("ShardDriver", f), middleware.Before)
		}},
	})
}

type noNetwork struct{}

func (noNetwork) Do(*http.Request) (*http.Response, error) { return nil, errUnused }

// answer is the registry as the Kinesis service.
func (r *registry) answer(_ context.Context, in middleware.InitializeInput, _ middleware.InitializeHandler) (
	out middleware.InitializeOutput, md middleware.Metadata, err error,
) {
	switch p := in.Parameters.(type) {
	case *kinesis.ListShardsInput:
		out.Result, err = r.listShards()
	case *kinesis.GetShardIteratorInput:
		out.Result, err = r.getShardIterator(p)
	case *kinesis.GetRecordsInput:
		out.Result, err = r.getRecords(p)
	default:
		err = errUnused
	}
	return out, md, err
}

func (r *registry) listShards() (*kinesis.ListShardsOutput, error) {
	shards, err := r.list()
	if err != nil {
		return nil, err
	}
	out := &kinesis.ListShardsOutput{Shards: make([]types.Shard, len(shards))}
	for i := range shards {
		// The library reads the range and dereferences it; its content does not matter.
		out.Shards[i] = types.Shard{ShardId: &shards[i], SequenceNumberRange: &types.SequenceNumberRange{}}
	}
	return out, nil
}

func (r *registry) getShardIterator(in *kinesis.GetShardIteratorInput) (*kinesis.GetShardIteratorOutput, error) {
	s := r.session(aws.ToString(in.ShardId))
	if s == nil || r.ctx.Err() != nil {
		return nil, errEnded
	}
	return &kinesis.GetShardIteratorOutput{ShardIterator: &s.iterator}, nil
}

func (r *registry) getRecords(in *kinesis.GetRecordsInput) (*kinesis.GetRecordsOutput, error) {
	done, err := r.next(aws.ToString(in.ShardIterator))
	if err != nil {
		return nil, err
	}
	out := &kinesis.GetRecordsOutput{MillisBehindLatest: aws.Int64(0), NextShardIterator: in.ShardIterator}
	if done {
		out.NextShardIterator = nil
	}
	return out, nil
}

// factory makes record processors.
type factory struct{ reg *registry }

func (f factory) CreateProcessor() kcl.IRecordProcessor { return &processor{reg: f.reg} }

// processor passes the library's calls for one consumer to its session. It owns nothing: the library may drop it
// silently.
type processor struct {
	reg   *registry
	entry *entry
}

func (p *processor) Initialize(in *kcl.InitializationInput) { p.entry = p.reg.session(in.ShardId) }

func (p *processor) ProcessRecords(*kcl.ProcessRecordsInput) { p.reg.process(p.entry) }

// Shutdown is called at the shard's end and when the worker stops, but not otherwise. RemoveLeaseOwner follows.
func (p *processor) Shutdown(*kcl.ShutdownInput) {}

// libraryLogger passes the library's log lines to slog. We log its information ourselves in better words, so it goes to
// debug; so does the report of an error that we returned to end a consumer.
type libraryLogger struct{ log *slog.Logger }

func (l libraryLogger) Debugf(format string, args ...any) { l.print(slog.LevelDebug, format, args) }
func (l libraryLogger) Infof(format string, args ...any)  { l.print(slog.LevelDebug, format, args) }
func (l libraryLogger) Warnf(format string, args ...any)  { l.print(slog.LevelWarn, format, args) }

func (l libraryLogger) Errorf(format string, args ...any) {
	level := slog.LevelError
	for _, a := range args {
		if err, ok := a.(error); ok && (errors.Is(err, errEnded) || errors.As(err, &chk.ErrLeaseNotAcquired{})) {
			level = slog.LevelDebug
		}
	}
	l.print(level, format, args)
}

// Fatalf does not exit and Panicf does not panic: only main ends the process.

func (l libraryLogger) Fatalf(format string, args ...any) { l.print(slog.LevelError, format, args) }
func (l libraryLogger) Panicf(format string, args ...any) { l.print(slog.LevelError, format, args) }

func (l libraryLogger) WithFields(fields logger.Fields) logger.Logger {
	log := l.log
	for k, v := range fields {
		log = log.With(k, v)
	}
	return libraryLogger{log}
}

func (l libraryLogger) print(level slog.Level, format string, args []any) {
	ctx := context.Background() // the library's logger has none
	if l.log.Enabled(ctx, level) {
		l.log.Log(ctx, level, "vmware-go-kcl: "+fmt.Sprintf(format, args...))
	}
}
