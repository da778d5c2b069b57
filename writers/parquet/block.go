package parquet

import (
	"slices"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema/shred"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers"
)

// maxSampleBytes limits the records that wait until columns are inferred, and the samples kept for the columns of later
// files.
const maxSampleBytes = 4 << 20

// block is one row group.
type block struct {
	layout   *layout
	vectors  *vectors
	shredder *shred.Shredder

	// waiting holds the records that came before the columns of the file were known.
	waiting waiting
	// samples are records with members that have no column.
	samples      [][]byte
	samplesBytes int
	extras       table.Extras // of samples, if the file is for a table; otherwise nil
}

func (b *block) use(v *vectors) {
	b.vectors = v
	b.shredder = v.get()
}

// Append adds a record.
func (b *block) Append(r *record.Record) error {
	if b.shredder == nil {
		if v := b.layout.columns(); v != nil {
			b.settle(v)
		} else {
			return b.wait(r)
		}
	}
	if fault := b.shredder.Append(r); fault != nil {
		return fault
	}
	if b.layout.format.inferred != nil && b.shredder.HasExtra() {
		b.sample(r.Data)
	}
	return nil
}

// wait keeps a record until the columns are known. It checks the record, so that none is rejected later.
func (b *block) wait(r *record.Record) error {
	if fault := record.CheckJSON(r); fault != nil {
		return fault
	}
	b.waiting.add(r)
	if b.waiting.rows >= b.layout.format.options.InferRows || b.waiting.bytes >= maxSampleBytes {
		b.infer()
	}
	return nil
}

// infer settles the columns, based on the waiting records.
func (b *block) infer() {
	b.settle(b.layout.infer(b.waiting.data()))
}

// settle sets the columns, and adds the records that have waited for them.
func (b *block) settle(v *vectors) {
	b.use(v)
	b.waiting.take(func(r *record.Record) {
		if fault := b.shredder.Append(r); fault != nil {
			// Its JSON has been checked, and inferred columns reject nothing else. To continue would lose a record.
			panic("parquet: an accepted record was rejected: " + fault.Error())
		}
		if b.shredder.HasExtra() {
			b.sample(r.Data)
		}
	})
}

// sample keeps a record for the columns of later files.
func (b *block) sample(data []byte) {
	if len(b.samples) < b.maxSamples() && b.samplesBytes+len(data) <= maxSampleBytes {
		b.samples = append(b.samples, slices.Clone(data))
		b.samplesBytes += len(data)
		if b.extras != nil {
			b.shredder.ExtraKeys(b.extras.Add)
		}
	}
}

// maxSamples is the number of samples that a block keeps. The first file for a table proposes the types of its columns, so
// they are based on as many records as the columns of a file without a table.
func (b *block) maxSamples() int {
	if f := b.layout.format; b.extras != nil && f.inferred.samples.Load() < int64(f.options.InferRows) {
		return f.options.InferRows
	}
	return 100
}

// Rows returns the number of records.
func (b *block) Rows() int {
	if b.shredder == nil {
		return b.waiting.rows
	}
	return b.shredder.Rows()
}

// Size implements writers.Block.
func (b *block) Size() int {
	if b.shredder == nil {
		return b.waiting.bytes
	}
	return b.shredder.Size()
}

// Held returns the memory of the vectors, the waiting records, and the samples for later files.
func (b *block) Held() int {
	if b.shredder == nil {
		return b.waiting.held
	}
	return b.shredder.Memory() + b.samplesBytes
}

// Full reports whether the row group is large enough. It depends only on the records, so the same records give the same
// row groups.
func (b *block) Full() bool { return b.Size() >= b.layout.format.options.RowGroupBytes }

// Encode encodes the row group.
func (b *block) Encode() (writers.Encoded, error) {
	if b.Rows() == 0 {
		return b.encodeNothing(), nil // and settles no columns
	}
	if b.shredder == nil {
		b.infer()
	}
	f := b.layout.format
	if len(b.samples) > 0 {
		f.inferred.learn(b.samples)
		b.layout.addExtras(b.extras)
	}
	e := f.takeEncoder()
	e.expect(b.shredder.Size())
	group, err := e.group(b.shredder.Columns(), b.shredder.Rows())
	rounded, misfits := b.shredder.Rounded(), b.shredder.Misfits()
	b.letGo()
	out := e.out
	e.out = nil
	f.giveEncoder(e)
	if err != nil {
		return writers.Encoded{}, err
	}
	if rounded > 0 && f.options.Rounded != nil {
		f.options.Rounded(rounded)
	}
	if misfits > 0 && f.options.Misfits != nil {
		f.options.Misfits(misfits)
	}
	return writers.Encoded{
		Data: out, Rows: group.rows, Meta: group,
		Release: func() { f.outputs.Put(&out) },
	}, nil
}

func (b *block) encodeNothing() writers.Encoded {
	if b.shredder != nil {
		b.letGo()
	}
	return writers.Encoded{Meta: &encodedGroup{}}
}

// letGo releases the vectors. Those of a full row group are kept for the next one, which needs as much. If blocks are
// sealed early because many files are open, kept vectors would be memory outside the budget. Their long text always goes
// to the pools that all blocks share.
func (b *block) letGo() {
	full := b.Full()
	b.shredder.Reset()
	if full {
		b.vectors.put(b.shredder)
	}
	b.shredder, b.vectors = nil, nil
}
