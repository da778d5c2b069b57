package consumer

import (
	"os"

	"aws-streaming-pipeline/internal/settings"
)

// MemoryConfig bounds the bytes held on their way to S3.
type MemoryConfig struct {
	MemoryBudget Bytes  `envconfig:"MEMORY_BUDGET" default:"256MiB" min:"32MiB" desc:"Bound on the bytes held in memory on their way to S3."`
	SpoolDir     string `envconfig:"SPOOL_DIR" desc:"Directory for parts that exceed the memory budget. Default: none; reading waits instead."`
	SpoolSize    Bytes  `envconfig:"SPOOL_SIZE" default:"4GiB" desc:"Bound on the bytes in SPOOL_DIR. At least PART_SIZE."`
}

func (c *MemoryConfig) check(f *settings.Faults) {
	if c.SpoolDir == "" {
		return
	}
	info, err := os.Stat(c.SpoolDir)
	f.Check(err == nil && info.IsDir(), "SPOOL_DIR", "an existing directory")
}
