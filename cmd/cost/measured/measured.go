// Package measured is what the benchmark tells the cost sheet.
package measured

// Measured is a run of the benchmark.
type Measured struct {
	Date    string // YYYY-MM-DD
	Machine string
	Loads   []Load
}

// Load is what the daemon takes for a gigabyte (1e9 bytes) of payload in records of one size.
type Load struct {
	Format          string // jsonl-gzip, parquet-zstd
	RecordBytes     int
	CPUSecondsPerGB float64
	// PutsPerGB are requests of S3's class of PUT, COPY, POST and LIST; GetsPerGB those of GET and all others.
	PutsPerGB, GetsPerGB float64
	// OutputRatio is bytes of files for each byte of payload.
	OutputRatio float64
}
