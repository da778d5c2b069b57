package firehose

import (
	"fmt"
	"strconv"

	"aws-streaming-pipeline/record/catalog"
)

// Settings are what the description of a Firehose stream becomes.
type Settings struct {
	// Name is the name of the Firehose stream.
	Name string
	// Region is that of the source stream. It is empty if the description does not say.
	Region string
	// Lines are the settings, each with its origin.
	Lines []Line
	// Notes are differences that no setting can take away.
	Notes []Remark
	// Left is what has no equal.
	Left []Remark
	// Glue is the table with the schema of a stream that converts records; nil if it converts none.
	Glue *catalog.Source
}

// Line is a setting.
type Line struct {
	Name, Value string // of the environment variable
	From        string // the place in the description, or the default of Firehose that applies
	Note        string // what differs, if anything
}

// Remark says something of a place in the description.
type Remark struct{ At, Text string }

// Value returns the value of a setting, or an empty text.
func (s *Settings) Value(name string) string {
	for _, l := range s.Lines {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// InvalidError says that a value of the description is not what Firehose's API accepts.
type InvalidError struct{ At, Value, Want string }

func (e *InvalidError) Error() string { return fmt.Sprintf("%s=%q: want %s", e.At, e.Value, e.Want) }

// DestinationError says that the Firehose stream has another destination than S3.
type DestinationError struct{ At, What string }

func (e *DestinationError) Error() string {
	return fmt.Sprintf("%s: the destination is %s, and the daemon delivers to S3", e.At, e.What)
}

// importer makes the settings.
type importer struct {
	Settings
	query   *node // the jq program for partition keys
	invalid []error
}

func (m *importer) set(name, value, from, note string) {
	m.Lines = append(m.Lines, Line{Name: name, Value: value, From: from, Note: note})
}

func (m *importer) leave(n *node, text string) {
	n.skip()
	m.Left = append(m.Left, Remark{n.at, text})
}

func (m *importer) note(n *node, text string) {
	m.Notes = append(m.Notes, Remark{n.at, text})
}

func (m *importer) wrong(n *node, want string) {
	n.skip()
	m.invalid = append(m.invalid, &InvalidError{n.at, n.value, want})
}

// number returns a whole number within bounds, or the default if it is not set.
func (m *importer) number(n *node, low, high, otherwise int) int {
	text := n.text()
	if text == "" {
		return otherwise
	}
	number, err := strconv.Atoi(text)
	if err != nil || number < low || number > high {
		m.wrong(n, fmt.Sprintf("a number from %d to %d", low, high))
		return otherwise
	}
	return number
}

// from names the origin of a value, or of the default that applies in its place.
func from(n *node, parent *node, name, otherwise string) string {
	if n != nil {
		return n.at
	}
	return parent.place(name) + " is not set: " + otherwise
}

// off reports whether a part of the configuration is turned off. All below it counts as read.
func off(n *node) bool {
	if !n.get("Enabled").is("false") {
		return false
	}
	n.skip()
	return true
}
