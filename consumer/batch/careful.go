package batch

import (
	"context"
	"slices"

	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
)

// carefully is how many user records are tried at a time. They may lie in as many files, beyond those that a batch is to
// have at most.
const carefully = 1000

// block is what can stand in a block of a file without a panic.
type block struct {
	id      fileID
	records []*record.Record
}

// try sorts out the records at which the program panics: they get a Fault. The others are returned in blocks that have
// been tried, those of a partition in their order.
func (f *filler) try(ctx context.Context, shard string, records []record.Record) ([]block, error) {
	routed := make(map[fileID][]*record.Record)
	var order []fileID
	table := f.current()
	for i := range records {
		r := &records[i]
		var id fileID
		if id, r.Fault = f.tryRoute(r, table); r.Fault != nil {
			continue
		}
		if routed[id] == nil {
			order = append(order, id)
		}
		routed[id] = append(routed[id], r)
	}
	var blocks []block
	for _, id := range order {
		tried, err := f.tryFormat(ctx, f.files.formatOf(id), routed[id])
		if err != nil {
			return nil, err
		}
		for _, records := range tried {
			blocks = append(blocks, block{id, records})
		}
	}
	f.logPoison(shard, records)
	return blocks, nil
}

// logPoison logs the records at which the program panics, in one line however many there are.
func (f *filler) logPoison(shard string, records []record.Record) {
	var first *record.Record
	n := 0
	for i := range records {
		if f := records[i].Fault; f == nil || f.Code != record.CodeRecordPanicked {
			continue
		}
		if n++; first == nil {
			first = &records[i]
		}
	}
	if first != nil {
		f.log.Error("records at which the program panics go to the error prefix", logkey.Shard, shard, logkey.Count, n,
			logkey.Sequence, first.SequenceNumber, logkey.Error, first.Fault.Message)
	}
}

// tryRoute is route, and draws a key. A panic is a Fault.
func (f *filler) tryRoute(r *record.Record, table *Table) (id fileID, fault *record.Fault) {
	defer func() {
		if v := recover(); v != nil {
			fault = record.Panicked(v)
		}
	}()
	if id, fault = f.route(r, table); fault == nil {
		f.router.KeyPrefix(id.partition)
	}
	return id, fault
}

// tryFormat encodes records of one partition, and halves them as long as the format panics. One at which it does alone
// gets a Fault; those at which it does only together stand in blocks apart.
func (f *filler) tryFormat(ctx context.Context, format writers.Format, records []*record.Record) ([][]*record.Record, error) {
	fault, err := f.shared.Try(ctx, format, records)
	if err != nil {
		return nil, err
	}
	if fault == nil {
		return [][]*record.Record{records}, nil
	}
	if len(records) == 1 {
		records[0].Fault = fault
		return nil, nil
	}
	half := len(records) / 2
	first, err := f.tryFormat(ctx, format, records[:half])
	if err != nil {
		return nil, err
	}
	second, err := f.tryFormat(ctx, format, records[half:])
	if err != nil {
		return nil, err
	}
	blocks := append(first, second...)
	good := slices.Concat(blocks...)
	if len(blocks) < 2 || len(good) == len(records) {
		return blocks, nil
	}
	fault, err = f.shared.Try(ctx, format, good)
	if err != nil || fault != nil {
		return blocks, err
	}
	return [][]*record.Record{good}, nil
}

// fillCarefully appends records that were tried: blocks as they are, and the faults among records.
func (f *filler) fillCarefully(b *batch, shard string, records []record.Record, blocks []block) (err error) {
	var at *record.Record
	defer f.survive(shard, &at, &err)
	for i := range records {
		if at = &records[i]; at.Fault != nil {
			if err := f.appendFault(b, shard, at, at.Fault); err != nil {
				return err
			}
		}
	}
	at = nil // none of those that follow is more to blame than another
	for _, block := range blocks {
		var misfits misfits
		err := b.append(block.id, func(file *writers.File) error { return file.AppendAlone(block.records, misfits.add) })
		if err == nil {
			err = f.appendMisfits(b, shard, misfits)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
