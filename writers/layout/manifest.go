package layout

import (
	"fmt"
	"strings"
	"time"
)

// hourFolder is a part of a manifest's key. The order of keys is that of hours.
const hourFolder = "2006/01/02/15/"

const (
	manifestSuffix = ".json"
	moves          = "moves/"
	outbox         = "outbox/"
	listSuffix     = ".json.zst"
)

// MaxManifest bounds the size of a manifest in bytes, for its readers. Most have a few kilobytes; that of one aggregate
// with 250,000 partitions (record.DefaultMaxRecords) of the longest keys has some 600 MB.
const MaxManifest = 1 << 30

// ManifestKey is where the manifest of a batch lies: by the hour, of UTC, in which the batch was sealed.
func ManifestKey(prefix string, sealed time.Time, batch string) string {
	return ManifestFolder(prefix, sealed) + batch + manifestSuffix
}

// ManifestFolder is where the manifests of batches lie that were sealed in the hour of t.
func ManifestFolder(prefix string, t time.Time) string { return prefix + t.UTC().Format(hourFolder) }

// ParseManifest returns the hour and the name from a manifest's key; false if the key is not one under that prefix. The
// name is the batch's id unless the manifest was copied to another one. A data file may lie in the same folder and end
// alike: it is no manifest.
func ParseManifest(prefix, key string) (hour time.Time, batch string, ok bool) {
	name, ok := strings.CutPrefix(key, prefix)
	if !ok || len(name) <= len(hourFolder) {
		return time.Time{}, "", false
	}
	hour, err := time.Parse(hourFolder, name[:len(hourFolder)])
	batch, ok = strings.CutSuffix(name[len(hourFolder):], manifestSuffix)
	if err != nil || !ok || batch == "" || strings.Contains(batch, "/") {
		return time.Time{}, "", false
	}
	if _, file := ParseFile(key); file {
		return time.Time{}, "", false
	}
	return hour, batch, true
}

// MovesFolder is where the notes of deliberate changes of positions lie, beside the manifests.
func MovesFolder(manifestPrefix string) string { return manifestPrefix + moves }

// MoveKey is where such a note lies. The id keeps notes of repeated attempts apart.
func MoveKey(manifestPrefix string, at time.Time, shard string, counter int64, id string) string {
	return fmt.Sprintf("%s%s/%s-%d-%s.json", MovesFolder(manifestPrefix), at.UTC().Format("2006/01/02"), shard, counter, id)
}

// OutboxFolder is where the lists of files of batches lie that are in the outbox and have too many files for their item.
func OutboxFolder(manifestPrefix string) string { return manifestPrefix + outbox }

// OutboxKey is where the list of a batch's files lies until the batch is published.
func OutboxKey(manifestPrefix, batch string) string {
	return OutboxFolder(manifestPrefix) + batch + listSuffix
}

// ParseOutbox returns the batch whose list of files lies under the key; false if the key is not that of such a list.
func ParseOutbox(manifestPrefix, key string) (batch string, ok bool) {
	name, ok := strings.CutPrefix(key, OutboxFolder(manifestPrefix))
	if !ok {
		return "", false
	}
	batch, ok = strings.CutSuffix(name, listSuffix)
	return batch, ok && wholeBatchID.MatchString(batch)
}
