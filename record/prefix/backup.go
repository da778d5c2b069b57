package prefix

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// Backup evaluates the prefix of a copy of the source records (Amazon Data Firehose API Reference,
// ExtendedS3DestinationConfiguration, S3BackupConfiguration). It is safe for concurrent use, and takes no locks.
type Backup struct {
	text   template
	frames frameCache
}

// NewBackup returns a Backup for a template. It may have times and random strings alone: a record that was not looked at has
// no partition keys and no error.
func NewBackup(text string, zone *time.Location) (*Backup, error) {
	if zone == nil {
		zone = time.UTC
	}
	t, err := parse(CompleteBackup(text), zone)
	if err == nil && slices.ContainsFunc(t.pieces, func(p piece) bool { return p.kind != kindText && p.kind != kindTime && p.kind != kindRandom }) {
		err = errors.New("want no expressions but !{timestamp:...} and !{firehose:random-string}: a backup has the records as they came")
	}
	if err == nil {
		err = t.checkExtent()
	}
	if err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return &Backup{text: t}, nil
}

// CompleteBackup writes Firehose's default out: the time after a prefix without expressions.
func CompleteBackup(text string) string {
	if !strings.Contains(text, "!{") {
		text += defaultTime
	}
	return text
}

// Partition returns the partition of records with that arrival time. Random strings are not drawn yet: see Router.KeyPrefix.
func (b *Backup) Partition(arrival time.Time) string { return b.frames.at(&b.text, arrival).texts[0] }
