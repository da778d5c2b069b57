package consumer

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"aws-streaming-pipeline/internal/settings"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/writers/layout"
)

// KeyConfig sets the keys of files.
type KeyConfig struct {
	Prefix         string `envconfig:"PREFIX" default:"data/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/" desc:"Key prefix of data files, in Firehose's prefix language (docs/prefixes.md). Timestamps are the time at which the record arrived."`
	PartitionQuery string `envconfig:"PARTITION_QUERY" desc:"jq program that makes the keys of !{partitionKeyFromQuery:...} from a payload, such as {customer:.customer.id}. Default: none."`
	ErrorPrefix    string `envconfig:"ERROR_PREFIX" default:"errors/!{firehose:error-output-type}/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/" desc:"Key prefix of error files, in Firehose's prefix language."`
	ManifestPrefix string `envconfig:"MANIFEST_PREFIX" default:"manifests/" desc:"Key prefix of manifests. It cannot have expressions."`
	TimeZone       string `envconfig:"TIME_ZONE" default:"UTC" desc:"Time zone of the timestamps in prefixes, such as Europe/Lisbon."`
}

// settingOf names the setting behind each part of the router's configuration.
var settingOf = map[prefix.Part]string{prefix.DataPart: "PREFIX", prefix.ErrorPart: "ERROR_PREFIX", prefix.QueryPart: "PARTITION_QUERY"}

func (c *KeyConfig) check(f *settings.Faults) {
	f.Check(!strings.Contains(c.ManifestPrefix, "!{"), "MANIFEST_PREFIX", "a prefix without expressions")
	if _, err := prefix.LoadZone(c.TimeZone); err != nil {
		f.Check(false, "TIME_ZONE", "a name from the time zone database, such as UTC or Europe/Lisbon")
		return // times cannot be evaluated
	}
	_, err := c.router()
	for _, p := range prefix.Problems(err) {
		f.Add(settingOf[p.Part], p.Err)
	}
}

// router evaluates the prefixes.
func (c *KeyConfig) router() (*prefix.Router, error) {
	zone, err := prefix.LoadZone(c.TimeZone)
	if err != nil {
		return nil, err
	}
	return prefix.New(prefix.Config{Data: c.Prefix, Error: c.ErrorPrefix, Query: c.PartitionQuery, Zone: zone})
}

// ErrorPrefixes returns the prefix of the keys of a batch's error files, which is the same whenever it is asked for, and the zone of the times
// in keys. The settings must be valid.
func (c *KeyConfig) ErrorPrefixes() (of func(batch string, t record.OutputType, arrival time.Time) string, zone *time.Location, err error) {
	router, err := c.router()
	if err != nil {
		return nil, nil, err
	}
	if zone, err = prefix.LoadZone(c.TimeZone); err != nil {
		return nil, nil, err
	}
	return func(batch string, t record.OutputType, arrival time.Time) string {
		return router.KeyPrefixOf(router.ErrorPartition(t, arrival), batch)
	}, zone, nil
}

// OtherFolders returns, by setting, key prefixes of the files that are not data: of those that are written when records arrive at a time.
// An error names the prefix that is wrong.
func (c *Config) OtherFolders(at time.Time) (map[string][]string, error) {
	router, err := c.router()
	if err != nil {
		var named []error
		for _, p := range prefix.Problems(err) {
			named = append(named, fmt.Errorf("%s: %w", settingOf[p.Part], p.Err))
		}
		return nil, cmp.Or(errors.Join(named...), err)
	}
	folders := map[string][]string{"MANIFEST_PREFIX": {layout.ManifestFolder(c.ManifestPrefix, at)}}
	for _, t := range []record.OutputType{record.ProcessingFailed, record.FormatConversionFailed} {
		folders["ERROR_PREFIX"] = append(folders["ERROR_PREFIX"], router.ErrorPartition(t, at))
	}
	if c.BackupPrefix != "" {
		backup, err := c.partitions(&c.KeyConfig)
		if err != nil {
			return nil, fmt.Errorf("BACKUP_PREFIX=%q: %w", c.BackupPrefix, err)
		}
		folders["BACKUP_PREFIX"] = []string{backup.Partition(at)}
	}
	if c.CompletePrefix != "" {
		folders["COMPLETE_PREFIX"] = []string{c.CompletePrefix}
	}
	return folders, nil
}
