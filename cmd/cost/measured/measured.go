// Package measured defines the benchmark's results that cmd/cost reads.
package measured

// Measured is a run of the benchmark.
type Measured struct {
	Date    string // YYYY-MM-DD
	Machine string
	Loads   []Load
}

// Load is the daemon's use of resources per gigabyte (1e9 bytes) of payload, in records of one size.
type Load struct {
	Format          string // jsonl-gzip, parquet-zstd
	RecordBytes     int
	CPUSecondsPerGB float64
	// PutsPerGB counts requests that S3 bills as PUT, COPY, POST or LIST; GetsPerGB counts GET and all others.
	PutsPerGB, GetsPerGB float64
	// OutputRatio is the bytes of files per byte of payload.
	OutputRatio float64
}
