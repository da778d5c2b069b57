package consumer

import (
	"time"

	"aws-streaming-pipeline/internal/settings"
)

// BatchConfig sets the limits of files and batches.
type BatchConfig struct {
	FileSize       Bytes         `envconfig:"FILE_SIZE" default:"128MiB" min:"1KiB" desc:"Encoded size at which a file is closed."`
	CommitInterval time.Duration `envconfig:"COMMIT_INTERVAL" default:"5m" min:"1s" max:"24h" desc:"Longest time that a record waits to be committed."`
	CommitSize     Bytes         `envconfig:"COMMIT_SIZE" default:"1GiB" desc:"Encoded size of all files of a batch at which it is committed, even if files are open. At most 80,000 times PART_SIZE."`
	MaxOpenFiles   int           `envconfig:"MAX_OPEN_FILES" default:"500" min:"2" desc:"Largest number of partitions that have an open file. Beyond it, the least recently used file is closed early."`
}

// maxBatchParts bounds COMMIT_SIZE in parts. Each part of an open batch takes some 70 bytes of description in memory, and
// later in the commit.
const maxBatchParts = 80_000

func (c *BatchConfig) check(f *settings.Faults) {
	if f.Sound("FILE_SIZE") {
		f.Check(c.CommitSize >= c.FileSize, "COMMIT_SIZE", "at least FILE_SIZE, which is "+c.FileSize.String())
	}
}
