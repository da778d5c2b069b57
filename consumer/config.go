package consumer

import (
	"errors"
	"fmt"
	"strings"

	"aws-streaming-pipeline/internal/settings"
	"aws-streaming-pipeline/writers/formats"
	"aws-streaming-pipeline/writers/layout"
)

// Config holds the daemon's settings. Each field is one environment variable; its tags define name, default, bounds and
// meaning. docs/settings.md, the README's table, the chart's values and their schema are generated from them (make
// generate).
//
// Each group of settings is a struct embedded here, with its rules in its own file.
type Config struct {
	StreamConfig     `group:"Stream"`
	BucketConfig     `group:"Bucket and uploads"`
	KeyConfig        `group:"Keys and partitions"`
	FormatConfig     `group:"Format and schema"`
	BackupConfig     `group:"Backup"`
	BatchConfig      `group:"Files and batches"`
	CompleteConfig   `group:"Complete up to"`
	TableConfig      `group:"Tables"`
	PostgresConfig   `group:"PostgreSQL"`
	MemoryConfig     `group:"Memory"`
	CheckpointConfig `group:"Leases and checkpoints"`
	PayloadConfig    `group:"Payloads"`
	TransformConfig  `group:"Transforms"`
	FunctionConfig   `group:"Lambda function"`
	HTTPConfig       `group:"Status page"`
	ProcessConfig    `group:"Shutdown, logs and metrics"`
}

// LoadConfig reads the environment. Its error lists all faults: variable, value, and what would be valid, and then what seems to be
// misspelt.
func LoadConfig() (Config, error) {
	var c Config
	f := settings.Read(&c)
	c.check(f)
	err := f.Err()
	if err != nil {
		for _, warning := range misspelt() {
			err = errors.Join(err, errors.New(warning))
		}
	}
	return c, err
}

// Warnings returns what is odd about the environment and the settings, though they are valid.
func (c *Config) Warnings() []string {
	warnings := misspelt()
	for _, p := range []struct{ setting, value string }{
		{"PREFIX", c.Prefix}, {"ERROR_PREFIX", c.ErrorPrefix}, {"BACKUP_PREFIX", c.BackupPrefix}, {"MANIFEST_PREFIX", c.ManifestPrefix}, {"COMPLETE_PREFIX", c.CompletePrefix},
	} {
		if strings.HasPrefix(p.value, "/") {
			warnings = append(warnings, fmt.Sprintf("%s=%q: keys begin with a folder without a name: a prefix usually does not begin with /", p.setting, p.value))
		}
	}
	return warnings
}

func misspelt() []string {
	var names []string
	for _, s := range Settings() {
		names = append(names, s.Name)
	}
	return settings.Misspelt(names)
}

// Defaults returns the settings with no variable set. The required ones are missing.
func Defaults() Config {
	var c Config
	settings.SetDefaults(&c)
	return c
}

// Validate returns an error that lists all invalid values, or nil.
func (c *Config) Validate() error {
	f := settings.Of(c)
	c.check(f)
	return f.Err()
}

// check adds the faults that the tags' rules do not find.
func (c *Config) check(f *settings.Faults) {
	c.StreamConfig.check(f)
	c.BucketConfig.check(f)
	c.KeyConfig.check(f)
	c.FormatConfig.check(f)
	c.BackupConfig.check(f, &c.KeyConfig)
	c.BatchConfig.check(f)
	c.CompleteConfig.check(f)
	c.TableConfig.check(f)
	c.PostgresConfig.check(f)
	c.MemoryConfig.check(f)
	c.CheckpointConfig.check(f)
	c.TransformConfig.check(f)
	c.FunctionConfig.check(f)
	c.HTTPConfig.check(f)
	c.ProcessConfig.check(f)

	c.checkComplete(f)
	c.checkManifests(f)
	if most := maxBatchParts * c.PartSize; f.Sound("PART_SIZE") {
		f.Check(c.CommitSize <= most, "COMMIT_SIZE", fmt.Sprintf("at most %s, which is %d times PART_SIZE", most, maxBatchParts))
	}
	if f.Sound("FORMAT") {
		c.checkTable(f)
	}
	if f.Sound("TABLE") {
		c.checkUnused(f)
	}
	if router, err := c.router(); err == nil && len(router.Given()) > 0 {
		f.Check(c.Transform != "", "PREFIX", "no !{partitionKeyFromLambda:...} unless TRANSFORM is set")
	}
	if c.SpoolDir != "" && f.Sound("PART_SIZE") {
		f.Check(c.SpoolSize >= c.PartSize, "SPOOL_SIZE", fmt.Sprintf("at least PART_SIZE, which is %s", c.PartSize))
	}
	if c.CheckpointTable == "" && c.CheckpointFile == "" {
		f.Check(tableName.MatchString(c.Application), "APPLICATION_NAME", tableForm+", because it names the table unless CHECKPOINT_TABLE is set")
	}
	f.Check(c.Application != "", "APPLICATION_NAME", "a name")
}

// checkManifests keeps backups and statements apart from manifests, of which audits and checks read all keys. Data and error files may
// be there: their keys tell them from manifests. An empty prefix is apart from none.
func (c *Config) checkManifests(f *settings.Faults) {
	for _, other := range []struct{ setting, prefix string }{{"BACKUP_PREFIX", c.BackupPrefix}, {"COMPLETE_PREFIX", c.CompletePrefix}} {
		if f.Sound("MANIFEST_PREFIX") && other.prefix != "" {
			f.Check(layout.Apart(other.prefix, c.ManifestPrefix), other.setting,
				fmt.Sprintf("a prefix apart from that of MANIFEST_PREFIX, %s, because audits read all files under it", c.ManifestPrefix))
		}
	}
}

// checkUnused adds a fault for each setting of a sort of table that TABLE does not name.
func (c *Config) checkUnused(f *settings.Faults) {
	_, iceberg := c.IcebergTable()
	_, database := c.PostgresTable()
	if database && !iceberg {
		f.AtDefault(&c.TableConfig, []string{"TABLE_PARTITION", "TABLE_LOCATION", "TABLE_SNAPSHOT_AGE", "TABLE_SNAPSHOTS"}, "unless TABLE has an Iceberg table")
	}
	if !database {
		f.AtDefault(&c.PostgresConfig, nil, "unless TABLE has a PostgreSQL table")
	}
}

// Table returns the name of the DynamoDB table.
func (c *Config) Table() string {
	if c.CheckpointTable != "" {
		return c.CheckpointTable
	}
	return c.Application
}

// Setting describes one environment variable.
type Setting = settings.Setting

// Settings lists all environment variables in the order of Config.
func Settings() (list []Setting) {
	for _, g := range SettingGroups() {
		list = append(list, g.Settings...)
	}
	return list
}

// SettingGroups lists all environment variables by subject, with the names of all formats at FORMAT.
func SettingGroups() []settings.Group {
	groups := settings.Groups[Config]()
	for _, g := range groups {
		for i := range g.Settings {
			if s := &g.Settings[i]; s.Name == "FORMAT" {
				s.Meaning = strings.ReplaceAll(s.Meaning, "{formats}", formats.All.Help())
				s.OneOf = formats.All.Names(nil)
			}
		}
	}
	return groups
}
