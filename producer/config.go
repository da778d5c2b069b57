package producer

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"aws-streaming-pipeline/internal/streams"
)

// Config sets what is sent, where to, and how fast. Fields whose zero value is explained are optional.
type Config struct {
	Stream streams.ID
	// Source opens the table. It is called once for each repetition.
	Source func() (Source, error)
	// Repeat is how often the table is sent: once if it is 0, without end if it is Forever.
	Repeat int
	// Skip is the number of rows, counted over all repetitions, that are read and not sent.
	Skip int64
	// PartitionKey is the column whose value is the partition key. If it is empty, the row's number is.
	PartitionKey string
	// MaxRecordBytes is the largest record, data and key, that the stream accepts: DefaultMaxRecordBytes if it is 0, up
	// to 10 MiB if the stream's limit was raised. Larger rows are bad rows.
	MaxRecordBytes int
	// FailOnBadRow ends the run at the first bad row; otherwise bad rows are reported and skipped.
	FailOnBadRow bool
	// Rate is the maximum number of rows sent per second, 0 for no limit.
	Rate float64
	// Unpaced sends as fast as Kinesis responds. Otherwise the producer keeps within each shard's limits of 1 MiB and
	// 1,000 records per second, which needs the permission kinesis:ListShards.
	Unpaced bool
	// InFlight is the number of concurrent calls, DefaultInFlight if it is 0.
	InFlight int
	// GiveUpAfter is how long a call is retried while none of its records is accepted, DefaultGiveUpAfter if it is 0.
	// Then the run ends.
	GiveUpAfter time.Duration
	// DrainFor is how long calls in flight may continue after the run was interrupted or one of them failed,
	// DefaultDrainFor if it is 0.
	DrainFor time.Duration

	// OnBadRow, if set, is called for each bad row, from the goroutine of Run.
	OnBadRow func(*BadRow)
	// OnProgress, if set, is called with the progress of the run every ProgressEvery (defaultProgressEvery if it is 0), one
	// call at a time. The last call returns before Run does.
	OnProgress    func(Progress)
	ProgressEvery time.Duration
	// Log receives the events of the run; nothing is logged if it is nil.
	Log *slog.Logger
}

// Forever is a Config.Repeat without an end.
const Forever = -1

// Defaults of the fields of Config.
const (
	DefaultInFlight      = 8
	DefaultGiveUpAfter   = 5 * time.Minute
	DefaultDrainFor      = 10 * time.Second
	defaultProgressEvery = time.Second

	maxInFlight = 64
)

// Fault is one setting that cannot be used.
type Fault struct {
	Field string // of Config
	Value any
	Want  string
}

func (f Fault) Error() string {
	return fmt.Sprintf("%s=%q: want %s", f.Field, fmt.Sprint(f.Value), f.Want)
}

// Validate returns all Faults of the settings joined, or nil.
func (c *Config) Validate() error {
	var faults []error
	check := func(ok bool, field string, value any, want string) {
		if !ok {
			faults = append(faults, Fault{field, value, want})
		}
	}
	check(c.Stream.Valid(), "Stream", string(c.Stream), "the name (1 to 128 letters, digits, '_', '.', '-') or the ARN of a stream")
	check(c.Source != nil, "Source", "", "a function that opens the table")
	check(c.Repeat >= Forever, "Repeat", c.Repeat, "a number of times, or Forever")
	check(c.Skip >= 0, "Skip", c.Skip, "a number of rows, 0 for none")
	check(c.MaxRecordBytes >= 0 && c.MaxRecordBytes <= maxRecordBytes, "MaxRecordBytes", c.MaxRecordBytes,
		fmt.Sprintf("1 to %d bytes", maxRecordBytes))
	check(c.Rate >= 0 && c.Rate <= maxRate, "Rate", c.Rate, fmt.Sprintf("a number of rows per second up to %g, 0 for no limit", float64(maxRate)))
	check(c.InFlight >= 0 && c.InFlight <= maxInFlight, "InFlight", c.InFlight, fmt.Sprintf("1 to %d calls", maxInFlight))
	check(c.GiveUpAfter >= 0, "GiveUpAfter", c.GiveUpAfter, "a time that is not negative")
	check(c.DrainFor >= 0, "DrainFor", c.DrainFor, "a time that is not negative")
	check(c.ProgressEvery >= 0, "ProgressEvery", c.ProgressEvery, "a time that is not negative")
	return errors.Join(faults...)
}

// maxRate is more than any machine sends; a higher Rate is treated as a mistake.
const maxRate = 1e7

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	setDefault(&c.Repeat, 1)
	setDefault(&c.MaxRecordBytes, DefaultMaxRecordBytes)
	setDefault(&c.InFlight, DefaultInFlight)
	setDefault(&c.GiveUpAfter, DefaultGiveUpAfter)
	setDefault(&c.DrainFor, DefaultDrainFor)
	setDefault(&c.ProgressEvery, defaultProgressEvery)
	setDefault(&c.Log, slog.New(slog.DiscardHandler))
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
