// Package layout defines the keys in the bucket, and the documents stored next to the files. It makes and parses every
// kind of key, and encodes and decodes the documents. No other package makes or parses keys, so the tools can name
// whatever the daemon writes.
//
//	data and error files    File, ParseFile
//	rows refused later      RefusedFile, File.IsRefused
//	manifests of batches    Manifest, EncodeManifest, DecodeManifest, ManifestPlace, ParseManifestKey
//	lists of files          OutboxKey, ParseOutboxKey; their text is checkpoint.EncodeFiles
//	notes of moves          Move, DecodeMove
//	notes of skips          Skip, DecodeSkip
//	markers of redrives     Marker
//
// Each function that makes a key has a counterpart that parses it, and making the parsed key again gives the same bytes.
// A key of any other form does not belong to the pipeline.
package layout

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// File is the key of a data or error file. It has the form of Firehose's keys (Amazon Data Firehose, "Amazon S3 object
// name format"): prefix, stream, configuration version, time, id. The version is always 1, because settings are not
// versioned here. The id is the batch's id and the number of the file in the batch, so a key is never used twice.
type File struct {
	// Name is the evaluated prefix followed by the stream's name. Either may hold anything, including the key of a file,
	// so a key does not show where one ends and the other begins.
	Name string
	// Clock is the time when the batch was begun, in whole seconds, in TIME_ZONE. The key does not name the zone:
	// ParseFile returns the time in UTC. BatchTime returns the exact time.
	Clock time.Time
	// Batch is the batch's id, from NewBatchID.
	Batch string
	// Number is the number of the file in its batch, from 0.
	Number int
	// Extension is empty, or valid by prefix.ValidateExtension and IsFileEnding.
	Extension string
}

const clockForm = "2006-01-02-15-04-05"

// ending follows the name. The extension has the characters of Firehose's FileExtension.
const ending = `-1-(\d{4}(?:-\d{2}){5})-(` + batchID + `)-(\d{3,})(|\.[0-9a-z!\-_.*'()]+)$`

// A prefix may come from the records and look like a key itself, an extension may not: so the last match counts.
var fileKey = regexp.MustCompile(`(?s)^(.*)` + ending)

// Key returns the object's key.
func (f File) Key() string {
	return joinKey(f.Name, f.Clock.Format(clockForm), f.Batch, fmt.Sprintf("%03d", f.Number), f.Extension)
}

// KeyForm shows people how the keys of files with this name and extension look. What a file gets when it is begun is in braces: the
// time, the batch's id and the number.
func KeyForm(name, extension string) string {
	return joinKey(name, "{time}", "{batch}", "{number}", extension)
}

func joinKey(name, clock, batch, number, extension string) string {
	return name + "-1-" + clock + "-" + batch + "-" + number + extension
}

// ParseFile parses a key; false if it is not one that File.Key makes.
func ParseFile(key string) (File, bool) {
	m := fileKey.FindStringSubmatch(key)
	if m == nil {
		return File{}, false
	}
	clock, err := time.Parse(clockForm, m[2])
	if err != nil {
		return File{}, false
	}
	n, err := strconv.Atoi(m[4])
	if err != nil {
		return File{}, false
	}
	f := File{Name: m[1], Clock: clock, Batch: m[3], Number: n, Extension: m[5]}
	return f, f.Key() == key
}

// IsFileEnding reports whether an extension contains the end of a file's key. With such an extension, the batch of a file
// would be ambiguous.
func IsFileEnding(extension string) bool { return fileKey.MatchString(extension) }
