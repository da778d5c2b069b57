package consumer

import (
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"aws-streaming-pipeline/internal/settings"
	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/writers/layout"
)

// Config is all that can be set of the daemon. Each field is one environment variable; the tags say its name, default
// and meaning, and the README's table is made from them (consumer settings).
type Config struct {
	Stream        string        `envconfig:"STREAM_NAME" required:"true" desc:"name of the Kinesis stream"`
	StreamARN     string        `envconfig:"STREAM_ARN" desc:"ARN of the stream, for a stream of another account; the name must be its"`
	Application   string        `envconfig:"APPLICATION_NAME" default:"streaming-pipeline" desc:"name of this application: whoever shares it shares the shards"`
	StartPosition StartPosition `envconfig:"START_POSITION" default:"TRIM_HORIZON" desc:"where the application's first start begins: TRIM_HORIZON (oldest record), LATEST, or a time as 2026-01-31T00:00:00Z"`

	Bucket         string `envconfig:"BUCKET" required:"true" desc:"S3 bucket of the files"`
	Prefix         string `envconfig:"PREFIX" default:"data/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/" desc:"key prefix of data files, in Firehose's language; time is the record's arrival"`
	PartitionQuery string `envconfig:"PARTITION_QUERY" desc:"jq program that makes the keys of !{partitionKeyFromQuery:...} from a payload, as {customer:.customer.id}"`
	ErrorPrefix    string `envconfig:"ERROR_PREFIX" default:"errors/!{firehose:error-output-type}/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/" desc:"key prefix of error files"`
	ManifestPrefix string `envconfig:"MANIFEST_PREFIX" default:"manifests/" desc:"key prefix of manifests, without expressions"`
	TimeZone       string `envconfig:"TIME_ZONE" default:"UTC" desc:"time zone of the prefixes' timestamps, as Europe/Lisbon"`

	Format          string `envconfig:"FORMAT" default:"jsonl" desc:"file format: jsonl (JSON lines), parquet, or firehose (payloads byte for byte behind one another, with the headers and extensions of Firehose)"`
	Compression     string `envconfig:"COMPRESSION" desc:"compression of the files: none, gzip, zstd or snappy (outside Parquet in the framing of snappy-java, Firehose's Snappy); outside Parquet also hadoop-snappy (which Athena, Hive and Spark read) and snappy-framed (the official framing); default: gzip for JSON lines, zstd for Parquet, none for FORMAT=firehose"`
	ContentEncoding bool   `envconfig:"CONTENT_ENCODING" default:"false" desc:"label compressed JSON lines with a Content-Encoding instead of the type of a compressed file, so that HTTP clients open them; FORMAT=firehose always does"`
	AppendDelimiter bool   `envconfig:"APPEND_DELIMITER" default:"false" desc:"with FORMAT=firehose: put a line feed behind each payload, as Firehose's AppendDelimiterToRecord does"`
	FileExtension   string `envconfig:"FILE_EXTENSION" desc:"extension of data files in place of that of their format and compression, as .json.gz; Firehose's FileExtension"`
	Schema          string `envconfig:"SCHEMA" desc:"JSON Schema file that records have to hold to, a path or s3://bucket/key; Parquet takes its columns from it, or infers them if there is none"`
	RowGroupSize    Bytes  `envconfig:"ROW_GROUP_SIZE" default:"64MiB" desc:"memory that the records of a Parquet row group take up before they are encoded"`
	ParquetEncoding string `envconfig:"PARQUET_ENCODING" default:"compact" desc:"encoding of Parquet integers and timestamps that have no dictionary: compact (DELTA_BINARY_PACKED) or plain, for readers that get the former wrong, such as fastparquet"`
	BloomColumns    string `envconfig:"BLOOM_COLUMNS" desc:"Parquet columns that get a Bloom filter, separated by commas; pays for look-ups of single values, as of event_id"`

	FileSize       Bytes         `envconfig:"FILE_SIZE" default:"128MiB" desc:"encoded size at which a file is closed"`
	CommitInterval time.Duration `envconfig:"COMMIT_INTERVAL" default:"5m" desc:"longest time that a record waits for its commit"`
	CommitSize     Bytes         `envconfig:"COMMIT_SIZE" default:"1GiB" desc:"encoded size of all files of a batch at which it is committed although files are open; at most 80,000 times PART_SIZE"`

	MaxOpenFiles int `envconfig:"MAX_OPEN_FILES" default:"500" desc:"most partitions that have a file open at the same time; beyond it the one used least recently is closed early"`

	MemoryBudget      Bytes  `envconfig:"MEMORY_BUDGET" default:"256MiB" desc:"bound on the bytes held in memory on their way to S3"`
	SpoolDir          string `envconfig:"SPOOL_DIR" desc:"directory that takes parts when the memory budget is used up; empty: reading waits instead"`
	SpoolSize         Bytes  `envconfig:"SPOOL_SIZE" default:"4GiB" desc:"bound on the bytes in SPOOL_DIR"`
	PartSize          Bytes  `envconfig:"PART_SIZE" default:"8MiB" desc:"size of the parts of an upload, 5MiB to 5GiB"`
	UploadConcurrency int    `envconfig:"UPLOAD_CONCURRENCY" default:"8" desc:"parts uploaded at the same time"`
	Encryption        string `envconfig:"S3_ENCRYPTION" default:"none" desc:"server-side encryption asked for: none (the bucket's default), AES256 or aws:kms"`
	KMSKey            string `envconfig:"S3_KMS_KEY_ID" desc:"key for S3_ENCRYPTION=aws:kms; empty for the account's default key"`
	PathStyle         bool   `envconfig:"S3_PATH_STYLE" default:"false" desc:"address buckets by path, for S3-compatible stores"`

	CheckpointTable  string        `envconfig:"CHECKPOINT_TABLE" desc:"DynamoDB table of leases and checkpoints; default: the application's name"`
	CheckpointCreate bool          `envconfig:"CHECKPOINT_TABLE_CREATE" default:"true" desc:"make the table if it is absent"`
	CheckpointFile   string        `envconfig:"CHECKPOINT_FILE" desc:"keep leases and checkpoints in this file instead of DynamoDB: for a single worker"`
	Failover         time.Duration `envconfig:"FAILOVER_TIME" default:"10s" desc:"a worker whose heartbeat stands still for so long is taken for dead"`
	MaxLeases        int           `envconfig:"MAX_LEASES" default:"0" desc:"most shards that this worker takes; 0: its fair share"`

	OpenGzip       bool          `envconfig:"OPEN_GZIP" default:"false" desc:"open gzip-compressed payloads"`
	SchemaRegistry string        `envconfig:"SCHEMA_REGISTRY" default:"none" desc:"open payloads that name their schema: none, or glue for those framed by the serializers of the AWS Glue Schema Registry, whose Avro, Protobuf or JSON becomes JSON; payloads without a frame are taken as they are"`
	SplitRecords   string        `envconfig:"SPLIT_RECORDS" default:"none" desc:"take payloads of several records apart: none, json (values behind one another) or lines"`
	SplitLogEvents string        `envconfig:"SPLIT_LOG_EVENTS" default:"none" desc:"take CloudWatch Logs messages apart, one record a log event: none, message (its text) or event (its object with the log's names)"`
	KPLHashFilter  bool          `envconfig:"KPL_HASH_FILTER" default:"false" desc:"drop KPL aggregates that a reshard sent to another shard, which the KPL sends again; loses records of producers that aggregate without regard to shards"`
	Protocol       string        `envconfig:"KINESIS_PROTOCOL" default:"cbor" desc:"how records are fetched: cbor (what the AWS SDK for Java speaks; costs least, and changes to json by itself where it is not understood) or json"`
	FanOutConsumer string        `envconfig:"FAN_OUT_CONSUMER" desc:"have Kinesis push the records by enhanced fan-out, to the consumer of this name (registered if there is none) or ARN: 2 MB/s of each shard for this application alone, at a price of its own; empty: records are fetched"`
	ReadInterval   time.Duration `envconfig:"READ_INTERVAL" default:"250ms" desc:"shortest time between two reads of a shard; Kinesis allows 5 reads a second, of all applications together"`

	HTTPAddress   string        `envconfig:"HTTP_ADDRESS" default:":8080" desc:"address of the status page, /metrics, /healthz and /readyz; empty: none"`
	ShutdownGrace time.Duration `envconfig:"SHUTDOWN_GRACE" default:"30s" desc:"time for the last commit after SIGTERM; what is not committed then is read again"`
	LogLevel      string        `envconfig:"LOG_LEVEL" default:"info" desc:"debug, info, warn or error"`
	LogFormat     string        `envconfig:"LOG_FORMAT" default:"json" desc:"json or text"`
}

// A fan-out consumer, by the API reference of RegisterStreamConsumer.
var (
	consumerName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)
	consumerARN  = regexp.MustCompile(`^arn:[^:]+:kinesis:[^:]+:[0-9]{12}:stream/[a-zA-Z0-9_.-]+/consumer/[a-zA-Z0-9_.-]+:[0-9]+$`)
)

// LoadConfig reads the environment. Its error names every fault at once: variable, value, and what would be right.
func LoadConfig() (Config, error) {
	var c Config
	err := errors.Join(settings.Read(&c), c.Validate())
	return c, err
}

// Defaults are the settings as they are when no variable is set. The required ones are missing.
func Defaults() Config {
	var c Config
	settings.SetDefaults(&c)
	return c
}

// maxBatchParts bounds COMMIT_SIZE in parts. Each part of an open batch is described in memory, and later in what is
// committed, by some 70 bytes.
const maxBatchParts = 80_000

// Validate names every value that can not be right.
func (c *Config) Validate() error {
	var faults settings.Faults
	check, oneOf, within := faults.Check, faults.OneOf, faults.Within

	oneOf("FORMAT", c.Format, "jsonl", "parquet", "firehose")
	if c.Format == "parquet" {
		oneOf("COMPRESSION", c.compression(), "none", "snappy", "gzip", "zstd")
		oneOf("PARQUET_ENCODING", c.ParquetEncoding, "compact", "plain")
	} else {
		oneOf("COMPRESSION", c.compression(), "none", "gzip", "zstd", "snappy", "hadoop-snappy", "snappy-framed")
		check(c.ParquetEncoding == "compact", "PARQUET_ENCODING", c.ParquetEncoding, "compact unless FORMAT=parquet")
		check(c.BloomColumns == "", "BLOOM_COLUMNS", c.BloomColumns, "nothing unless FORMAT=parquet")
	}
	check(c.Schema == "" || c.Format != "firehose", "SCHEMA", c.Schema, "nothing with FORMAT=firehose, which looks at no payload")
	check(!c.ContentEncoding || c.Format != "parquet", "CONTENT_ENCODING", c.ContentEncoding, "false with FORMAT=parquet, whose files are compressed inside")
	check(!c.AppendDelimiter || c.Format == "firehose", "APPEND_DELIMITER", c.AppendDelimiter, "false unless FORMAT=firehose")
	if err := prefix.ValidateExtension(c.FileExtension); err != nil {
		faults.Add(fmt.Errorf("FILE_EXTENSION: %w", err))
	}
	check(!layout.IsFileEnding(c.FileExtension), "FILE_EXTENSION", c.FileExtension, "an extension that does not hold the time and the id of a batch, as a key does")
	check(c.RowGroupSize >= 1<<20 && c.RowGroupSize <= 1<<30, "ROW_GROUP_SIZE", c.RowGroupSize, "1MiB to 1GiB")
	oneOf("KINESIS_PROTOCOL", c.Protocol, "cbor", "json")
	check(c.FanOutConsumer == "" || consumerName.MatchString(c.FanOutConsumer) || consumerARN.MatchString(c.FanOutConsumer), "FAN_OUT_CONSUMER", c.FanOutConsumer,
		"a name of 1 to 128 letters, digits, _, . and -, or the ARN of a consumer of the stream")
	oneOf("SCHEMA_REGISTRY", c.SchemaRegistry, "none", "glue")
	oneOf("SPLIT_RECORDS", c.SplitRecords, "none", "json", "lines")
	oneOf("SPLIT_LOG_EVENTS", c.SplitLogEvents, "none", "message", "event")
	oneOf("S3_ENCRYPTION", c.Encryption, "none", "AES256", "aws:kms")
	oneOf("LOG_LEVEL", c.LogLevel, "debug", "info", "warn", "error")
	oneOf("LOG_FORMAT", c.LogFormat, "json", "text")
	check(c.KMSKey == "" || c.Encryption == "aws:kms", "S3_KMS_KEY_ID", c.KMSKey, "no key unless S3_ENCRYPTION=aws:kms")
	check(c.FileSize >= 1<<10, "FILE_SIZE", c.FileSize, "1KiB or more")
	check(c.CommitSize >= c.FileSize, "COMMIT_SIZE", c.CommitSize, "at least FILE_SIZE")
	check(c.CommitSize <= maxBatchParts*c.PartSize, "COMMIT_SIZE", c.CommitSize, fmt.Sprintf("at most %s, %d times PART_SIZE", maxBatchParts*c.PartSize, maxBatchParts))
	check(c.PartSize >= 5<<20 && c.PartSize <= 5<<30, "PART_SIZE", c.PartSize, "5MiB to 5GiB")
	check(c.MemoryBudget >= 32<<20, "MEMORY_BUDGET", c.MemoryBudget, "32MiB or more")
	check(c.UploadConcurrency >= 1 && c.UploadConcurrency <= 256, "UPLOAD_CONCURRENCY", c.UploadConcurrency, "1 to 256")
	check(c.MaxOpenFiles >= 2, "MAX_OPEN_FILES", c.MaxOpenFiles, "2 or more")
	check(c.MaxLeases >= 0, "MAX_LEASES", c.MaxLeases, "0 or more")
	within("COMMIT_INTERVAL", c.CommitInterval, time.Second, 24*time.Hour)
	within("FAILOVER_TIME", c.Failover, time.Second, 10*time.Minute)
	within("READ_INTERVAL", c.ReadInterval, 200*time.Millisecond, time.Minute)
	within("SHUTDOWN_GRACE", c.ShutdownGrace, time.Second, time.Hour)
	check(!strings.Contains(c.ManifestPrefix, "!{"), "MANIFEST_PREFIX", c.ManifestPrefix, "a prefix without expressions")
	check(c.CheckpointFile == "" || c.CheckpointTable == "", "CHECKPOINT_FILE", c.CheckpointFile, "either this or CHECKPOINT_TABLE")
	if c.HTTPAddress != "" {
		_, _, err := net.SplitHostPort(c.HTTPAddress)
		check(err == nil, "HTTP_ADDRESS", c.HTTPAddress, "host:port or :port")
	}
	if c.SpoolDir != "" {
		info, err := os.Stat(c.SpoolDir)
		check(err == nil && info.IsDir(), "SPOOL_DIR", c.SpoolDir, "a directory that exists")
	}
	if _, err := prefix.LoadZone(c.TimeZone); err != nil {
		check(false, "TIME_ZONE", c.TimeZone, "a name of the time zone database, as UTC or Europe/Lisbon")
	} else if _, err := c.router(); err != nil {
		faults.Add(fmt.Errorf("PREFIX, ERROR_PREFIX, PARTITION_QUERY: %w", err))
	}
	return faults.Err()
}

// Table is the name of the DynamoDB table.
func (c *Config) Table() string {
	if c.CheckpointTable != "" {
		return c.CheckpointTable
	}
	return c.Application
}

// stream is what Kinesis is asked for: the ARN if there is one.
func (c *Config) stream() string {
	if c.StreamARN != "" {
		return c.StreamARN
	}
	return c.Stream
}

// compression is COMPRESSION, or what suits the format.
func (c *Config) compression() string {
	switch {
	case c.Compression != "":
		return c.Compression
	case c.Format == "parquet":
		return "zstd"
	case c.Format == "firehose":
		return "none"
	}
	return "gzip"
}

func (c *Config) bloomColumns() []string {
	if c.BloomColumns == "" {
		return nil
	}
	return strings.Split(c.BloomColumns, ",")
}

// router evaluates the prefixes.
func (c *Config) router() (*prefix.Router, error) {
	zone, err := prefix.LoadZone(c.TimeZone)
	if err != nil {
		return nil, err
	}
	return prefix.New(prefix.Config{Data: c.Prefix, Error: c.ErrorPrefix, Query: c.PartitionQuery, Zone: zone})
}

// Setting describes one environment variable.
type Setting = settings.Setting

// Settings lists all environment variables in the order of Config.
func Settings() []Setting { return settings.List[Config]() }

// Bytes is a size, written as 128MiB, 1GiB, 512KiB, 100MB or a plain number of bytes.
type Bytes int64

var units = []struct {
	suffix string
	factor int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// Decode reads a size; it is what envconfig calls.
func (b *Bytes) Decode(value string) error {
	number, factor := value, int64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(value, u.suffix); ok {
			number, factor = n, u.factor
			break
		}
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if inRange := n >= 0 && n*float64(factor) <= 1<<62; err != nil || !inRange {
		return errors.New("want a size as 128MiB, 1GiB or 1000000")
	}
	*b = Bytes(n * float64(factor))
	return nil
}

func (b Bytes) String() string {
	for i := len(units) - 1; i >= 0; i-- {
		if u := units[i]; strings.HasSuffix(u.suffix, "iB") && int64(b) >= u.factor && int64(b)%u.factor == 0 {
			return fmt.Sprintf("%d%s", int64(b)/u.factor, u.suffix)
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// StartPosition is where an application begins that has no checkpoints.
type StartPosition struct {
	Latest bool
	Time   time.Time // zero: the oldest record
}

// Decode reads TRIM_HORIZON, LATEST or a time of RFC 3339; it is what envconfig calls.
func (p *StartPosition) Decode(value string) error {
	switch value {
	case "TRIM_HORIZON":
		*p = StartPosition{}
		return nil
	case "LATEST":
		*p = StartPosition{Latest: true}
		return nil
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return errors.New("want TRIM_HORIZON, LATEST or a time as 2026-01-31T00:00:00Z")
	}
	*p = StartPosition{Time: t}
	return nil
}

// SettingsMarkdown is the table of settings as it stands in docs/settings.md.
func SettingsMarkdown() string {
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n|---|---|---|\n")
	for _, s := range Settings() {
		value := ""
		if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.Name, value, strings.ReplaceAll(s.Meaning, "|", `\|`))
	}
	return b.String()
}
