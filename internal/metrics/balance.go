package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Balance accounts for the user records that this process reads, in two ways that must agree: what was read and
// added is dropped, committed, returned, or still in flight.
//
// Each side is counted where it happens: records by the session that reads them, drops and additions by the transform,
// commits by the rows of the files. A scrape shows all of it as of one moment, so a difference is never one of timing.
type Balance struct {
	mu sync.Mutex
	balance

	descriptions [entries]*prometheus.Desc
}

type balance struct{ read, added, dropped, delivered, failed, returned, inFlight int64 }

// unaccounted is how many records are missing (above 0) or too many (below 0).
func (b balance) unaccounted() int64 {
	return b.read + b.added - b.dropped - b.delivered - b.failed - b.returned - b.inFlight
}

const (
	readEntry = iota
	addedEntry
	droppedEntry
	committedEntry
	returnedEntry
	inFlightEntry
	unaccountedEntry
	entries
)

func newBalance() *Balance {
	b := new(Balance)
	describe := func(entry int, name, help string, labels ...string) {
		b.descriptions[entry] = prometheus.NewDesc(name, help, labels, nil)
	}
	describe(readEntry, "consumer_read_user_records_total", "User records read, those of an aggregate or a split payload counted each.")
	describe(addedEntry, "consumer_transform_added_total", "Records that a transform made in addition to the first of each user record.")
	describe(droppedEntry, "consumer_transform_dropped_total", "User records of which a transform delivers nothing.")
	describe(committedEntry, "consumer_committed_records_total",
		"Records committed by this worker, by fate: delivered, error. They are published by this worker, or by another that finds them in the outbox.", "result")
	describe(returnedEntry, "consumer_returned_records_total",
		"Records that were read and not committed, because a batch was dropped or a lease was lost: they are read again.")
	describe(inFlightEntry, "consumer_in_flight_records", "Records that were read and are neither committed, dropped by a transform nor returned.")
	describe(unaccountedEntry, "consumer_unaccounted_records",
		"Records read and added, less those that were dropped, committed, returned or are in flight. It must be 0: anything else is a record lost or delivered twice.")
	return b
}

// Read counts user records that are read from now on.
func (b *Balance) Read(records int) {
	b.change(func(b *balance) { b.read, b.inFlight = b.read+int64(records), b.inFlight+int64(records) })
}

// Transformed counts what a transform says it has done, and what it has really returned for the records that it got.
func (b *Balance) Transformed(dropped, added, got, returned int) {
	b.change(func(b *balance) {
		b.dropped, b.added = b.dropped+int64(dropped), b.added+int64(added)
		b.inFlight += int64(returned - got)
	})
}

// Returned counts records in flight that will be read again.
func (b *Balance) Returned(records int64) {
	b.change(func(b *balance) { b.returned, b.inFlight = b.returned+records, b.inFlight-records })
}

// Committed counts records in flight that were committed, and the rows of the files that were committed with them.
func (b *Balance) Committed(records, delivered, failed int64) {
	b.change(func(b *balance) {
		b.delivered, b.failed = b.delivered+delivered, b.failed+failed
		b.inFlight -= records
	})
}

func (b *Balance) change(apply func(*balance)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	apply(&b.balance)
}

// Unaccounted returns how many records are missing (above 0) or too many (below 0), and how many are in flight.
func (b *Balance) Unaccounted() (unaccounted, inFlight int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.unaccounted(), b.inFlight
}

// Describe is that of prometheus.Collector.
func (b *Balance) Describe(to chan<- *prometheus.Desc) {
	for _, d := range b.descriptions {
		to <- d
	}
}

// Collect is that of prometheus.Collector.
func (b *Balance) Collect(to chan<- prometheus.Metric) {
	b.mu.Lock()
	now := b.balance
	b.mu.Unlock()
	send := func(entry int, kind prometheus.ValueType, value int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(b.descriptions[entry], kind, float64(value), labels...)
	}
	send(readEntry, prometheus.CounterValue, now.read)
	send(addedEntry, prometheus.CounterValue, now.added)
	send(droppedEntry, prometheus.CounterValue, now.dropped)
	send(committedEntry, prometheus.CounterValue, now.delivered, "delivered")
	send(committedEntry, prometheus.CounterValue, now.failed, "error")
	send(returnedEntry, prometheus.CounterValue, now.returned)
	send(inFlightEntry, prometheus.GaugeValue, now.inFlight)
	send(unaccountedEntry, prometheus.GaugeValue, now.unaccounted())
}
