// Package layout says what the daemon and its tools put where in the bucket: it makes each kind of key and recognises it
// again, and writes and reads the documents that lie beside the files. Nobody else makes or takes apart a key, so that
// what the daemon writes the tools can name.
//
//	data and error files    File, ParseFile
//	manifests of batches    Manifest, EncodeManifest, DecodeManifest, ManifestPlace, ParseManifestKey
//	lists of files          OutboxKey, ParseOutboxKey; their text is checkpoint.EncodeFiles
//	notes of moves          Move, DecodeMove
//	markers of redrives     Marker
//
// What a function here makes, its counterpart parses, and a key that is parsed is made again byte for byte. Whatever
// does not have the form is not the pipeline's.
package layout

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// File is the key of a data or error file. It has the form of Firehose's keys (Amazon Data Firehose, "Amazon S3 object
// name format"): prefix, stream, configuration version, time, id. The version is always 1, since settings have no
// history here; the id is the batch's with the number of the file in it, so a key is never used twice.
type File struct {
	// Name is the evaluated prefix followed by the stream's name. Either may hold anything, keys of files included, so a
	// key does not say where the one ends and the other begins.
	Name string
	// Clock is when the batch was begun, in whole seconds, by the clock of TIME_ZONE. The key does not name the zone:
	// ParseFile gives the time in UTC. BatchTime gives the moment.
	Clock time.Time
	// Batch is the batch's id, as NewBatchID makes it.
	Batch string
	// Number is that of the file in its batch, 0 or more.
	Number int
	// Extension is empty, or what prefix.ValidateExtension and IsFileEnding let pass.
	Extension string
}

const clockForm = "2006-01-02-15-04-05"

// ending is what comes after the name. The extension has the characters of Firehose's FileExtension.
const ending = `-1-(\d{4}(?:-\d{2}){5})-(` + batchID + `)-(\d{3,})(|\.[0-9a-z!\-_.*'()]+)$`

// A prefix may come from the records and look like a key itself, an extension may not: so the last ending counts.
var fileKey = regexp.MustCompile(`(?s)^(.*)` + ending)

// Key returns the object's key.
func (f File) Key() string {
	return fmt.Sprintf("%s-1-%s-%s-%03d%s", f.Name, f.Clock.Format(clockForm), f.Batch, f.Number, f.Extension)
}

// ParseFile takes a key apart; false if it is not one that File.Key makes.
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

// IsFileEnding tells that an extension holds the end of a file's key. With such an extension nobody could tell which
// batch a file belongs to.
func IsFileEnding(extension string) bool { return fileKey.MatchString(extension) }
