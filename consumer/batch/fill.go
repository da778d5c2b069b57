package batch

import (
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/metrics"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
)

// filler appends records to the files of their partitions, in the batch that it is given.
type filler struct {
	router  Router
	table   func() *Table // nil without a table
	files   *files
	shared  *writers.Shared
	board   *board
	now     func() time.Time
	metrics *metrics.Metrics
	log     *slog.Logger

	taken atomic.Int64 // user records
}

func newFiller(cfg Config, parts Parts, files *files, board *board) *filler {
	return &filler{
		router: parts.Router, table: parts.Table, files: files, shared: parts.Shared, board: board, now: cfg.Now, metrics: parts.Metrics, log: parts.Log,
	}
}

// fill appends records to the files of their partitions, a run of one partition at a time. It returns how many it has
// appended: it stops between two Kinesis records when the batch has too many files. A panic is an error that ends the
// batch.
func (f *filler) fill(b *batch, shard string, records []record.Record) (n int, err error) {
	var at *record.Record // the one that is worked on
	defer f.survive(shard, &at, &err)
	table := f.current()
	for start := 0; start < len(records); {
		if b.endsBefore(records, start) {
			return start, nil
		}
		at = &records[start]
		id, fault := f.route(at, table)
		if fault != nil {
			if err := f.appendFault(b, shard, &records[start], fault); err != nil {
				return 0, err
			}
			start++
			continue
		}
		end := start + 1
		for end < len(records) && !b.endsBefore(records, end) {
			at = &records[end]
			if next, fault := f.route(at, table); fault != nil || next != id {
				break
			}
			end++
		}
		if err := f.appendRun(b, id, shard, records[start:end], &at); err != nil {
			return 0, err
		}
		start = end
	}
	return len(records), nil
}

// current returns the table as it is now; nil if there is none.
func (f *filler) current() *Table {
	if f.table == nil {
		return nil
	}
	return f.table()
}

// route finds the file of a record for a table, which may be nil, or why it has none.
func (f *filler) route(r *record.Record, table *Table) (fileID, *record.Fault) {
	if r.Fault != nil {
		return fileID{}, r.Fault
	}
	partition, err := f.router.Partition(r)
	if err != nil {
		return fileID{}, asFault(err)
	}
	if table == nil {
		return fileID{partition: partition}, nil
	}
	tuple, fault := table.Partitioner.Tuple(r)
	return fileID{partition: partition, table: table, tuple: tuple}, fault
}

// appendRun appends records of one partition, and keeps at on the one that is worked on. Those that do not fit the format
// go to the error file.
func (f *filler) appendRun(b *batch, id fileID, shard string, records []record.Record, at **record.Record) error {
	var misfits misfits
	err := b.append(id, func(file *writers.File) error {
		for i := range records {
			*at = &records[i]
			err := file.Append(*at)
			if err == nil {
				continue
			}
			fault, ok := errors.AsType[*record.Fault](err)
			if !ok {
				return err
			}
			misfits.add(*at, fault)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return f.appendMisfits(b, shard, misfits)
}

// misfits are records that do not fit the format of their file.
type misfits []misfit

type misfit struct {
	r *record.Record
	f *record.Fault
}

func (m *misfits) add(r *record.Record, f *record.Fault) { *m = append(*m, misfit{r, f}) }

func (f *filler) appendMisfits(b *batch, shard string, misfits misfits) error {
	for _, m := range misfits {
		if err := f.appendFault(b, shard, m.r, m.f); err != nil {
			return err
		}
	}
	return nil
}

// errorFile returns the file of the error record of an undeliverable record.
func (f *filler) errorFile(r *record.Record, fault *record.Fault) fileID {
	return fileID{partition: f.router.ErrorPartition(fault.Type, r.Arrival), err: fault.Type}
}

// appendFault writes the error record of an undeliverable record.
func (f *filler) appendFault(b *batch, shard string, r *record.Record, fault *record.Fault) error {
	id := f.errorFile(r, fault)
	failed := *r
	failed.Fault, failed.Shard = fault, shard
	f.metrics.Faults.WithLabelValues(fault.Code).Inc()
	f.board.fault(f.now(), shard, r.SequenceNumber, fault)
	return b.append(id, func(file *writers.File) error { return file.Append(&failed) })
}

func asFault(err error) *record.Fault {
	if fault, ok := errors.AsType[*record.Fault](err); ok {
		return fault
	}
	return &record.Fault{Type: record.ProcessingFailed, Code: record.CodeRouteFailed, Message: err.Error()}
}

// survive, deferred, turns a panic into an error that ends the batch. It names the record that was worked on, if there is
// one.
func (f *filler) survive(shard string, at **record.Record, err *error) {
	v := recover()
	if v == nil {
		return
	}
	place := panicAt{shard: shard, what: record.Panicked(v).Message}
	if *at != nil {
		place.sequence = strings.Clone((*at).SequenceNumber)
	}
	f.log.Error("the program panicked while records were taken in", logkey.Shard, shard, logkey.Sequence, place.sequence, logkey.Error, place.what)
	*err = place
}
