package layout

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Statement is the document that says up to which arrival time the data in the bucket is complete (checkpoint.Complete).
type Statement struct {
	Application string `json:"application"`
	Stream      string `json:"stream"`
	// CompleteUpTo is the time before which nothing more can arrive; left out if nothing is known, as after a rewind.
	CompleteUpTo time.Time `json:"complete_up_to,omitzero"`
	// At is when that was concluded, by the clock of the stream's service.
	At time.Time `json:"at,omitzero"`
	// Shards is the number of unfinished shards at that time.
	Shards int `json:"shards"`
	// Marker is the name of the markers of complete folders; empty if none were ever written. Every folder whose period began
	// at MarkersFrom or later and ended until MarkersUpTo has one.
	Marker string `json:"marker,omitempty"`
	// Start is the position at which the application began whose markers these are.
	Start       string    `json:"start,omitempty"`
	MarkersFrom time.Time `json:"markers_from,omitzero"`
	MarkersUpTo time.Time `json:"markers_up_to,omitzero"`
}

// MaxStatement is the maximum size of a statement in bytes that readers accept.
const MaxStatement = 64 << 10

const statementSuffix = ".json"

// StatementKey returns the key of an application's statement.
func StatementKey(prefix, application string) string { return prefix + application + statementSuffix }

// ParseStatementKey returns the application whose statement has the key; false if it is not the key of a statement under that
// prefix.
func ParseStatementKey(prefix, key string) (application string, ok bool) {
	name, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return "", false
	}
	application, ok = strings.CutSuffix(name, statementSuffix)
	return application, ok && application != ""
}

// Encode returns the statement as JSON.
func (s Statement) Encode() ([]byte, error) {
	body, err := json.MarshalIndent(s, "", "  ")
	return append(body, '\n'), err
}

// DecodeStatement decodes the statement of an application.
func DecodeStatement(body []byte, application string) (Statement, error) {
	var s Statement
	if err := json.Unmarshal(body, &s); err != nil {
		return Statement{}, err
	}
	if s.Application != application {
		return Statement{}, fmt.Errorf("it is of application %q: want %q", s.Application, application)
	}
	return s, nil
}

// CompleteMarker returns the key of the empty object that marks a folder as complete. The folder ends with a slash.
func CompleteMarker(folder, name string) string { return folder + name }

// IsCompleteMarker reports whether a key is that of a marker of complete folders.
func IsCompleteMarker(name, key string) bool {
	return name != "" && (key == name || strings.HasSuffix(key, "/"+name))
}
