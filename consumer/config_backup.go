package consumer

import (
	"fmt"

	"aws-streaming-pipeline/consumer/batch"
	"aws-streaming-pipeline/internal/settings"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/layout"
)

// BackupConfig sets where the records are kept as they came.
type BackupConfig struct {
	BackupPrefix      string `envconfig:"BACKUP_PREFIX" desc:"Key prefix of backup files, which hold all records as they came, like Firehose's source record backup (docs/backup.md). Times and random strings are its only expressions. Default: none; there is no backup."`
	BackupFormat      string `envconfig:"BACKUP_FORMAT" default:"raw" oneof:"raw,jsonl" desc:"Format of backup files: raw (payloads are concatenated unchanged, as Firehose does, those of a KPL aggregate one by one) or jsonl (each Kinesis record is a line with its bytes in base64, its key and its position, from which consumer redrive can put it into a stream again)."`
	BackupCompression string `envconfig:"BACKUP_COMPRESSION" desc:"Compression of backup files, as for COMPRESSION. Default: none for raw, gzip for jsonl."`
}

// backupKinds are the values of BACKUP_FORMAT with the formats whose compressions and labels they have.
var backupKinds = map[string]struct {
	like   writers.Kind
	append jsonl.AppendFunc
	labels jsonl.Labels
}{
	"raw":   {jsonl.FirehoseKind, func(dst []byte, r *record.Record) ([]byte, error) { return record.AppendPayloads(dst, r), nil }, jsonl.AsFirehose},
	"jsonl": {jsonl.Kind, func(dst []byte, r *record.Record) ([]byte, error) { return record.AppendBackupLine(dst, r), nil }, jsonl.AsFiles},
}

func (c *BackupConfig) check(f *settings.Faults, keys *KeyConfig) {
	if c.BackupPrefix == "" {
		f.AtDefault(c, []string{"BACKUP_FORMAT", "BACKUP_COMPRESSION"}, "unless BACKUP_PREFIX is set")
		return
	}
	if f.Sound("TIME_ZONE") {
		_, err := c.partitions(keys)
		f.Add("BACKUP_PREFIX", err)
	}
	for _, other := range []struct{ setting, prefix, read string }{
		{"PREFIX", keys.Prefix, "tables read all files under it"},
		{"ERROR_PREFIX", keys.ErrorPrefix, "redrives read all files under it"},
	} {
		f.Check(layout.Apart(c.BackupPrefix, other.prefix), "BACKUP_PREFIX",
			fmt.Sprintf("a prefix apart from that of %s, %s, because %s", other.setting, layout.Fixed(other.prefix), other.read))
	}
	if f.Sound("BACKUP_FORMAT") && c.BackupCompression != "" {
		f.OneOf("BACKUP_COMPRESSION", c.BackupCompression, backupKinds[c.BackupFormat].like.Compressions...)
	}
}

func (c *BackupConfig) partitions(keys *KeyConfig) (*prefix.Backup, error) {
	zone, err := prefix.LoadZone(keys.TimeZone)
	if err != nil {
		return nil, err
	}
	return prefix.NewBackup(c.BackupPrefix, zone)
}

// backup returns where the records are kept as they came; nil without BACKUP_PREFIX.
func (c *Config) backup() (*batch.Backup, error) {
	if c.BackupPrefix == "" {
		return nil, nil
	}
	partitions, err := c.partitions(&c.KeyConfig)
	if err != nil {
		return nil, err
	}
	kind := backupKinds[c.BackupFormat]
	compression := c.BackupCompression
	if compression == "" {
		compression = kind.like.Compressions[0]
	}
	format, err := jsonl.New(jsonl.Config{Append: kind.append, Compression: jsonl.Compression(compression), Labels: kind.labels})
	if err != nil {
		return nil, err
	}
	return &batch.Backup{Format: format, Partition: partitions.Partition}, nil
}
