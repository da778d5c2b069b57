package writers

import (
	"fmt"
	"slices"
	"strings"

	"aws-streaming-pipeline/record/schema"
)

// Kind is a file format as settings choose it: all that the rest of the program has to know of one. A package of a format
// exports its kind, and package formats lists them.
type Kind struct {
	// Name is the value of FORMAT.
	Name string
	// Meaning explains the name in help texts; empty if there is nothing to explain.
	Meaning string
	// Compressions are the values of COMPRESSION that the format takes, its default first.
	Compressions []string
	// Storage is how Athena reads the files; empty if no table is made for them.
	Storage schema.Storage

	// Schema tells that the format reads payloads and takes Options.Schema; others look at no payload.
	Schema bool
	// Columns tells that files hold columns: RowGroupBytes, PlainIntegers, Bloom and Rounded are for those.
	Columns bool
	// Labels tells that a file can be labelled with a Content-Encoding, as ContentEncoding asks for.
	Labels bool
	// Delimiter tells that AppendDelimiter may be asked for.
	Delimiter bool

	// Open makes the format. The options have passed the checks that the fields above stand for.
	Open func(Options) (Format, error)
}

// Options are what settings say of the format of files. A format ignores what it has no use for.
type Options struct {
	Schema      *schema.Schema // nil for none
	Compression string         // empty for the default of the kind

	ContentEncoding bool // label compressed files with a Content-Encoding
	AppendDelimiter bool // put a line feed after each payload

	RowGroupBytes int
	PlainIntegers bool              // write integers in the plain encoding
	Bloom         []string          // columns that get a Bloom filter
	Rounded       func(numbers int) // told of numbers that columns hold rounded; nil for nobody
	CreatedBy     string            // the program, for the metadata of files
}

// Kinds are formats by their names.
type Kinds []Kind

// Find returns the kind of that name.
func (k Kinds) Find(name string) (Kind, bool) {
	i := slices.IndexFunc(k, func(kind Kind) bool { return kind.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return k[i], true
}

// Names are those of all kinds for which is holds; nil holds for all.
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
