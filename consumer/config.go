package consumer

import (
	"fmt"
	"strings"

	"aws-streaming-pipeline/internal/settings"
	"aws-streaming-pipeline/writers/formats"
)

// Config is all that can be set of the daemon. Each field is one environment variable; the tags say its name, default,
// bounds and meaning. docs/settings.md, the README's table, the chart's values and their schema are made from them (make
// generate).
//
// The settings of one subject are one struct, embedded here: its file has their rules.
type Config struct {
	StreamConfig     `group:"Stream"`
	BucketConfig     `group:"Bucket and uploads"`
	KeyConfig        `group:"Keys and partitions"`
	FormatConfig     `group:"Format and schema"`
	BatchConfig      `group:"Files and batches"`
	MemoryConfig     `group:"Memory"`
	CheckpointConfig `group:"Leases and checkpoints"`
	PayloadConfig    `group:"Payloads"`
	HTTPConfig       `group:"Status page"`
	ProcessConfig    `group:"Shutdown and logs"`
}

// LoadConfig reads the environment. Its error names every fault at once: variable, value, and what would be right.
func LoadConfig() (Config, error) {
	var c Config
	f := settings.Read(&c)
	c.check(f)
	return c, f.Err()
}

// Defaults are the settings as they are when no variable is set. The required ones are missing.
func Defaults() Config {
	var c Config
	settings.SetDefaults(&c)
	return c
}

// Validate names every value that cannot be right.
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
	c.BatchConfig.check(f)
	c.MemoryConfig.check(f)
	c.CheckpointConfig.check(f)
	c.HTTPConfig.check(f)

	if most := maxBatchParts * c.PartSize; f.Sound("PART_SIZE") {
		f.Check(c.CommitSize <= most, "COMMIT_SIZE", fmt.Sprintf("at most %s, which is %d times PART_SIZE", most, maxBatchParts))
	}
	if c.SpoolDir != "" && f.Sound("PART_SIZE") {
		f.Check(c.SpoolSize >= c.PartSize, "SPOOL_SIZE", fmt.Sprintf("at least PART_SIZE, which is %s", c.PartSize))
	}
	if c.CheckpointTable == "" && c.CheckpointFile == "" {
		f.Check(tableName.MatchString(c.Application), "APPLICATION_NAME", tableForm+", because it names the table unless CHECKPOINT_TABLE is set")
	}
	f.Check(c.Application != "", "APPLICATION_NAME", "a name")
}

// Table is the name of the DynamoDB table.
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

// SettingGroups lists all environment variables by subject. FORMAT has the formats that are listed.
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
