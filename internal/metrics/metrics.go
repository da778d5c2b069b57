// Package metrics names every metric of the consumer daemon, with its help text, in one place.
//
// Names follow Prometheus's rules (base units, _total for counters). If Amazon Data Firehose publishes a metric with the
// same meaning, the help text names it. In addition to its own labels, every metric has the label application, by which
// dashboards and alerts distinguish deployments (see ForApplication).
package metrics

import "github.com/prometheus/client_golang/prometheus"

// Metrics holds the collectors. Create it with New; the zero value is unusable.
type Metrics struct {
	// Source
	RecordsRead    *prometheus.CounterVec // shard
	BytesRead      *prometheus.CounterVec // shard
	BehindLatest   *prometheus.GaugeVec   // shard
	LastRead       *prometheus.GaugeVec   // shard
	GetRecords     *prometheus.CounterVec // result
	Subscriptions  *prometheus.CounterVec // result
	AggregateFault prometheus.Counter
	SchemaLookups  *prometheus.CounterVec // result
	// RecordsRepeated has no labels: it should stay at 0.
	RecordsRepeated prometheus.Counter

	// Balance accounts for user records.
	Balance *Balance

	// Transform
	TransformCalls   *prometheus.CounterVec   // result
	TransformSeconds *prometheus.HistogramVec // no labels

	// Leases
	LeasesHeld    prometheus.Gauge
	LoadHeld      prometheus.Gauge
	LeasesTotal   prometheus.Gauge
	LeasesTaken   prometheus.Counter
	LeasesEnded   *prometheus.CounterVec // reason
	Workers       prometheus.Gauge
	Leader        prometheus.Gauge
	Complete      prometheus.Gauge // of the application
	LeasesFree    prometheus.Gauge
	ShardsTrimmed prometheus.Gauge
	RetentionUsed prometheus.Gauge
	Retention     prometheus.Gauge
	RetentionGaps prometheus.Counter
	LastDone      *prometheus.GaugeVec   // act
	StoreRequests *prometheus.CounterVec // operation, result

	// Daemon
	CheckOK        *prometheus.GaugeVec // check
	CommitInterval prometheus.Gauge
	// CompleteAnnounced is what the application's object in the bucket says.
	CompleteAnnounced prometheus.Gauge

	// Batches and files
	OpenFiles       prometheus.Gauge
	BufferedBytes   *prometheus.GaugeVec // where
	MemoryBudget    prometheus.Gauge
	OldestUnwritten prometheus.Gauge
	Batches         *prometheus.CounterVec   // result
	BatchSeconds    *prometheus.HistogramVec // phase
	Outbox          prometheus.Gauge
	OutboxAge       prometheus.Gauge
	TableBatches    *prometheus.GaugeVec // table
	TableAge        *prometheus.GaugeVec // table
	LoadInterval    prometheus.Gauge
	Failover        prometheus.Gauge
	OutboxFailed    *prometheus.GaugeVec     // reason
	Files           *prometheus.CounterVec   // kind, reason
	FileBytes       *prometheus.HistogramVec // kind
	Records         *prometheus.CounterVec   // result
	BackupRecords   prometheus.Counter
	Faults          *prometheus.CounterVec // code
	NumbersRounded  prometheus.Counter
	TableMisfits    prometheus.Counter
	BytesWritten    prometheus.Counter
	Freshness       prometheus.Gauge
	S3Requests      *prometheus.CounterVec // operation, result
}

// ForApplication returns a registerer that adds the label application to every metric registered through it.
func ForApplication(reg prometheus.Registerer, application string) prometheus.Registerer {
	return prometheus.WrapRegistererWith(prometheus.Labels{"application": application}, reg)
}

// Or returns m, or if m is nil, metrics that nobody reads. Each constructor that takes metrics calls it, so that callers
// may pass nil.
func Or(m *Metrics) *Metrics {
	if m == nil {
		return New(prometheus.NewRegistry())
	}
	return m
}

// New registers all metrics with reg. Series with few and known label values exist from the start, at 0: Prometheus
// misses the first increase of a series that begins with it.
func New(reg prometheus.Registerer) *Metrics {
	f := factory{reg}
	m := &Metrics{
		RecordsRead: f.counterVec("consumer_read_records_total",
			"Kinesis records read, aggregates counted once (Firehose: DataReadFromKinesisStream.Records).", "shard"),
		BytesRead: f.counterVec("consumer_read_bytes_total",
			"Payload bytes read (Firehose: DataReadFromKinesisStream.Bytes).", "shard"),
		BehindLatest: f.gaugeVec("consumer_shard_behind_latest_seconds",
			"How far the last read was behind the tip of the shard (Firehose: KinesisMillisBehindLatest).", "shard"),
		LastRead: f.gaugeVec("consumer_shard_read_timestamp_seconds",
			"Unix time of the last successful read of the shard, the moment to which consumer_shard_behind_latest_seconds refers.", "shard"),
		GetRecords: f.counterVec("consumer_get_records_total",
			"GetRecords calls by result: ok, throttled, expired, error (Firehose: ThrottledGetRecords).", "result"),
		Subscriptions: f.counterVec("consumer_subscriptions_total",
			"Enhanced fan-out subscriptions by result: ok (opened), in_use, throttled, error (not opened, or interrupted).", "result"),
		AggregateFault: f.counter("consumer_corrupt_aggregates_total",
			"Records that look like KPL aggregates but cannot be decoded; they go to the error prefix."),
		SchemaLookups: f.counterVec("consumer_schema_lookups_total",
			"Calls of the schema registry by result: ok, unknown (it has no such schema version), error.", "result"),
		RecordsRepeated: f.counter("consumer_repeated_records_total",
			"Kinesis records dropped because they were read again after an iterator was reopened."),

		Balance: register(f, newBalance()),

		TransformCalls: f.counterVec("consumer_transform_calls_total",
			"Calls of the function of TRANSFORM by result: ok, failed (the function failed), timeout, unreadable (no JSON), too_large, "+
				"throttled, refused (no permission, no such function), unavailable (Firehose: ExecuteProcessing.Success).", "result"),
		TransformSeconds: f.histogramVec("consumer_transform_seconds",
			"Time of the calls that the function of TRANSFORM has answered (Firehose: ExecuteProcessing.Duration).",
			prometheus.ExponentialBuckets(0.01, 3, 10)),

		LeasesHeld: f.gauge("consumer_leases_held", "Shards whose lease this worker holds."),
		LoadHeld: f.gauge("consumer_leases_held_bytes_per_second",
			"Traffic of the shards whose lease this worker holds: payload bytes of Kinesis records by arrival, averaged over some minutes before their last commits."),
		LeasesTotal: f.gauge("consumer_leases", "Shards in the lease table that are not at their end."),
		LeasesTaken: f.counter("consumer_leases_taken_total", "Leases taken by this worker."),
		LeasesEnded: f.counterVec("consumer_leases_ended_total",
			"Leases that this worker no longer holds, by reason: shard_end, stopped, handover, shutdown, lost, restart.", "reason"),
		Workers: f.gauge("consumer_workers", "Workers with an advancing heartbeat, as the leader knows them."),
		Leader: f.gauge("consumer_leader",
			"1 if this worker leads: it reads the lease table for all workers and decides which of them reads which shard; 0 if it follows."),
		Complete: f.gauge("consumer_complete_timestamp_seconds",
			"Unix time up to which the application's data is complete, as of the last scan: no record that arrived earlier will appear; 0 until it is known."),
		LeasesFree: f.gauge("consumer_leases_free",
			"Leases ready to be worked on that no live worker held at the last scan."),
		ShardsTrimmed: f.gauge("consumer_trimmed_shards",
			"Shards that left the stream before their end was committed: their remaining records are lost to retention."),
		RetentionGaps: f.counter("consumer_retention_gaps_total",
			"Times that the first record read from a shard arrived more than the retention time after the last committed one: records may be lost."),
		RetentionUsed: f.gauge("consumer_retention_used_ratio",
			"Greatest age of a held shard's checkpoint as a share of the stream's retention; shards read to their tip count as current."),
		Retention: f.gauge("consumer_retention_seconds", "How long the stream keeps a record; 0 until it is known."),
		LastDone: f.gaugeVec("consumer_last_done_timestamp_seconds",
			"Unix time at which this worker last wrote its heartbeat, read the lease table or, if it follows, the leader's heartbeat (scan), listed the stream's shards (listing) and "+
				"described the stream (description); 0 before the first time. The check leases fails if one is too long ago.", "act"),
		StoreRequests: f.counterVec("consumer_checkpoint_requests_total",
			"Calls of the checkpoint store by operation and result: ok, conflict, error.", "operation", "result"),

		CheckOK: f.gaugeVec("consumer_check_ok",
			"1 if a check of the status page passes: start while the daemon is being opened, then leases, kinesis, s3, bucket, records, registry with SCHEMA_REGISTRY, transform with TRANSFORM, and table with an Iceberg table in TABLE. /readyz fails on a 0.", "check"),
		CommitInterval: f.gauge("consumer_commit_interval_seconds", "The setting COMMIT_INTERVAL."),
		CompleteAnnounced: f.gauge("consumer_complete_announced_timestamp_seconds",
			"The same time as the object under COMPLETE_PREFIX states it; 0 for workers that leave it to another, and without COMPLETE_PREFIX."),

		OpenFiles: f.gauge("consumer_open_files", "Files being written, one per partition."),
		BufferedBytes: f.gaugeVec("consumer_buffered_bytes",
			"Bytes held: received, block (before encoding), part (encoded, not yet in S3), spool (on disk).", "where"),
		MemoryBudget: f.gauge("consumer_memory_budget_bytes", "The bound on received, block and part bytes together."),
		OldestUnwritten: f.gauge("consumer_oldest_unwritten_seconds",
			"Time since the oldest record that is not yet committed was received; 0 if there is none."),
		Batches: f.counterVec("consumer_batches_total",
			"Batches by result: published, dropped, swept (published for another worker).", "result"),
		BatchSeconds: f.histogramVec("consumer_batch_seconds",
			"Time of a batch's phases: fill, seal, commit, publish.",
			prometheus.ExponentialBuckets(0.01, 3, 12), "phase"),
		Outbox:       f.gauge("consumer_outbox_batches", "Batches committed and not yet published, of all workers."),
		OutboxAge:    f.gauge("consumer_outbox_oldest_seconds", "Age of the oldest unpublished batch of all workers, since it was sealed."),
		TableBatches: f.gaugeVec("consumer_table_batches", "Batches published and not yet loaded into the table, of all workers.", "table"),
		TableAge:     f.gaugeVec("consumer_table_oldest_seconds", "Age of the oldest batch that is not yet loaded into the table, since it was published.", "table"),
		LoadInterval: f.gauge("consumer_load_interval_seconds", "The setting LOAD_INTERVAL; 0 without TABLE."),
		Failover:     f.gauge("consumer_failover_window_seconds", "The setting POSTGRES_FAILOVER_WINDOW, for which a loaded batch waits in the outbox; 0 without a PostgreSQL table."),
		OutboxFailed: f.gaugeVec("consumer_outbox_failed_batches",
			"Batches that this worker failed to publish, by reason: refused (by the bucket), foreign (another object has a file's key), "+
				"gone (neither upload nor object exists), unavailable; or leaves to others: unknown (a later release committed it). The status page names them.", "reason"),
		Files: f.counterVec("consumer_files_total",
			"Files published by kind (data, error, backup) and by what closed them (Firehose: DeliveryToS3.ObjectCount).", "kind", "reason"),
		FileBytes: f.histogramVec("consumer_file_bytes", "Sizes of published files.",
			prometheus.ExponentialBuckets(1<<12, 4, 12), "kind"),
		Records: f.counterVec("consumer_records_total",
			"User records by fate: delivered, error (Firehose: DeliveryToS3.Records, FailedConversion.Records).", "result"),
		BackupRecords: f.counter("consumer_backup_records_total", "Kinesis records in published backups (Firehose: BackupToS3.Records)."),
		Faults:        f.counterVec("consumer_record_faults_total", "Records sent to the error prefix, by code.", "code"),
		NumbersRounded: f.counter("consumer_rounded_numbers_total",
			"Numbers rounded to the nearest double in columns declared as number, which cannot be restored exactly. Inferred columns round none."),
		TableMisfits: f.counter("consumer_table_misfits_total",
			"Values kept in the column _extra because the column of the table is of another type. The table's schema and the records disagree."),
		BytesWritten: f.counter("consumer_written_bytes_total",
			"Bytes of published data and error files (Firehose: DeliveryToS3.Bytes). Those of backups are in consumer_file_bytes."),
		Freshness: f.gauge("consumer_data_freshness_seconds",
			"Age of the oldest record read and not yet published, by its arrival in Kinesis (Firehose: DeliveryToS3.DataFreshness)."),
		S3Requests: f.counterVec("consumer_s3_requests_total", "S3 requests by operation and result: ok, retried, error.", "operation", "result"),
	}
	for _, act := range []string{"heartbeat", "scan", "listing", "description"} {
		m.LastDone.WithLabelValues(act)
	}
	begin(m.GetRecords, "ok", "throttled", "expired", "error")
	begin(m.Subscriptions, "ok", "in_use", "throttled", "error")
	m.TransformSeconds.WithLabelValues()
	begin(m.TransformCalls, "ok", "failed", "timeout", "unreadable", "too_large", "throttled", "refused", "unavailable")
	begin(m.SchemaLookups, "ok", "unknown", "error")
	begin(m.LeasesEnded, "shard_end", "handover", "shutdown", "lost", "restart")
	begin(m.Batches, "published", "dropped", "swept")
	begin(m.Records, "delivered", "error")
	return m
}

// begin creates the series for the values.
func begin(c *prometheus.CounterVec, values ...string) {
	for _, v := range values {
		c.WithLabelValues(v)
	}
}

type factory struct{ reg prometheus.Registerer }

func register[C prometheus.Collector](f factory, c C) C {
	f.reg.MustRegister(c)
	return c
}

func (f factory) counter(name, help string) prometheus.Counter {
	return register(f, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
}

func (f factory) counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	return register(f, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
}

func (f factory) gauge(name, help string) prometheus.Gauge {
	return register(f, prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help}))
}

func (f factory) gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	return register(f, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels))
}

func (f factory) histogramVec(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return register(f, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels))
}
