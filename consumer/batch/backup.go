package batch

import (
	"time"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
)

// Backup takes the Kinesis records as they came, in files of the batch that delivers them.
type Backup struct {
	// Format writes Kinesis records. It refuses none.
	Format writers.Format
	// Partition returns the partition of records that arrived at t.
	Partition func(t time.Time) string
}

// appendRaw appends Kinesis records to the files of the backup, a run of one partition at a time. A panic is an error that ends
// the batch.
func (f *filler) appendRaw(b *batch, shard string, raw []record.Record) (err error) {
	var at *record.Record // the one that is worked on
	defer f.survive(shard, &at, &err)
	for len(raw) > 0 {
		at = &raw[0]
		id := fileID{partition: f.files.backup.Partition(at.Arrival), backup: true}
		n := 1
		for n < len(raw) && f.files.backup.Partition(raw[n].Arrival) == id.partition {
			n++
		}
		err := b.append(id, func(file *writers.File) error {
			for i := range raw[:n] {
				at = &raw[i]
				if err := file.Append(at); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		raw = raw[n:]
	}
	return nil
}
