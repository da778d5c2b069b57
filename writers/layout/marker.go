package layout

import (
	"fmt"
	"strconv"
	"strings"
)

// RedriveFolder is the default folder of markers of lines that were sent back to a stream.
const RedriveFolder = "redriven/"

// Marker is the key of a marker, which records the lines of an error object that were sent back to a stream.
type Marker struct {
	Folder string // of all markers
	Stream string // name of the stream
	Object string // key of the error object
	Line   int    // first line that the marker covers, from 0
}

const markerSuffix = ".json"

// Key returns the object's key.
func (m Marker) Key() string { return fmt.Sprintf("%s%09d%s", m.Siblings(), m.Line, markerSuffix) }

// Siblings returns the folder of all markers for the same object and stream.
func (m Marker) Siblings() string { return m.Folder + m.Stream + "/" + m.Object + "/" }

// Sibling parses the key of a marker for the same object and stream; false if it is not one that Key makes.
func (m Marker) Sibling(key string) (Marker, bool) {
	name, ok := strings.CutPrefix(key, m.Siblings())
	if !ok {
		return Marker{}, false
	}
	line, err := strconv.Atoi(strings.TrimSuffix(name, markerSuffix))
	m.Line = line
	return m, err == nil && line >= 0 && m.Key() == key
}
