package batch

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
)

// batch is what is filled, sealed, committed and published as one. Shards append to it side by side.
type batch struct {
	id     string
	opened time.Time // when its first record was taken in
	ctx    context.Context
	cancel context.CancelCauseFunc
	lane   *lane

	encoded   atomic.Int64 // bytes of all files, estimated where not yet encoded
	records   atomic.Int64
	described atomic.Int64 // estimated size of what the outbox holds of its files
	turns     atomic.Int64 // runs of records appended, orders the files by their last use
	due       atomic.Pointer[string]

	mu       sync.Mutex
	entered  int           // shards that are appending
	sealed   bool          // nobody enters any more
	empty    chan struct{} // closed when it is sealed and the last shard has left
	open     map[fileID]*openFile
	finished sync.WaitGroup // files being finished
	done     []checkpoint.File
	started  int // files begun, numbers their keys
	ranges   map[string]*coverage
	oldest   time.Time // earliest arrival of its records
}

// maxDescribed bounds what describes the files of a batch, in bytes: it is held in memory until the batch is published,
// and fills its manifest. It is enough for some 10,000 files of one part, or 80,000 parts.
const maxDescribed = 5 << 20

// describedOpen is what an open file is taken to need in the outbox, until it is known.
func describedOpen(id fileID) int64 { return int64(500 + 2*len(id.partition)) }

// fileID tells the open files of a batch apart.
type fileID struct {
	partition string
	err       record.OutputType // empty for data
}

// coverage is the range of one shard with the cursor that it came from.
type coverage struct {
	checkpoint.Range
	cursor *Cursor
}

// openFile is a file that records are being appended to. Its lock is held for reading while a run of records goes in,
// and for writing to close it.
type openFile struct {
	mu     sync.RWMutex
	file   *writers.File
	closed bool
	size   atomic.Int64 // as last added to the batch's encoded
	used   atomic.Int64 // the batch's turn at which it was last asked for
}

func newBatch(ctx context.Context, l *lane, id string, now time.Time) *batch {
	ctx, cancel := context.WithCancelCause(ctx)
	return &batch{
		id: id, opened: now, ctx: ctx, cancel: cancel, lane: l,
		open:   make(map[fileID]*openFile),
		empty:  make(chan struct{}),
		ranges: make(map[string]*coverage),
	}
}

// enter lets a shard append until it leaves; false if the batch is sealed.
func (b *batch) enter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.sealed {
		b.entered++
	}
	return !b.sealed
}

func (b *batch) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entered--
	if b.sealed && b.entered == 0 {
		close(b.empty)
	}
}

// seal lets nobody enter any more and waits until all have left. What they wait for themselves ends with the batch.
func (b *batch) seal() {
	b.mu.Lock()
	b.sealed = true
	if b.entered == 0 {
		close(b.empty)
	}
	b.mu.Unlock()
	<-b.empty
}

// append puts a run of records of one partition into its file. add is called with the file, once, and returns nil
// when all of the run is in.
func (b *batch) append(id fileID, add func(*writers.File) error, roll int64) error {
	for {
		f := b.file(id)
		size, open, err := b.appendTo(f, add)
		if !open { // rolled by another shard between the look-up and the lock
			continue
		}
		if err != nil {
			b.cancel(err)
			return err
		}
		if size >= roll {
			b.close(id, f, "size")
		}
		return nil
	}
}

// appendTo calls add unless the file is closed. The lock is given back also if add panics: closing waits for it.
func (b *batch) appendTo(f *openFile, add func(*writers.File) error) (size int64, open bool, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return 0, false, nil
	}
	err = add(f.file)
	size = f.file.Size()
	b.encoded.Add(size - f.size.Swap(size))
	return size, true, err
}

// file returns the open file of id, beginning one if there is none. If that is one too many, the file that was used
// least recently is closed: its partition goes on in another file.
func (b *batch) file(id fileID) *openFile {
	f, surplus := b.find(id)
	if surplus.file != nil {
		b.close(surplus.id, surplus.file, "open files")
	}
	return f
}

// found is an open file with its id.
type found struct {
	id   fileID
	file *openFile
}

func (b *batch) find(id fileID) (f *openFile, surplus found) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f, ok := b.open[id]
	if !ok {
		f = &openFile{file: b.lane.p.openFile(b, id, b.started)}
		b.started++
		b.described.Add(describedOpen(id))
		b.open[id] = f
		if limit := b.lane.p.cfg.Limits.OpenFiles; limit > 0 && len(b.open) > limit {
			surplus = b.leastRecentlyUsed(id)
		}
	}
	f.used.Store(b.turns.Add(1))
	return f, surplus
}

// leastRecentlyUsed returns an open file other than that of id; b.mu is held.
func (b *batch) leastRecentlyUsed(id fileID) (oldest found) {
	for other, f := range b.open {
		if other != id && (oldest.file == nil || f.used.Load() < oldest.file.used.Load()) {
			oldest = found{other, f}
		}
	}
	return oldest
}

// close takes a file out of the open ones and finishes it in the background. It waits while many others are being
// finished, which end by themselves.
func (b *batch) close(id fileID, f *openFile, reason string) {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return
	}
	f.closed = true
	f.mu.Unlock()

	b.mu.Lock()
	delete(b.open, id)
	b.mu.Unlock()
	release := b.lane.p.takeFinisher(b.ctx)
	b.finished.Go(func() {
		defer release()
		staged, err := f.file.Finish(b.ctx)
		if err != nil {
			b.cancel(fmt.Errorf("finish file of partition %q: %w", id.partition, err))
			staged = f.file.Abandon()
		}
		b.described.Add(-describedOpen(id))
		if staged.UploadID == "" {
			b.encoded.Add(-f.size.Swap(0))
			return // it got no record, or none that fits its format: there is nothing in S3
		}
		staged.Reason = reason
		b.mu.Lock()
		b.done = append(b.done, staged)
		b.mu.Unlock()
		b.described.Add(checkpoint.FileItemSize(staged))
		size := staged.Bytes
		b.encoded.Add(size - f.size.Swap(size))
	})
}

// finish closes all files, waits until every byte is durable, and returns the batch as it is to be committed. After an
// error the batch can only be dropped; what it staged is in the answer all the same.
func (b *batch) finish(worker, reason string, now time.Time) (checkpoint.Batch, error) {
	b.seal()
	for id, f := range b.openFiles() {
		b.close(id, f, reason)
	}
	b.finished.Wait()
	out := checkpoint.Batch{ID: b.id, Worker: worker, Created: now.UTC(), Files: b.done}
	for _, c := range b.ranges {
		out.Ranges = append(out.Ranges, c.Range)
	}
	sortRanges(out.Ranges)
	sortFiles(out.Files)
	return out, context.Cause(b.ctx)
}

func (b *batch) openFiles() map[fileID]*openFile {
	b.mu.Lock()
	defer b.mu.Unlock()
	files := make(map[fileID]*openFile, len(b.open))
	for id, f := range b.open {
		files[id] = f
	}
	return files
}

// cover notes that records of the cursor's shard, up to end, are in the batch.
func (b *batch) cover(c *Cursor, end checkpoint.Position, in Intake) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.ranges[c.shard]
	if !ok {
		r = &coverage{cursor: c, Range: checkpoint.Range{
			Shard: c.shard, Start: c.position, LeaseOwner: c.lease.Owner, LeaseCounter: c.lease.Counter,
		}}
		b.ranges[c.shard] = r
	}
	r.End = end
	if len(in.Records) == 0 {
		return
	}
	first, last := in.Records[0].Arrival, in.Records[len(in.Records)-1].Arrival
	r.Records += int64(len(in.Records))
	r.Last = in.Last
	if r.FirstArrival.IsZero() {
		r.FirstArrival = first
	}
	r.LastArrival = last
	if b.oldest.IsZero() || first.Before(b.oldest) {
		b.oldest = first
	}
}

// covers tells whether the batch holds records of the shard.
func (b *batch) covers(shard string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, in := b.ranges[shard]
	return in
}

// crowded tells that the batch has as many files and parts as it may have.
func (b *batch) crowded() bool { return b.described.Load() >= b.lane.p.crowd }

// room tells whether one more shard fits into a commit.
func (b *batch) room() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.ranges) < checkpoint.MaxRanges
}

// idle tells that the batch has records and no open file: committing it cuts no file short.
func (b *batch) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.open) == 0 && len(b.ranges) > 0
}

func (b *batch) cursors() []*Cursor {
	b.mu.Lock()
	defer b.mu.Unlock()
	cursors := make([]*Cursor, 0, len(b.ranges))
	for _, c := range b.ranges {
		cursors = append(cursors, c.cursor)
	}
	return cursors
}

func (b *batch) oldestArrival() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.oldest
}
