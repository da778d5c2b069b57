package consumer

import (
	"fmt"
	"strings"

	"aws-streaming-pipeline/internal/settings"
	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/writers/layout"
)

// CompleteConfig sets how the bucket shows up to which arrival time its data is complete (docs/complete.md). Whatever it says, the
// table of checkpoints knows that time, and so do the status page and the metrics.
//
// The name of a marker begins with a character by which query engines know files that they do not read: Hive and Spark those that begin
// with _ or . (Hadoop, FileInputFormat.hiddenFileFilter), and so does Athena (Amazon Athena User Guide, "Specify a table location").
type CompleteConfig struct {
	CompletePrefix string `envconfig:"COMPLETE_PREFIX" desc:"Key prefix of the object that states up to which arrival time the data is complete, such as _complete/. Its name is APPLICATION_NAME and .json. Default: none is written."`
	CompleteMarker string `envconfig:"COMPLETE_MARKER" pattern:"^[_.][A-Za-z0-9_.-]{1,62}$" form:"a name of 2 to 63 letters, digits, _ . and - that begins with _ or ., such as _SUCCESS" desc:"Name of an empty object, such as _SUCCESS, that is written to each folder of PREFIX for a period, such as a day or an hour, when the folder is complete. It needs COMPLETE_PREFIX. Default: none is written."`
}

func (c *CompleteConfig) check(f *settings.Faults) {
	f.Check(!strings.Contains(c.CompletePrefix, "!{"), "COMPLETE_PREFIX", "a prefix without expressions")
	if c.CompleteMarker != "" {
		f.Check(strings.Trim(c.CompleteMarker, ".") != "", "COMPLETE_MARKER", "a name of 2 to 63 letters, digits, _ . and - that begins with _ or ., such as _SUCCESS")
		f.Check(c.CompletePrefix != "", "COMPLETE_MARKER", "nothing unless COMPLETE_PREFIX is set: the object there says which folders have a marker")
	}
}

// checkComplete checks where data and statement are stored.
func (c *Config) checkComplete(f *settings.Faults) {
	if c.CompletePrefix != "" {
		folder := layout.Fixed(c.Prefix)
		folder = folder[:strings.LastIndexByte(folder, '/')+1]
		f.Check(folder == "" || !strings.HasPrefix(c.CompletePrefix, folder), "COMPLETE_PREFIX", "a prefix that does not begin with "+folder+", where queries look for data")
	}
	if c.CompleteMarker != "" && f.Sound("PREFIX", "ERROR_PREFIX", "PARTITION_QUERY", "TIME_ZONE") {
		if _, err := c.calendar(); err != nil {
			f.Add("COMPLETE_MARKER", fmt.Errorf("want nothing unless PREFIX has a folder for each period, such as !{timestamp:yyyy/MM/dd/}: %w", err))
		}
	}
}

// calendar returns the folders of PREFIX that get a marker.
func (c *KeyConfig) calendar() (*prefix.Calendar, error) {
	router, err := c.router()
	if err != nil {
		return nil, err
	}
	return router.Calendar()
}

// Announces reports whether a key is that of an object by which the bucket shows what is complete, which is neither data nor
// bookkeeping of batches.
func (c *CompleteConfig) Announces(key string) bool {
	if c.CompletePrefix == "" {
		return false
	}
	_, statement := layout.ParseStatementKey(c.CompletePrefix, key)
	return statement || layout.IsCompleteMarker(c.CompleteMarker, key)
}
