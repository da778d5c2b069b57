package ddl

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/writers"
)

// check finds what Athena cannot read at the folders of the table. Name are the pieces after the last slash of PREFIX.
func (b *builder) check(name []prefix.Piece) {
	path := b.layout.Location
	for _, p := range b.template {
		path += p.text
		if p.column != "" {
			path += "x"
		}
	}
	if _, key, _ := strings.Cut(path, "://"); strings.Contains(key, "//") {
		b.fault("want no empty folder (//): Athena reads it as a single slash (Athena User Guide, \"Specify a table location in Amazon S3\")")
	}
	first := b.layout.Stream
	if len(name) > 0 {
		first = name[0].Text // empty for an expression
	}
	if strings.HasPrefix(first, "_") || strings.HasPrefix(first, ".") {
		b.fault("want names of files that do not begin with %q: Athena does not read them", first[:1])
	}
	if len(b.layout.Others) > 0 {
		b.checkOthers()
	}
}

// checkOthers looks for files that are not data in the folders of the table.
func (b *builder) checkOthers() {
	folders := b.folders(b.layout.At.In(b.layout.Zone))
	var settings []string
	for setting, keys := range b.layout.Others {
		if slices.ContainsFunc(keys, folders.MatchString) {
			settings = append(settings, setting)
		}
	}
	slices.Sort(settings)
	for _, setting := range settings {
		b.fault("%s: its files are in folders of the table, and Athena reads all files there: want another %[1]s, or a folder of its own for data", setting)
	}
}

// folders matches the keys in the folders of the table, for records that arrive at a time.
func (b *builder) folders(at time.Time) *regexp.Regexp {
	pattern := "^"
	for _, part := range b.template {
		pattern += regexp.QuoteMeta(part.text)
		for _, p := range part.pieces {
			switch {
			case p.Letter != 0:
				pattern += regexp.QuoteMeta(p.Time(at))
			case p.Text != "":
				pattern += regexp.QuoteMeta(p.Text)
			default:
				pattern += "[^/]*"
			}
		}
	}
	return regexp.MustCompile(pattern)
}

// Files are how the data files are written.
type Files struct {
	Kind        writers.Kind
	Compression string
	// Extension is FILE_EXTENSION; empty for that of the format.
	Extension string
}

// endings are the extensions by which Athena, like Hive, knows how lines are compressed (Hadoop, CompressionCodecFactory).
var endings = map[string]string{"gzip": ".gz", "zstd": ".zst", "hadoop-snappy": ".snappy"}

// Check returns settings that Athena cannot read files of, each with what to set instead.
func (f Files) Check() (faults []string) {
	if f.Kind.Storage == "" {
		return []string{"FORMAT=" + f.Kind.Name + ": want jsonl or parquet: its files have payloads one after the other, which need not be lines of JSON"}
	}
	if f.Kind.Storage != schema.JSONLines || f.Compression == "none" {
		return nil // a Parquet file says how it is compressed
	}
	ending, ok := endings[f.Compression]
	switch {
	case !ok:
		faults = append(faults, "COMPRESSION="+f.Compression+": want none, gzip, zstd or hadoop-snappy, which Athena reads (docs/files.md)")
	case f.Extension != "" && !strings.HasSuffix(f.Extension, ending):
		faults = append(faults, "FILE_EXTENSION="+f.Extension+": want one that ends with "+ending+", by which Athena knows that files are compressed")
	}
	return faults
}
