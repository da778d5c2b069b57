package producer

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"aws-streaming-pipeline/internal/streams"
)

// Config says what is sent, where to, and how fast. Fields without a default may be left out where their zero value
// is explained.
type Config struct {
	Stream streams.ID
	// Source opens the table. It is called once for each repetition.
	Source func() (Source, error)
	// Repeat is how often the table is sent: 1 if it is 0, for ever if it is Forever.
	Repeat int
	// Skip is the number of rows, counted over all repetitions, that are read and not sent.
	Skip int64
	// PartitionKey is the column whose value is the partition key. If it is empty, the row's number is.
	PartitionKey string
	// MaxRecordBytes is the largest record, data and key, that the stream takes: DefaultMaxRecordBytes if it is 0, up
	// to 10 MiB where the stream's limit was raised. Larger rows are bad rows.
	MaxRecordBytes int
	// FailOnBadRow ends the run at the first bad row; otherwise bad rows are reported and skipped.
	FailOnBadRow bool
	// Rate is the number of rows sent in a second, 0 for no bound.
	Rate float64
	// Unpaced sends as fast as the stream answers. Otherwise no shard is given more than the 1 MiB and 1,000 records
	// a second that it takes, which needs the permission kinesis:ListShards.
	Unpaced bool
	// InFlight is the number of calls side by side, DefaultInFlight if it is 0.
	InFlight int
	// GiveUpAfter is how long a call may go on without one of its records being accepted, DefaultGiveUpAfter if it is
	// 0. Then the run ends.
	GiveUpAfter time.Duration
	// DrainFor is how long calls in flight may go on after the run was interrupted or one of them failed,
	// DefaultDrainFor if it is 0.
	DrainFor time.Duration

	// OnBadRow, if set, is told of each bad row, from the goroutine of Run.
	OnBadRow func(*BadRow)
	// OnProgress, if set, is told how far the run is, every ProgressEvery (defaultProgressEvery if it is 0), one call
	// at a time. The last call comes before Run returns.
	OnProgress    func(Progress)
	ProgressEvery time.Duration
	// Log takes the events of the run; nothing is logged if it is nil.
	Log *slog.Logger
}

// Forever is a Config.Repeat without an end.
const Forever = -1

// What the fields of Config are if they are zero.
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
	check(c.Rate >= 0 && c.Rate <= maxRate, "Rate", c.Rate, fmt.Sprintf("a number of rows per second up to %g, 0 for no bound", float64(maxRate)))
	check(c.InFlight >= 0 && c.InFlight <= maxInFlight, "InFlight", c.InFlight, fmt.Sprintf("1 to %d calls", maxInFlight))
	check(c.GiveUpAfter >= 0, "GiveUpAfter", c.GiveUpAfter, "a time that is not negative")
	check(c.DrainFor >= 0, "DrainFor", c.DrainFor, "a time that is not negative")
	check(c.ProgressEvery >= 0, "ProgressEvery", c.ProgressEvery, "a time that is not negative")
	return errors.Join(faults...)
}

// maxRate is more than any machine sends; a higher Rate is taken for a slip.
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
