package writers

import (
	"fmt"
	"slices"
	"strings"

	"aws-streaming-pipeline/record/schema"
)

// Kind describes a file format: everything that the rest of the program needs to know about it. The package of a format
// exports its kind, and package formats lists them.
type Kind struct {
	// Name is the value of FORMAT.
	Name string
	// Meaning explains the name in help texts; it may be empty.
	Meaning string
	// Compressions are the values of COMPRESSION that the format supports, its default first.
	Compressions []string
	// Storage describes how Athena reads the files; empty if it does not.
	Storage schema.Storage

	// Schema reports whether the format reads payloads and uses Options.Schema. Other formats do not look at payloads.
	Schema bool
	// Columns reports whether files have columns, and so whether RowGroupBytes, PlainIntegers, Bloom and Rounded apply.
	Columns bool
	// Labels reports whether files can be labelled with a Content-Encoding, and so whether ContentEncoding applies.
	Labels bool
	// Tables reports whether files can be loaded into tables: the format is a TableFormat.
	Tables bool
	// Rows reports whether files hold records with their event_id, row by row, so that package loader/rows reads them.
	Rows bool
	// Delimiter reports whether AppendDelimiter applies.
	Delimiter bool

	// Open returns the format. The options have been checked against the fields above.
	Open func(Options) (Format, error)
}

// Options are the settings for the format of files. A format ignores those that do not apply to it.
type Options struct {
	Schema      *schema.Schema // nil for none
	Compression string         // empty for the default of the kind

	ContentEncoding bool // label compressed files with a Content-Encoding
	AppendDelimiter bool // put a line feed after each payload

	RowGroupBytes int
	PlainIntegers bool              // write integers in the plain encoding
	Bloom         []string          // columns that get a Bloom filter
	Rounded       func(numbers int) // called with the count of rounded numbers; may be nil
	Misfits       func(values int)  // called with the count of values that a table's columns cannot hold; may be nil
	CreatedBy     string            // the program, for the metadata of files
	// ArrivedAt adds the time of the arrival to each row, as the member or column _arrived_at. Only for a Kind with Rows; files
	// for an Iceberg table have it anyway.
	ArrivedAt bool
}

// Kinds is a list of formats.
type Kinds []Kind

// Find returns the kind with that name.
func (k Kinds) Find(name string) (Kind, bool) {
	i := slices.IndexFunc(k, func(kind Kind) bool { return kind.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return k[i], true
}

// Names returns the names of the kinds for which is returns true, or all names if is is nil.
func (k Kinds) Names(is func(Kind) bool) (names []string) {
	for _, kind := range k {
		if is == nil || is(kind) {
			names = append(names, kind.Name)
		}
	}
	return names
}

// Help lists the names with their meanings, as part of a sentence.
func (k Kinds) Help() string {
	texts := make([]string, len(k))
	for i, kind := range k {
		texts[i] = kind.Name
		if kind.Meaning != "" {
			texts[i] += fmt.Sprintf(" (%s)", kind.Meaning)
		}
	}
	if last := len(texts) - 1; last > 0 {
		texts[last] = "or " + texts[last]
	}
	return strings.Join(texts, ", ")
}
