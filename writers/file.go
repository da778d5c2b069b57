package writers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/record"
)

var (
	// ErrFileClosed means that Finish or Abandon has been called, so the file accepts no more records.
	ErrFileClosed = errors.New("the file is closed")
	// ErrPanicked means that a format panicked on the records of a file. Shared.Try finds the record.
	ErrPanicked = errors.New("the format panicked")
)

// FileSpec describes a file and where it is stored.
type FileSpec struct {
	Format Format
	Sink   Destination
	// Key is the complete object key.
	Key string
	// BatchID is the id of the file's batch; it becomes metadata of the object.
	BatchID string
	// Metadata is stored with the object in addition to the batch's id.
	Metadata map[string]string
	// Partition, Error and Backup are copied to the checkpoint.File.
	Partition string
	Error     bool
	Backup    bool
	// Tuple is the partition tuple of the file in its table, if it is for one.
	Tuple [][]byte
}

// File collects the records of one partition from all shards into one object.
//
// Records of one caller are in the file in the order of its calls. Full blocks are encoded in parallel and written in the
// order in which they were filled.
type File struct {
	spec   FileSpec
	object Object
	layout Layout
	shared *Shared

	ctx    context.Context // of all work in the background
	cancel context.CancelCauseFunc
	work   sync.WaitGroup // encoders and the placer

	rows     atomic.Int64
	placed   atomic.Int64 // encoded bytes handed to the upload
	pending  atomic.Int64 // bytes, when sealed, of the blocks that are sealed but not placed yet
	standing atomic.Int64 // bytes of the open block
	held     atomic.Int64 // memory of the open block
	own      ratio
	common   *ratio // of all files of the format

	mu     sync.Mutex // guards block and closed; also held while waiting for a slot
	block  Block      // nil before the first record and after each seal
	closed bool

	// The placer, which frees slots, must not need mu. If both locks are needed, mu is taken first.
	queueMu sync.Mutex
	queue   []*sealed // in the order of the file
	placing bool      // a placer is running

	keeps  atomic.Int64 // what a block has added to kept, on average
	blocks int64        // placed; for the placer, like kept
	kept   int64        // bytes in the account Kept
	begun  bool         // what is before the first block is written
	upload Upload       // nil before the first bytes; created and used by the placer, and after it has ended by Finish and Abandon
}

// sealed is a block between sealing and placing.
type sealed struct {
	block   Block
	raw     int64 // bytes when it was sealed
	held    int64 // its bytes in the account Encoding
	encoded Encoded
	err     error
	done    chan struct{} // closed when encoded or err is set
}

// OpenFile begins a file. It makes no request: the upload begins with the first bytes, so a file without records costs
// nothing. When the context ends, so does all work of the file. The caller ends the file with Finish or Abandon.
func OpenFile(ctx context.Context, spec FileSpec, shared *Shared) *File {
	f := &File{spec: spec, object: spec.Format.Object(), layout: spec.Format.NewLayout(), shared: shared}
	f.ctx, f.cancel = context.WithCancelCause(ctx)
	f.common = shared.add(f)
	return f
}

// Append adds a record and copies what it keeps. It is safe for concurrent use.
//
// A *record.Fault means that this record does not fit the format; the file is unchanged. Any other error is final for the
// file, whether or not the record was added.
//
// If its own block is full, or open blocks have nearly used up the memory budget, Append waits while the maximum number
// of blocks is sealed and not yet handed on. Sealed blocks move on by themselves as long as S3 accepts bytes; the end of
// the file's context ends the wait.
func (f *File) Append(r *record.Record) error {
	if err := f.append(r); err != nil {
		return err
	}
	if !f.shared.budget.Over() {
		return nil
	}
	return f.shared.relieve(f.ctx)
}

func (f *File) append(r *record.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.state(); err != nil {
		return err
	}
	return f.add(r)
}

// AppendAlone adds records in blocks that hold no others, the same ones that Shared.Try has tried. A record that does not
// fit is passed to misfit and leaves the file unchanged. Otherwise it works like Append.
func (f *File) AppendAlone(records []*record.Record, misfit func(*record.Record, *record.Fault)) error {
	if err := f.appendAlone(records, misfit); err != nil {
		return err
	}
	if !f.shared.budget.Over() {
		return nil
	}
	return f.shared.relieve(f.ctx)
}

func (f *File) appendAlone(records []*record.Record, misfit func(*record.Record, *record.Fault)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.state(); err != nil {
		return err
	}
	if err := f.seal(); err != nil {
		return err
	}
	for _, r := range records {
		err := f.add(r)
		if fault, ok := errors.AsType[*record.Fault](err); ok {
			misfit(r, fault)
			continue
		}
		if err != nil {
			return err
		}
	}
	return f.seal()
}

// add puts a record into the open block, and seals the block if it is full. The caller holds f.mu.
func (f *File) add(r *record.Record) error {
	if f.block == nil {
		f.block = f.layout.NewBlock()
	}
	err := f.block.Append(r)
	f.measure() // even after a fault: the attempt may have grown the block's memory
	if err != nil {
		return err
	}
	f.rows.Add(1)
	if !f.block.Full() {
		return nil
	}
	return f.seal()
}

// state returns the reason why the file accepts no more records, or nil.
func (f *File) state() error {
	if f.closed {
		return fmt.Errorf("append to %s: %w", f.spec.Key, ErrFileClosed)
	}
	return f.failure()
}

// failure returns the error that ended the file's work, or nil.
func (f *File) failure() error {
	if f.ctx.Err() == nil {
		return nil
	}
	return context.Cause(f.ctx)
}

// measure updates the account of the open block.
func (f *File) measure() {
	f.standing.Store(int64(f.block.Size()))
	held := int64(f.block.Held())
	if grown := held - f.held.Swap(held); grown != 0 {
		f.shared.budget.Add(budget.Block, grown)
	}
}

// Rows returns the number of records in the file.
func (f *File) Rows() int64 { return f.rows.Load() }

// Size returns the current size of the object in bytes: what is encoded, plus an estimate for the rest by the compression
// ratio of the file or, before it has one, of its format.
func (f *File) Size() int64 {
	raw := f.pending.Load() + f.standing.Load()
	return f.placed.Load() + int64(float64(raw)*f.ratio())
}

func (f *File) ratio() float64 { return f.own.or(f.common.or(initialRatio)) }

// Seal closes the open block, so that its memory is freed as soon as it is encoded and sent. It waits like Append.
func (f *File) Seal() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.state(); err != nil {
		return err
	}
	return f.seal()
}

// seal waits for a slot and dispatches the open block, if it has records. The caller holds f.mu, so that nobody adds to
// the block meanwhile.
func (f *File) seal() error {
	if f.block == nil || f.block.Rows() == 0 {
		return nil
	}
	if err := f.shared.takeSlot(f.ctx); err != nil {
		return err
	}
	f.dispatch()
	return nil
}

// trySeal dispatches the open block with a slot that the caller holds, unless there is nothing to seal or the file is in
// use. It reports whether it did.
func (f *File) trySeal() bool {
	if !f.mu.TryLock() {
		return false
	}
	defer f.mu.Unlock()
	if f.state() != nil || f.block == nil || f.block.Rows() == 0 {
		return false
	}
	f.dispatch()
	return true
}

// dispatch queues the open block for encoding and passes it the slot. The caller holds f.mu, which puts the blocks in
// order.
func (f *File) dispatch() {
	raw, held := f.standing.Swap(0), f.held.Swap(0)
	s := &sealed{block: f.block, raw: raw, held: held, done: make(chan struct{})}
	f.block = nil
	f.pending.Add(raw)
	f.shared.budget.Move(budget.Block, budget.Encoding, held)
	f.work.Go(func() { f.encode(s) })
	f.queueMu.Lock()
	defer f.queueMu.Unlock()
	f.queue = append(f.queue, s)
	if !f.placing {
		f.placing = true
		f.work.Go(f.place)
	}
}

// encode turns a sealed block into bytes when a core is free.
func (f *File) encode(s *sealed) {
	defer close(s.done)
	select {
	case f.shared.cores <- struct{}{}:
		defer func() { <-f.shared.cores }()
	case <-f.ctx.Done():
		s.err = f.failure()
		return
	}
	// While it runs, the block's memory and the encoded bytes exist at the same time.
	growth := int64(float64(s.raw) * f.ratio())
	f.shared.budget.Add(budget.Encoding, growth)
	encoded, err := guard(s.block.Encode)
	s.block = nil
	f.shared.budget.Release(budget.Encoding, growth)
	if err != nil {
		s.err = fmt.Errorf("encode block of %s: %w", f.spec.Key, err)
		return
	}
	s.encoded = encoded
	size, held := int64(len(encoded.Data)), int64(cap(encoded.Data))
	f.shared.budget.Add(budget.Encoding, held-s.held)
	s.held = held
	f.own.observe(s.raw, size)
	f.common.observe(s.raw, size)
}

// guard calls a method of the format. A panic in it ends the file, like an error. Unrecovered, it would end the process,
// and then each worker that takes over the shard.
func guard[T any](method func() (T, error)) (result T, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %s", ErrPanicked, record.Panicked(v).Message) // not a *record.Fault: the record is not known yet
		}
	}()
	return method()
}

// place writes the sealed blocks in order until none is left. A file has at most one placer at a time.
func (f *File) place() {
	for s := f.next(); s != nil; s = f.next() {
		<-s.done // soon: an encoder waits only for a core or the context
		if err := f.lay(s); err != nil {
			f.cancel(err)
		}
		f.discard(s)
	}
}

// next removes the first block from the queue. If it returns nil, the placer must end.
func (f *File) next() *sealed {
	f.queueMu.Lock()
	defer f.queueMu.Unlock()
	if len(f.queue) == 0 {
		f.placing = false
		return nil
	}
	s := f.queue[0]
	f.queue[0] = nil
	f.queue = f.queue[1:]
	return s
}

// lay writes one encoded block to the upload.
func (f *File) lay(s *sealed) error {
	if err := f.failure(); err != nil {
		return err
	}
	if s.err != nil {
		return s.err
	}
	if err := f.begin(); err != nil {
		return err
	}
	p, err := guard(func() ([]byte, error) { return f.layout.Place(s.encoded) })
	if err != nil {
		return fmt.Errorf("place block of %s: %w", f.spec.Key, err)
	}
	f.keep()
	return f.write(p)
}

// keep updates the account of what the layout keeps of the blocks until the file ends.
func (f *File) keep() {
	l, ok := f.layout.(Keeping)
	if !ok {
		return
	}
	grown := int64(l.Kept()) - f.kept
	f.kept += grown
	f.shared.budget.Add(budget.Kept, grown)
	f.blocks++
	f.keeps.Store(f.kept / f.blocks)
}

// forget releases what keep has counted.
func (f *File) forget() {
	f.shared.budget.Release(budget.Kept, f.kept)
	f.kept = 0
}

// begin writes what is before the first block.
func (f *File) begin() error {
	if f.begun {
		return nil
	}
	f.begun = true
	head, err := guard(func() ([]byte, error) { return f.layout.Begin(), nil })
	if err != nil {
		return fmt.Errorf("begin %s: %w", f.spec.Key, err)
	}
	return f.write(head)
}

// open starts the upload before the first bytes.
func (f *File) open() error {
	metadata := map[string]string{MetadataBatchID: f.spec.BatchID}
	maps.Copy(metadata, f.spec.Metadata)
	u, err := f.spec.Sink.Begin(f.ctx, ObjectSpec{
		Key:             f.spec.Key,
		ContentType:     f.object.ContentType,
		ContentEncoding: f.object.ContentEncoding,
		Metadata:        metadata,
	})
	if err != nil {
		return err
	}
	f.upload = u
	return nil
}

func (f *File) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if f.upload == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	n, err := f.upload.Write(p)
	f.placed.Add(int64(n))
	return err
}

// discard releases what a sealed block holds.
func (f *File) discard(s *sealed) {
	if s.encoded.Release != nil {
		s.encoded.Release()
	}
	f.shared.budget.Release(budget.Encoding, s.held)
	f.pending.Add(-s.raw)
	f.shared.giveSlot()
}

// Finish ends the file. If it returns no error, every byte is durable in S3 as a part of the upload, which is still
// invisible. If the file has no bytes, because it has no records, or is a backup of empty ones, nothing is staged, and there is
// no upload. After an error, the caller calls Abandon.
func (f *File) Finish(ctx context.Context) (checkpoint.File, error) {
	stop := context.AfterFunc(ctx, func() { f.cancel(context.Cause(ctx)) })
	defer stop()
	if err := f.close(); err != nil {
		return checkpoint.File{}, err
	}
	f.work.Wait()
	if err := f.failure(); err != nil {
		return checkpoint.File{}, err
	}
	staged, err := f.stage()
	if err != nil {
		return checkpoint.File{}, err
	}
	f.forget()
	f.end(nil)
	return staged, nil
}

// close refuses further records and dispatches the open block.
func (f *File) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.state(); err != nil {
		return err
	}
	f.closed = true
	return f.seal()
}

// stage writes the end of the file and makes all of it durable.
func (f *File) stage() (checkpoint.File, error) {
	if !f.begun {
		return f.describe(checkpoint.File{}), nil
	}
	end, err := guard(f.layout.End)
	if err != nil {
		return checkpoint.File{}, fmt.Errorf("end %s: %w", f.spec.Key, err)
	}
	if err := f.write(end); err != nil {
		return checkpoint.File{}, err
	}
	switch {
	case f.upload != nil:
	case f.spec.Backup:
		return f.describe(checkpoint.File{}), nil
	default: // its rows are counted
		return checkpoint.File{}, fmt.Errorf("end %s: its %d records have no bytes", f.spec.Key, f.rows.Load())
	}
	staged, err := f.upload.Finish(f.ctx)
	if err != nil {
		return f.describe(staged), err
	}
	staged.Table, err = f.describeToTable()
	return f.describe(staged), err
}

// describeToTable returns what the loader of the file's table needs to know; nil if the file is for none.
func (f *File) describeToTable() (json.RawMessage, error) {
	layout, ok := f.layout.(Describer)
	if !ok {
		return nil, nil
	}
	text, err := guard(func() ([]byte, error) {
		d := layout.Describe()
		d.Partition = f.spec.Tuple
		return json.Marshal(d)
	})
	if err != nil {
		return nil, fmt.Errorf("describe %s to its table: %w", f.spec.Key, err)
	}
	return text, nil
}

// Abandon gives the file up: it stops all work, waits for it to end, and releases memory. The result is for Sink.Abort,
// which does nothing if nothing is staged. After Finish, Abandon only returns the upload.
func (f *File) Abandon() checkpoint.File {
	f.end(ErrFileClosed)
	f.mu.Lock()
	f.closed = true
	if f.block != nil {
		f.block = nil
		f.standing.Store(0)
		f.shared.budget.Release(budget.Block, f.held.Swap(0))
	}
	f.mu.Unlock()
	f.work.Wait()
	f.forget()
	if f.upload == nil {
		return f.describe(checkpoint.File{})
	}
	return f.describe(f.upload.Abandon())
}

func (f *File) describe(c checkpoint.File) checkpoint.File {
	c.Key = f.spec.Key
	c.Rows = f.rows.Load()
	c.Partition = f.spec.Partition
	c.Error = f.spec.Error
	c.Backup = f.spec.Backup
	return c
}

// end ends the file's context and removes the file from the list of open files.
func (f *File) end(cause error) {
	f.cancel(cause)
	f.shared.remove(f)
}
