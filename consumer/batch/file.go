package batch

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/layout"
)

const (
	// finishing is how many files are finished at the same time, of all batches. Each keeps what it has in memory until
	// S3 has taken it, so without a bound thousands of partitions in one answer of Kinesis would all be held at once.
	finishing = 32
	// maxDescribed bounds what describes the files of a batch, in bytes: it is held in memory until the batch is
	// published, and fills its manifest. It is enough for some 10,000 files of one part, or 80,000 parts.
	maxDescribed = 5 << 20
)

// fileID tells the open files of a batch apart.
type fileID struct {
	partition string
	err       record.OutputType // empty for data and backups
	backup    bool

	// Of data that is loaded into a table:
	table *Table // nil for none
	tuple string // of its partition
}

// values returns the partition tuple of the files of id in its table; nil without a table.
func (id fileID) values() [][]byte {
	if id.table == nil {
		return nil
	}
	return id.table.Partitioner.Values(id.tuple)
}

// describedOpen is what an open file is taken to need in the outbox, until it is known.
func describedOpen(id fileID) int64 {
	return int64(500+2*len(id.partition)) + id.table.described(id.tuple)
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

// shut closes the file to further records. It reports whether the file was open.
func (f *openFile) shut() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	open := !f.closed
	f.closed = true
	return open
}

// files is what the files of all batches have in common: how one begins, and how large and how many they may be.
type files struct {
	stream string
	table  string   // the name of the table that data files are written for; empty for none
	copied []string // names of the tables that take the rows of any data file
	zone   *time.Location
	router Router
	data   writers.Format
	errors writers.Format
	backup *Backup // nil for none
	sink   writers.Sink
	shared *writers.Shared

	roll  int64 // encoded size at which a file is closed
	most  int   // that a batch has open; 0 sets no bound
	crowd int64 // bytes of descriptions with which a batch has too many
	// finishers has one element for each file that is being finished.
	finishers chan struct{}
}

func newFiles(cfg Config, parts Parts) *files {
	return &files{
		stream: cfg.Stream, table: cfg.Table, copied: cfg.Databases, zone: cfg.Zone, router: parts.Router, data: parts.Data, errors: parts.Errors,
		backup: parts.Backup, sink: parts.Sink, shared: parts.Shared,
		roll: cfg.Limits.FileBytes, most: cfg.Limits.OpenFiles, crowd: maxDescribed, finishers: make(chan struct{}, finishing),
	}
}

// formatOf returns the format of the files of id.
func (fs *files) formatOf(id fileID) writers.Format {
	switch {
	case id.backup:
		return fs.backup.Format
	case id.err != "":
		return fs.errors
	case id.table != nil:
		return id.table.Format
	}
	return fs.data
}

// name returns what the keys of files with a key prefix begin with.
func (fs *files) name(keyPrefix string) string { return keyPrefix + fs.stream }

// begin begins the n-th file of a batch. It ends with ctx.
func (fs *files) begin(ctx context.Context, batch string, opened time.Time, id fileID, n int) *writers.File {
	format := fs.formatOf(id)
	return writers.OpenFile(ctx, writers.FileSpec{
		Format: format,
		Sink:   fs.sink,
		Key: layout.File{
			Name: fs.name(fs.router.KeyPrefix(id.partition)), Clock: opened.In(fs.zone), Batch: batch, Number: n,
			Extension: format.Object().Extension,
		}.Key(),
		BatchID:   batch,
		Partition: id.partition,
		Error:     id.err != "",
		Backup:    id.backup,
		Tuple:     id.values(),
	}, fs.shared)
}

// tablesOf returns the sorted names of the tables that a batch of these files is to be loaded into.
func (fs *files) tablesOf(done []checkpoint.File) (names []string) {
	if slices.ContainsFunc(done, func(f checkpoint.File) bool { return f.Data() }) {
		names = slices.Clone(fs.copied)
	}
	if slices.ContainsFunc(done, func(f checkpoint.File) bool { return len(f.Table) > 0 }) {
		names = append(names, fs.table)
	}
	slices.Sort(names)
	return names
}

// takeFinisher waits for the right to finish a file. It waits no longer than ctx: files of a batch that has ended finish
// at once.
func (fs *files) takeFinisher(ctx context.Context) (release func()) {
	select {
	case fs.finishers <- struct{}{}:
		return func() { <-fs.finishers }
	case <-ctx.Done():
		return func() {}
	}
}
