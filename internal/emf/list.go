package emf

import "strings"

// Metric is one of Firehose's.
type Metric struct {
	Name, Unit string
	// Statistic is the one that is right for several workers.
	Statistic string
	// Meaning says how the value is made, for the documentation.
	Meaning  string
	converts bool // only where files have columns
	backs    bool // only with a source backup
	value    func(*samples) (float64, bool)
}

// List is the metrics, named and measured as in the Amazon Data Firehose Developer Guide, "Monitor Amazon Data Firehose with CloudWatch
// metrics". Those of Firehose that are not in it have no value here that is the same.
var List = []Metric{
	{Name: "DataReadFromKinesisStream.Records", Unit: "Count", Statistic: "Sum",
		Meaning: "`consumer_read_records_total`: Kinesis records read, an aggregate counted once. Records that are read again after a restart count again, as in Firehose", value: grown("consumer_read_records_total", "", nil)},
	{Name: "DataReadFromKinesisStream.Bytes", Unit: "Bytes", Statistic: "Sum",
		Meaning: "`consumer_read_bytes_total`: bytes of their payloads", value: grown("consumer_read_bytes_total", "", nil)},
	{Name: "KinesisMillisBehindLatest", Unit: "Milliseconds", Statistic: "Maximum",
		Meaning: "`consumer_shard_behind_latest_seconds`: the largest of the worker's shards. Missing while it has none", value: greatest("consumer_shard_behind_latest_seconds", 1000)},
	{Name: "ThrottledGetRecords", Unit: "Count", Statistic: "Sum",
		Meaning: "`consumer_get_records_total{result=\"throttled\"}`", value: grown("consumer_get_records_total", "result", is("throttled"))},
	{Name: "DeliveryToS3.Records", Unit: "Count", Statistic: "Sum",
		Meaning: "`consumer_records_total{result=\"delivered\"}`: records in data files that became visible", value: grown("consumer_records_total", "result", is("delivered"))},
	{Name: "DeliveryToS3.Bytes", Unit: "Bytes", Statistic: "Sum",
		Meaning: "`consumer_file_bytes_sum{kind=\"data\"}`: bytes of these files, after compression", value: grown("consumer_file_bytes", "kind", is("data"))},
	{Name: "DeliveryToS3.ObjectCount", Unit: "Count", Statistic: "Sum",
		Meaning: "`consumer_files_total{kind=\"data\"}`: these files", value: grown("consumer_files_total", "kind", is("data"))},
	{Name: "DeliveryToS3.DataFreshness", Unit: "Seconds", Statistic: "Maximum",
		Meaning: "`consumer_data_freshness_seconds`: age of the oldest record that was read and is not yet visible, by its arrival in Kinesis, at the end of the minute", value: greatest("consumer_data_freshness_seconds", 1)},
	{Name: "DeliveryToS3.Success", Unit: "None", Statistic: "Average",
		Meaning: "`consumer_s3_requests_total`: share of the attempts to write to S3 that succeeded. Missing in a minute without one", value: putSuccess},
	{Name: "BackupToS3.Records", Unit: "Count", Statistic: "Sum", backs: true,
		Meaning: "with `BACKUP_PREFIX`, `consumer_backup_records_total`: Kinesis records in backup files that became visible, an aggregate counted once", value: grown("consumer_backup_records_total", "", nil)},
	{Name: "BackupToS3.Bytes", Unit: "Bytes", Statistic: "Sum", backs: true,
		Meaning: "with `BACKUP_PREFIX`, `consumer_file_bytes_sum{kind=\"backup\"}`: bytes of these files, after compression", value: grown("consumer_file_bytes", "kind", is("backup"))},
	{Name: "BackupToS3.DataFreshness", Unit: "Seconds", Statistic: "Maximum", backs: true,
		Meaning: "with `BACKUP_PREFIX`, the same as `DeliveryToS3.DataFreshness`: a backup becomes visible with the data of its batch", value: greatest("consumer_data_freshness_seconds", 1)},
	{Name: "ExecuteProcessing.Success", Unit: "None", Statistic: "Average",
		Meaning: "`consumer_transform_calls_total`: share of the calls of a transforming function that succeeded. Missing in a minute without one", value: callSuccess},
	{Name: "SucceedConversion.Records", Unit: "Count", Statistic: "Sum", converts: true,
		Meaning: "with `FORMAT=parquet`, the same as `DeliveryToS3.Records`", value: grown("consumer_records_total", "result", is("delivered"))},
	{Name: "FailedConversion.Records", Unit: "Count", Statistic: "Sum", converts: true,
		Meaning: "with `FORMAT=parquet`, `consumer_record_faults_total` of the codes `DataFormatConversion.*`. Records that are read again after a restart count again",
		value:   grown("consumer_record_faults_total", "code", func(code string) bool { return strings.HasPrefix(code, "DataFormatConversion.") })},
}

func is(want string) func(string) bool { return func(value string) bool { return value == want } }

// grown returns by how much a count has grown. Of a histogram it is the sum. A series counts if keep is nil or allows its label.
func grown(name, label string, keep func(string) bool) func(*samples) (float64, bool) {
	return func(s *samples) (float64, bool) { return s.grown(name, label, keep), true }
}

// greatest returns the largest of a gauge's series; ok is false without one.
func greatest(name string, times float64) func(*samples) (float64, bool) {
	return func(s *samples) (float64, bool) {
		value, ok := s.greatest(name)
		return value * times, ok
	}
}

// puts are the requests that write.
var puts = map[string]bool{"CreateMultipartUpload": true, "UploadPart": true, "CompleteMultipartUpload": true, "PutObject": true}

func putSuccess(s *samples) (float64, bool) {
	return s.success("consumer_s3_requests_total", func(labels map[string]string) bool { return puts[labels["operation"]] })
}

func callSuccess(s *samples) (float64, bool) {
	return s.success("consumer_transform_calls_total", func(map[string]string) bool { return true })
}
