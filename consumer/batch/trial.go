package batch

import (
	"context"
	"errors"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/layout"
)

// Trial finds out what a Pipeline with the same settings would do with records, by the same functions, and stores nothing. It is for one
// goroutine.
type Trial struct {
	files  *files
	filler *filler
	blocks map[fileID]writers.Block
}

// trialBlocks is how many open blocks a Trial keeps.
const trialBlocks = 256

// NewTrial makes a Trial. Of the parts it needs Data, Errors, Router and, with a table, Table; of the settings Stream.
func NewTrial(cfg Config, parts Parts) *Trial {
	files := newFiles(cfg, parts)
	return &Trial{files: files, filler: newFiller(cfg, parts, files, nil), blocks: make(map[fileID]writers.Block)}
}

// Placement is where a record would be stored.
type Placement struct {
	// Fault is why it would be stored as an error record; nil for a data file.
	Fault *record.Fault
	// Key is the key of the file, as layout.KeyForm shows it.
	Key string
	// Tuple is the partition of the file in its table; nil without a table, and for an error record.
	Tuple []table.Value
}

// Place returns where a record would be stored. Like a file of the pipeline, it fits records into one block as long as that has room: what
// fits may depend on the records before it.
func (t *Trial) Place(ctx context.Context, r *record.Record) (Placement, error) {
	id, fault := t.filler.tryRoute(r, t.filler.current())
	if fault == nil {
		var err error
		if fault, err = t.fit(ctx, id, r); err != nil {
			return Placement{}, err
		}
	}
	if fault != nil {
		id = t.filler.errorFile(r, fault)
	}
	p := Placement{Fault: fault, Key: layout.KeyForm(t.files.name(prefix.Undrawn(id.partition)), t.files.formatOf(id).Object().Extension)}
	if id.table != nil {
		p.Tuple = id.table.Partitioner.Describe(id.tuple)
	}
	return p, nil
}

// fit appends a record to the open block of its file. It returns the fault of a record that does not fit, or at which the format panics.
func (t *Trial) fit(ctx context.Context, id fileID, r *record.Record) (fault *record.Fault, err error) {
	format := t.files.formatOf(id)
	panicked, err := t.filler.shared.Try(ctx, format, []*record.Record{r})
	if panicked != nil || err != nil {
		return panicked, err
	}
	block := t.blocks[id]
	if block == nil {
		if len(t.blocks) == trialBlocks {
			clear(t.blocks)
		}
		block = format.NewLayout().NewBlock()
		t.blocks[id] = block
	}
	err = block.Append(r)
	if block.Full() {
		delete(t.blocks, id)
	}
	if fault, ok := errors.AsType[*record.Fault](err); ok {
		return fault, nil
	}
	return nil, err
}
