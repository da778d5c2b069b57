package layout

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// Manifest records what a batch delivered. It is written when all files of the batch are visible. Audits read it.
type Manifest struct {
	Batch   string             `json:"batch"`
	Worker  string             `json:"worker"`
	Created time.Time          `json:"created"` // when the batch was sealed
	Ranges  []checkpoint.Range `json:"ranges"`
	// Tables are the tables that the batch is loaded into after it is published.
	Tables []string       `json:"tables,omitempty"`
	Files  []ManifestFile `json:"files"`
}

// ManifestFile is one object that a batch delivered.
type ManifestFile struct {
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	Rows      int64  `json:"rows"`
	Bytes     int64  `json:"bytes"`          // size of the object
	ETag      string `json:"etag,omitempty"` // empty if the object was moved before its ETag was seen
	Partition string `json:"partition"`
	Error     bool   `json:"error,omitempty"`  // holds error records, not data
	Backup    bool   `json:"backup,omitempty"` // holds Kinesis records as they came, which are in data and error files, too
	Reason    string `json:"reason,omitempty"` // why the file was closed: size, interval, ...
	// Table describes the file to loaders of tables (record/table.Description). With it, a file can be loaded into a table
	// again, or into another, when the batch is long forgotten.
	Table json.RawMessage `json:"table,omitempty"`
}

// MaxManifest is the maximum size of a manifest in bytes that readers accept. Most have a few kilobytes; that of one
// aggregate with 250,000 partitions (record.DefaultMaxRecords) of the longest keys has some 600 MB.
const MaxManifest = 1 << 30

// noFiles is the placeholder for the files in a manifest's JSON. No string contains it, since its quotes would be
// escaped.
var noFiles = []byte(`"files": null`)

// EncodeManifest returns the manifest of a batch as JSON. It leaves out uploads and parts, which are no longer needed. It
// encodes file by file, so that it takes the manifest's size in memory only once.
func EncodeManifest(b checkpoint.Batch) ([]byte, error) {
	frame, err := json.MarshalIndent(Manifest{Batch: b.ID, Worker: b.Worker, Created: b.Created, Ranges: b.Ranges, Tables: b.Tables}, "", "  ")
	if err != nil || len(b.Files) == 0 {
		return append(frame, '\n'), err
	}
	before, after, _ := bytes.Cut(frame, noFiles)
	body := append(make([]byte, 0, len(frame)+ManifestSize(b.Files)), before...)
	separator := `"files": [`
	for _, f := range b.Files {
		text, err := json.MarshalIndent(ManifestFile{
			Bucket: f.Bucket, Key: f.Key, Rows: f.Rows, Bytes: f.Bytes, ETag: f.ETag, Partition: f.Partition, Error: f.Error, Backup: f.Backup, Reason: f.Reason,
		}, "    ", "  ")
		if err != nil {
			return nil, err
		}
		body = append(append(body, separator+"\n    "...), withTable(text, f.Table)...)
		separator = ","
	}
	body = append(append(body, "\n  ]"...), after...)
	return append(body, '\n'), nil
}

// withTable adds the description of a file for tables to its JSON object, on one line.
func withTable(file []byte, table json.RawMessage) []byte {
	if len(table) == 0 {
		return file
	}
	file = append(file[:len(file)-len("\n    }")], ",\n      \"table\": "...)
	return append(append(file, table...), "\n    }"...)
}

// DecodeManifest decodes a manifest. Validate checks that it is plausible.
func DecodeManifest(body []byte) (Manifest, error) {
	var m Manifest
	err := json.Unmarshal(body, &m)
	return m, err
}

// Validate returns an error if no batch with that id and those ranges can have been committed.
func (m Manifest) Validate() error { return checkpoint.Batch{ID: m.Batch, Ranges: m.Ranges}.Validate() }

// Key returns the key of the manifest.
func (m Manifest) Key(prefix string) string { return manifestKey(prefix, m.Created, m.Batch) }

// ManifestSize estimates the size of a manifest in bytes. Only many escaped characters make it larger.
func ManifestSize(files []checkpoint.File) int {
	n := 64 << 10 // the ranges
	for i := range files {
		f := &files[i]
		n += 256 + len(f.Bucket) + len(f.Key) + len(f.ETag) + len(f.Partition) + len(f.Reason) + len(f.Table)
	}
	return n
}

// ManifestPlace returns the place of a batch's manifest, which was fixed when the batch was sealed. If the batch does not
// name it, it is under the given prefix, in the bucket of the batch's files, or in the given bucket if they name none.
func ManifestPlace(b checkpoint.Batch, bucket, prefix string) checkpoint.Place {
	if b.Manifest != (checkpoint.Place{}) {
		return b.Manifest
	}
	if len(b.Files) > 0 {
		bucket = cmp.Or(b.Files[0].Bucket, bucket)
	}
	return checkpoint.Place{Bucket: bucket, Key: manifestKey(prefix, b.Created, b.ID)}
}

// hourFolder is a part of a manifest's key. Keys sort by hour.
const hourFolder = "2006/01/02/15/"

const manifestSuffix = ".json"

// manifestKey returns the key of a batch's manifest, in the folder of the UTC hour in which the batch was sealed.
func manifestKey(prefix string, sealed time.Time, batch string) string {
	return ManifestFolder(prefix, sealed) + batch + manifestSuffix
}

// ManifestFolder returns the folder of the manifests of batches that were sealed in the hour of t.
func ManifestFolder(prefix string, t time.Time) string { return prefix + t.UTC().Format(hourFolder) }

// ParseManifestKey returns the hour and the name from a manifest's key; false if the key is not one under that prefix.
// The name is the batch's id, unless the manifest was copied to another key. A data file may be in the same folder and
// have the same ending: it is not a manifest.
func ParseManifestKey(prefix, key string) (hour time.Time, batch string, ok bool) {
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

// IsBookkeeping reports whether a key is that of a manifest, a note of a move or a skip, or a file list. The prefix alone does not
// show it, since data may be stored under the prefix of manifests.
func IsBookkeeping(manifestPrefix, key string) bool {
	_, _, manifest := ParseManifestKey(manifestPrefix, key)
	return manifest || strings.HasPrefix(key, MovesFolder(manifestPrefix)) || strings.HasPrefix(key, SkipsFolder(manifestPrefix)) ||
		strings.HasPrefix(key, OutboxFolder(manifestPrefix))
}
