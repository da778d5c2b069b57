package main

import "strings"

// row is a heading with panels of one size, in units of Grafana's grid.
type row struct {
	title         string
	width, height int
	panels        []panel
}

// panel is a graph, or a single figure if stat is set.
type panel struct {
	title   string
	about   string
	alerts  []string // whose runbooks it links to
	unit    string   // Grafana's id of a unit
	queries []query
	stat    bool
	limits  limits // of a stat
	stacked bool
}

// query is a PromQL expression, in which $chosen stands for the selection at the top of the dashboard.
type query struct{ promql, legend string }

const chosen = `namespace=~"$namespace", job=~"$job", application=~"$application"`

func (q query) expr() string { return strings.ReplaceAll(q.promql, "$chosen", chosen) }

// lag is how far a shard is behind now: its lag at the last read, plus the time since then.
const lag = `(consumer_shard_behind_latest_seconds{$chosen} + (time() - consumer_shard_read_timestamp_seconds{$chosen}))`

// Batches and files come every few minutes, so their rates cover more time than the others.
var rows = []row{
	{title: "At a glance", width: 4, height: 4, panels: []panel{
		{title: "Freshness", stat: true, unit: "s", limits: limits{warn: 900, alarm: 3600},
			alerts:  []string{"ConsumerDataLate"},
			about:   "Age of the oldest record that was read but is not yet visible in the bucket, by its arrival in Kinesis.",
			queries: []query{{`max(consumer_data_freshness_seconds{$chosen})`, ""}}},
		{title: "Lag of the worst shard", stat: true, unit: "s", limits: limits{warn: 300, alarm: 3600},
			alerts:  []string{"ConsumerLagging"},
			about:   "How far the daemon is behind the tip of the worst shard.",
			queries: []query{{`max(` + lag + `)`, ""}}},
		{title: "Retention used", stat: true, unit: "percentunit", limits: limits{warn: 0.25, alarm: 0.5},
			alerts:  []string{"ConsumerRetentionDanger", "ConsumerRecordsLost"},
			about:   "Age of the oldest checkpoint as a share of the stream's retention. At 100 % records are lost.",
			queries: []query{{`max(consumer_retention_used_ratio{$chosen})`, ""}}},
		{title: "Outbox", stat: true, unit: "s", limits: limits{warn: 900, alarm: 259200},
			alerts:  []string{"ConsumerOutboxOld", "ConsumerUploadsExpire"},
			about:   "Age of the oldest batch that is committed but not yet visible.",
			queries: []query{{`max(consumer_outbox_oldest_seconds{$chosen})`, ""}}},
		{title: "Error records, 1 h", stat: true, unit: "short", limits: limits{warn: 1},
			alerts:  []string{"ConsumerErrorRecords"},
			about:   "Records that went to the error prefix within the last hour.",
			queries: []query{{`sum(increase(consumer_records_total{$chosen, result="error"}[1h]))`, ""}}},
		{title: "Workers ready", stat: true, unit: "percentunit", limits: limits{warn: 1, falling: true},
			alerts:  []string{"ConsumerNotReady", "ConsumerAbsent", "ConsumerRestarts"},
			about:   "Share of workers whose checks all pass.",
			queries: []query{{`avg(min without (check) (consumer_check_ok{$chosen}))`, ""}}},
	}},
	{title: "Delivery", width: 12, height: 8, panels: []panel{
		{title: "Freshness", unit: "s",
			alerts: []string{"ConsumerDataLate", "ConsumerNoCommits", "ConsumerCompleteStandsStill"},
			about:  "Visible: age of the oldest record that is not visible in the bucket, by its arrival. Committed: time for which the oldest uncommitted record has been held. Both rise up to the commit interval and then fall. If they keep rising, something is stuck. Complete: age of the arrival time up to which the data is complete; it is shown once that is known. Announced: the same by the object of COMPLETE_PREFIX, which follows within a minute.",
			queries: []query{
				{`max by (application) (consumer_data_freshness_seconds{$chosen})`, "{{application}} visible"},
				{`max by (application) (consumer_oldest_unwritten_seconds{$chosen})`, "{{application}} committed"},
				{`time() - (max by (application) (consumer_complete_timestamp_seconds{$chosen}) > 0)`, "{{application}} complete"},
				{`time() - (max by (application) (consumer_complete_announced_timestamp_seconds{$chosen}) > 0)`, "{{application}} announced"},
			}},
		{title: "Lag per shard", unit: "s",
			alerts:  []string{"ConsumerLagging"},
			about:   "The twenty worst shards. The lag grows while a shard cannot be read.",
			queries: []query{{`topk(20, max by (application, shard) (` + lag + `))`, "{{shard}}"}}},
		{title: "Records", unit: "recps",
			about: "Read counts Kinesis records, the others count user records, of which aggregates contain several. Delivered records rise in steps, batch by batch. " +
				"Numbers rounded counts values of Parquet columns that the schema declares as number: see docs/files.md.",
			queries: []query{
				{`sum(rate(consumer_read_records_total{$chosen}[$__rate_interval]))`, "read"},
				{`sum(rate(consumer_records_total{$chosen, result="delivered"}[15m]))`, "delivered"},
				{`sum(rate(consumer_records_total{$chosen, result="error"}[15m]))`, "to the error prefix"},
				{`sum(rate(consumer_rounded_numbers_total{$chosen}[15m]))`, "numbers rounded"},
				{`sum(rate(consumer_transform_dropped_total{$chosen}[15m]))`, "dropped by a transform"},
				{`sum(rate(consumer_transform_added_total{$chosen}[15m]))`, "added by a transform"},
			}},
		{title: "Records accounted for", unit: "short",
			alerts: []string{"ConsumerRecordsUnaccounted"},
			about: "In flight counts user records that were read and are not committed yet. Unaccounted is what was read and added, less what was dropped, committed, " +
				"returned or is in flight: it must be 0. Returned records are read again.",
			queries: []query{
				{`sum(consumer_in_flight_records{$chosen})`, "in flight"},
				{`sum(abs(consumer_unaccounted_records{$chosen}))`, "unaccounted"},
				{`sum(increase(consumer_read_user_records_total{$chosen}[5m]))`, "read within 5 minutes"},
				{`sum(increase(consumer_committed_records_total{$chosen}[5m]))`, "committed within 5 minutes"},
				{`sum(increase(consumer_returned_records_total{$chosen}[5m]))`, "returned within 5 minutes"},
			}},
		{title: "Bytes", unit: "binBps",
			about: "Read counts payloads, written counts compressed bytes in the bucket.",
			queries: []query{
				{`sum(rate(consumer_read_bytes_total{$chosen}[$__rate_interval]))`, "read"},
				{`sum(rate(consumer_written_bytes_total{$chosen}[15m]))`, "written"},
			}},
		{title: "Error records by code", unit: "short", stacked: true,
			alerts:  []string{"ConsumerErrorRecords"},
			about:   "Within five minutes. docs/errors.md explains the codes.",
			queries: []query{{`sum by (code) (increase(consumer_record_faults_total{$chosen}[5m])) > 0`, "{{code}}"}}},
		{title: "Readiness", unit: "short",
			alerts:  []string{"ConsumerNotReady"},
			about:   "1 if the check passes.",
			queries: []query{{`min by (application, instance, check) (consumer_check_ok{$chosen})`, "{{instance}} {{check}}"}}},
	}},
	{title: "Batches and files", width: 12, height: 8, panels: []panel{
		{title: "File sizes", unit: "bytes",
			about: "Files published within half an hour. Quantiles are estimated from buckets that grow by a factor of four.",
			queries: []query{
				{`sum by (kind) (rate(consumer_file_bytes_sum{$chosen}[30m])) / (sum by (kind) (rate(consumer_file_bytes_count{$chosen}[30m])) > 0)`, "{{kind}} mean"},
				{`histogram_quantile(0.9, sum by (kind, le) (rate(consumer_file_bytes_bucket{$chosen}[30m]))) > 0`, "{{kind}} 90 %"},
			}},
		{title: "Files by what closed them", unit: "short", stacked: true,
			about:   "Within half an hour. Interval and drain mean that traffic is low for FILE_SIZE; partitions and memory mean that too many files are open.",
			queries: []query{{`sum by (kind, reason) (increase(consumer_files_total{$chosen}[30m])) > 0`, "{{kind}} {{reason}}"}}},
		{title: "Commits", unit: "short",
			alerts:  []string{"ConsumerBatchesDropped"},
			about:   "Batches within half an hour. Dropped batches are read again; swept batches are those of dead workers.",
			queries: []query{{`sum by (result) (increase(consumer_batches_total{$chosen}[30m]))`, "{{result}}"}}},
		{title: "Time of a batch's phases", unit: "s",
			about:   "Mean within half an hour. Fill takes at most the commit interval; seal is the last upload; commit is the transaction; publish makes the files visible.",
			queries: []query{{`sum by (phase) (rate(consumer_batch_seconds_sum{$chosen}[30m])) / (sum by (phase) (rate(consumer_batch_seconds_count{$chosen}[30m])) > 0)`, "{{phase}}"}}},
		{title: "Outbox age", unit: "s",
			alerts:  []string{"ConsumerOutboxOld", "ConsumerUploadsExpire"},
			about:   "The bucket's lifecycle rule deletes uploads that nobody completes after 7 days.",
			queries: []query{{`max by (application) (consumer_outbox_oldest_seconds{$chosen})`, "{{application}}"}}},
		{title: "Outbox and open files", unit: "short",
			alerts: []string{"ConsumerBatchRefused", "ConsumerFilesGone"},
			about:  "Batches that are committed but not yet visible; those of them that a worker could not publish; files being written.",
			queries: []query{
				{`max by (application) (consumer_outbox_batches{$chosen})`, "{{application}} batches in the outbox"},
				{`max by (application, reason) (consumer_outbox_failed_batches{$chosen})`, "{{application}} not published: {{reason}}"},
				{`sum by (application) (consumer_open_files{$chosen})`, "{{application}} open files"},
			}},
	}},
	{title: "Tables", width: 12, height: 8, panels: []panel{
		{title: "Published and not in a table", unit: "s",
			alerts:  []string{"ConsumerTableLate"},
			about:   "Age of the oldest published batch that a table does not have. It rises up to the load interval, and the failover window of a database, and then falls.",
			queries: []query{{`max by (application, table) (consumer_table_oldest_seconds{$chosen})`, "{{application}} {{table}}"}}},
		{title: "Batches for the tables", unit: "short",
			alerts: []string{"ConsumerLoaderMissing", "ConsumerTableBatchStuck", "ConsumerTableColumnsRefused"},
			about:  "Batches that wait, and those of them that cannot be loaded; members of records that have no column and stay in _extra; loaders that are elected.",
			queries: []query{
				{`max by (application, table) (consumer_table_batches{$chosen})`, "{{application}} {{table}} waiting"},
				{`max by (application, table, reason) (consumer_load_stuck_batches{$chosen})`, "{{application}} {{table}} stuck: {{reason}}"},
				{`max by (application, table) (consumer_load_refused_columns{$chosen})`, "{{application}} {{table}} columns refused"},
				{`sum by (application, table) (consumer_load_elected{$chosen})`, "{{application}} {{table}} loaders elected"},
			}},
		{title: "Commits to the table", unit: "short",
			alerts:  []string{"ConsumerTableConflicts"},
			about:   "Within half an hour. A conflict means that somebody else changed the table first; an unanswered commit may have been applied. The loader looks again after both.",
			queries: []query{{`sum by (table, result) (increase(consumer_load_commits_total{$chosen}[30m]))`, "{{table}} {{result}}"}}},
		{title: "Time of a commit to the table", unit: "s",
			about:   "Within half an hour, with the writing of its manifests.",
			queries: []query{{`histogram_quantile(0.9, sum by (table, le) (rate(consumer_load_commit_seconds_bucket{$chosen}[30m]))) > 0`, "{{table}} 90 %"}}},
		{title: "Rows loaded", unit: "rowsps",
			alerts: []string{"ConsumerTableRowsRefused"},
			about:  "Rows that each table got. They rise in steps, commit by commit. Refused rows are in the error prefix.",
			queries: []query{
				{`sum by (table) (rate(consumer_load_rows_total{$chosen}[15m]))`, "{{table}}"},
				{`sum by (table) (rate(consumer_load_refused_rows_total{$chosen}[15m]))`, "{{table}} refused"},
			}},
		{title: "Time since the table was read", unit: "s",
			alerts:  []string{"ConsumerTableUnreachable"},
			about:   "By any loader. It grows while the catalog or the database cannot be reached.",
			queries: []query{{`time() - (max by (application, table) (consumer_load_look_timestamp_seconds{$chosen}) > 0)`, "{{application}} {{table}}"}}},
		{title: "Table complete", unit: "s",
			about:   "Age of the arrival time up to which the table is complete. It follows Complete under Freshness by up to LOAD_INTERVAL, and stands still while a batch is stuck.",
			queries: []query{{`time() - (max by (application, table) (consumer_load_complete_timestamp_seconds{$chosen}) > 0)`, "{{application}} {{table}}"}}},
		{title: "Commits that a table lost", unit: "short",
			alerts:  []string{"ConsumerTableCommitsLost"},
			about:   "Within six hours: a standby without them was promoted, or a backup restored. Batches in the outbox are loaded again.",
			queries: []query{{`sum by (application, table) (increase(consumer_load_lost_commits_total{$chosen}[6h]))`, "{{application}} {{table}}"}}},
		{title: "Snapshots of the table", unit: "short",
			about:   "Snapshots that have not expired.",
			queries: []query{{`max by (application, table) (consumer_load_snapshots{$chosen})`, "{{application}} {{table}}"}}},
		{title: "Metadata of the table", unit: "bytes",
			about:   "Size of the file that describes the table. Each commit writes that file anew.",
			queries: []query{{`max by (application, table) (consumer_load_metadata_bytes{$chosen})`, "{{application}} {{table}}"}}},
	}},
	{title: "Workers", width: 12, height: 8, panels: []panel{
		{title: "Leases per worker", unit: "short", stacked: true,
			about:   "Shards that each worker reads.",
			queries: []query{{`sum by (instance) (consumer_leases_held{$chosen})`, "{{instance}}"}}},
		{title: "Load per worker", unit: "binBps",
			about:   "Traffic of the shards that each worker reads, averaged over some minutes. The leader moves leases when a worker has more than 1.1 times the mean and fewer would help.",
			queries: []query{{`sum by (instance) (consumer_leases_held_bytes_per_second{$chosen})`, "{{instance}}"}}},
		{title: "Workers and shards", unit: "short",
			alerts: []string{"ConsumerAbsent", "ConsumerShardsUnread", "ConsumerRecordsLost"},
			about:  "Nobody reads free shards. One worker leads: it scans the lease table and gives shards to the others, which report its figures.",
			queries: []query{
				{`max by (application) (consumer_workers{$chosen})`, "{{application}} workers"},
				{`sum by (application) (consumer_leader{$chosen})`, "{{application}} leaders"},
				{`max by (application) (consumer_leases{$chosen})`, "{{application}} shards"},
				{`min by (application) (consumer_leases_free{$chosen})`, "{{application}} free"},
				{`max by (application) (consumer_trimmed_shards{$chosen})`, "{{application}} lost to retention"},
			}},
		{title: "Leases that move", unit: "short",
			alerts: []string{"ConsumerLeasesMove", "ConsumerRestarts"},
			about:  "Within five minutes. There are none while workers and shards stay the same.",
			queries: []query{
				{`sum(increase(consumer_leases_taken_total{$chosen}[5m]))`, "taken"},
				{`sum by (reason) (increase(consumer_leases_ended_total{$chosen}[5m])) > 0`, "ended: {{reason}}"},
			}},
		{title: "Time since the last heartbeat, scan, listing", unit: "s",
			about:   "Per worker. Expected are a heartbeat and a scan within FAILOVER_TIME, a listing every minute, and a description of the stream every quarter of an hour. For a worker that follows, scan is a look at the leader's heartbeat, and it lists every five minutes or when it needs to.",
			queries: []query{{`time() - (max by (instance, act) (consumer_last_done_timestamp_seconds{$chosen}) > 0)`, "{{instance}} {{act}}"}}},
		{title: "Memory against its budget", unit: "percentunit",
			alerts:  []string{"ConsumerMemoryFull"},
			about:   "Bytes on their way to S3 as a share of MEMORY_BUDGET. Near 100 % reading waits for uploads, which is normal while catching up.",
			queries: []query{{`sum by (instance) (consumer_buffered_bytes{$chosen, where!="spool"}) / sum by (instance) (consumer_memory_budget_bytes{$chosen})`, "{{instance}}"}}},
		{title: "Memory", unit: "bytes",
			alerts: []string{"ConsumerMemoryOverBudget"},
			about:  "Bytes held by all workers, by place, and the size of the processes.",
			queries: []query{
				{`sum by (where) (consumer_buffered_bytes{$chosen})`, "{{where}}"},
				{`sum(consumer_memory_budget_bytes{$chosen})`, "budget"},
				{`sum(process_resident_memory_bytes{$chosen})`, "resident"},
			}},
		{title: "CPU", unit: "short",
			about:   "Cores used per worker.",
			queries: []query{{`sum by (instance) (rate(process_cpu_seconds_total{$chosen}[$__rate_interval]))`, "{{instance}}"}}},
	}},
	{title: "AWS", width: 8, height: 8, panels: []panel{
		{title: "Kinesis: reads", unit: "reqps",
			alerts: []string{"ConsumerKinesisThrottled"},
			about:  "GetRecords, or subscriptions with enhanced fan-out. Throttled: other applications also read the stream, or there are too few shards.",
			queries: []query{
				{`sum by (result) (rate(consumer_get_records_total{$chosen}[$__rate_interval]))`, "GetRecords {{result}}"},
				{`sum by (result) (rate(consumer_subscriptions_total{$chosen}[5m]))`, "subscription {{result}}"},
			}},
		{title: "Schema registry: lookups", unit: "reqps",
			about: "With SCHEMA_REGISTRY. Unknown: payloads name versions that the registry does not have. Error: records wait for it.",
			queries: []query{
				{`sum by (result) (rate(consumer_schema_lookups_total{$chosen}[5m]))`, "{{result}}"},
			}},
		{title: "Lambda: calls", unit: "reqps",
			about: "With TRANSFORM. Failed, timeout, unreadable and too_large are the function's; after the retries its records go to the error prefix. " +
				"Records wait while calls are throttled, refused or unavailable.",
			queries: []query{
				{`sum by (result) (rate(consumer_transform_calls_total{$chosen}[5m]))`, "{{result}}"},
			}},
		{title: "Lambda: calls at a time", unit: "short",
			about:   "With TRANSFORM: seconds of answered calls per second, which is how many the function works on at a time.",
			queries: []query{{`sum by (instance) (rate(consumer_transform_seconds_sum{$chosen}[5m]))`, "{{instance}}"}}},
		{title: "S3: requests", unit: "reqps",
			alerts: []string{"ConsumerS3Retries"},
			about:  "By result, and the operations that were retried or failed.",
			queries: []query{
				{`sum by (result) (rate(consumer_s3_requests_total{$chosen}[5m]))`, "{{result}}"},
				{`sum by (operation) (rate(consumer_s3_requests_total{$chosen, result!="ok"}[5m])) > 0`, "{{operation}} retried or failed"},
			}},
		{title: "DynamoDB: requests", unit: "reqps",
			alerts:  []string{"ConsumerStoreErrors"},
			about:   "By operation and result. A conflict means that another worker decided first.",
			queries: []query{{`sum by (operation, result) (rate(consumer_checkpoint_requests_total{$chosen}[5m]))`, "{{operation}} {{result}}"}}},
	}},
}
