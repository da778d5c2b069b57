package layout

import (
	"encoding/json"
	"fmt"
	"time"
)

// Skip is the note of an operator's decision that a table goes without a batch. It is written before the batch is taken
// from the table's loaders.
type Skip struct {
	Batch  string    `json:"batch"`
	Table  string    `json:"table"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

const skips = "skips/"

// SkipsFolder returns the folder of the notes of skipped batches, next to the manifests.
func SkipsFolder(manifestPrefix string) string { return manifestPrefix + skips }

// Key returns the key of the note. The id keeps notes of repeated attempts apart.
func (s Skip) Key(manifestPrefix, id string) string {
	return fmt.Sprintf("%s%s%s-%s.json", SkipsFolder(manifestPrefix), s.At.UTC().Format(dayFolder), s.Batch, id)
}

// Encode returns the note as JSON.
func (s Skip) Encode() ([]byte, error) {
	body, err := json.MarshalIndent(s, "", "  ")
	return append(body, '\n'), err
}

// DecodeSkip decodes a note, and checks that it is valid.
func DecodeSkip(body []byte) (Skip, error) {
	var s Skip
	if err := json.Unmarshal(body, &s); err != nil {
		return Skip{}, err
	}
	if s.Batch == "" || s.Table == "" {
		return Skip{}, fmt.Errorf("it names batch %q and table %q: want a name for both", s.Batch, s.Table)
	}
	return s, nil
}
