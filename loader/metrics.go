package loader

import "github.com/prometheus/client_golang/prometheus"

// Metrics are those of a loader. Create them with NewMetrics; the zero value is unusable. Names follow package
// internal/metrics.
type Metrics struct {
	Elected    prometheus.Gauge
	LastLook   prometheus.Gauge
	Waiting    prometheus.Gauge
	WaitingAge prometheus.GaugeFunc
	Stuck      *prometheus.GaugeVec   // reason
	Commits    *prometheus.CounterVec // result
	Seconds    prometheus.Histogram
	Batches    prometheus.Counter
	Files      prometheus.Counter
	Rows       prometheus.Counter
	// RefusedRows are those of them that the table did not take.
	RefusedRows prometheus.Counter
	Bytes       prometheus.Counter
	Lost        prometheus.Counter
	Refused     prometheus.Gauge
	Snapshots   prometheus.Gauge
	Metadata    prometheus.Gauge
	// Complete is that of the table.
	Complete prometheus.Gauge
}

// Results of a write to the table.
const (
	committed  = "committed"
	conflict   = "conflict"
	unanswered = "unanswered"
	failed     = "failed"
)

// newMetrics registers the metrics with reg. Age returns that of the oldest batch that waits, in seconds.
func newMetrics(reg prometheus.Registerer, age func() float64) *Metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return register(reg, prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help}))
	}
	counter := func(name, help string) prometheus.Counter {
		return register(reg, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
	}
	m := &Metrics{
		Elected: gauge("consumer_load_elected", "1 if this loader is the one that loads the table, as far as it knows."),
		LastLook: gauge("consumer_load_look_timestamp_seconds",
			"Unix time at which this loader last read the table and the outbox; 0 before the first time."),
		Waiting: gauge("consumer_load_waiting_batches", "Published batches that are not in the table yet; 0 if this loader is not elected."),
		WaitingAge: register(reg, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "consumer_load_waiting_oldest_seconds",
			Help: "Time since the oldest batch that is not in the table yet was published; 0 if none waits or this loader is not elected."}, age)),
		Stuck: register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "consumer_load_stuck_batches",
			Help: "Waiting batches that could not be loaded when they were last tried, by reason: list_lost and list_unread (their list of files), " +
				"description (of a file is missing or cannot be decoded), uuid (they were written for another table of that name), " +
				"unfit (the table cannot take a file), file_lost and file_torn (one of its files). The status page names them."}, []string{"reason"})),
		Commits: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "consumer_load_commits_total",
			Help: "Commits to the table by result: committed, conflict (the table had changed), unanswered, failed."}, []string{"result"})),
		Seconds: register(reg, prometheus.NewHistogram(prometheus.HistogramOpts{Name: "consumer_load_commit_seconds",
			Help: "Time of a commit to the table, with the writing of its manifests.", Buckets: prometheus.ExponentialBuckets(0.05, 2, 13)})),
		Batches:     counter("consumer_load_batches_total", "Batches that this loader has added to the table, as the table's ledger shows."),
		Files:       counter("consumer_load_files_total", "Data files of those batches."),
		Rows:        counter("consumer_load_rows_total", "Rows of those files."),
		RefusedRows: counter("consumer_load_refused_rows_total", "Rows of those files that the table refused. They are in the error prefix."),
		Bytes:       counter("consumer_load_bytes_total", "Bytes of those files."),
		Lost: counter("consumer_load_lost_commits_total",
			"Commits that the table no longer has, as after a standby without them was promoted, or a backup restored."),
		Refused:   gauge("consumer_load_refused_columns", "Members of records that got no column of the table since this loader started; their values stay in _extra."),
		Snapshots: gauge("consumer_load_snapshots", "Snapshots of the table."),
		Complete: gauge("consumer_load_complete_timestamp_seconds",
			"Unix time before which no more records can arrive that are not in the table, as this loader knows it; 0 if it is not elected or that is not known."),
		Metadata: gauge("consumer_load_metadata_bytes", "Size of the file that describes the table, which each commit writes anew."),
	}
	for _, r := range Reasons {
		m.Stuck.WithLabelValues(string(r))
	}
	for _, r := range []string{committed, conflict, unanswered, failed} {
		m.Commits.WithLabelValues(r)
	}
	return m
}

func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	reg.MustRegister(c)
	return c
}
