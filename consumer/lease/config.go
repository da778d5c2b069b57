package lease

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// Latest, in Config.Initial, makes the application's first start begin with the records that arrive from then on. It is
// never stored: the table keeps the service's time of that first start instead, so that shards found later, including
// the children of a split, begin at that same moment and not when they happen to be found.
const Latest checkpoint.Position = "LATEST"

// Config says who the worker is and how it shares the shards. Zero fields get their defaults.
type Config struct {
	// Worker is the id of this process. It must be unique for each start: a dead process and its successor are two
	// workers.
	Worker string
	// Address and Version are shown to people next to the heartbeat.
	Address, Version string
	// Application is the name shared by all its workers.
	Application string
	// Initial is where shards without a checkpoint begin: checkpoint.TrimHorizon (default), Latest, or a value of
	// checkpoint.AtTimestamp. Only the application's first start uses it.
	Initial checkpoint.Position

	// Stop makes Run end by itself when every record of the stream that arrived before it is delivered; zero: never. It
	// should be the same for all workers.
	Stop time.Time

	// Failover is how long a worker's heartbeat may stand still, as seen by the others, before its leases are free.
	// Default 10 s.
	Failover time.Duration
	// Heartbeat is the time between two heartbeats. Default a third of Failover.
	Heartbeat time.Duration
	// ScanEvery is the time between two scans of the table by the leader. Default half of Failover.
	ScanEvery time.Duration
	// ListEvery is the time between two listings of the stream's shards by the leader. Default 20 s.
	ListEvery time.Duration
	// MaxLeases is the maximum number of leases that this worker holds; 0 means no bound.
	MaxLeases int
	// Grace is how long Run waits for readers to release their holds when it ends. Default 30 s.
	Grace time.Duration
}

func (c *Config) fill() error {
	setDefault(&c.Initial, checkpoint.TrimHorizon)
	setDefault(&c.Failover, 10*time.Second)
	setDefault(&c.Heartbeat, c.Failover/3)
	setDefault(&c.ScanEvery, c.Failover/2)
	setDefault(&c.ListEvery, 20*time.Second)
	setDefault(&c.Grace, 30*time.Second)
	return c.validate()
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c *Config) validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(c.Worker != "", "the worker has no id")
	check(c.Application != "", "the application has no name")
	check(c.Failover > 0 && c.ListEvery > 0 && c.Grace > 0, "failover %v, list interval %v, grace %v: want more than 0",
		c.Failover, c.ListEvery, c.Grace)
	check(c.Heartbeat > 0 && c.Heartbeat <= c.Failover/2, "heartbeat %v: want at most half of failover %v", c.Heartbeat, c.Failover)
	check(c.ScanEvery > 0 && c.ScanEvery <= c.Failover, "scan interval %v: want at most failover %v", c.ScanEvery, c.Failover)
	check(c.MaxLeases >= 0, "max leases %d: want 0 or more", c.MaxLeases)
	if c.Initial != Latest {
		if err := c.Initial.Validate(); err != nil || c.Initial == checkpoint.ShardEnd {
			check(false, "initial position %q: want TRIM_HORIZON, LATEST or a time", string(c.Initial))
		}
	}
	return errors.Join(faults...)
}

// streamTimeout bounds a call of the stream, which may take several pages.
func (c *Config) streamTimeout() time.Duration { return 2 * c.ListEvery }

// quick is the time between scans, and between listings, while something is changing.
func (c *Config) quick() time.Duration { return c.ScanEvery / 5 }

// poll is the time between two looks at the leader's heartbeat.
func (c *Config) poll() time.Duration { return c.Failover / 4 }

// jitter varies d by up to a tenth either way, so that workers that started together do not stay in step.
func jitter(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5+1) }
