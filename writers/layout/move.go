package layout

import (
	"encoding/json"
	"fmt"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// Move is the note of an operator's deliberate change of a position. It is written before the position moves. An audit
// compares it with the chain of the shard: without a note, the same jump is a gap or an overlap.
type Move struct {
	Shard string              `json:"shard"`
	From  checkpoint.Position `json:"from"`
	To    checkpoint.Position `json:"to"`
	// Counter is the lease's counter after the move. No commit carries it: the move clears the owner, and the next
	// acquisition increments it again. So it separates the ranges before the move from those after it, whatever their
	// positions.
	Counter int64     `json:"lease_counter"`
	At      time.Time `json:"at"`
	By      string    `json:"by"`
	Reason  string    `json:"reason,omitempty"`
}

const (
	moves     = "moves/"
	dayFolder = "2006/01/02/"
)

// MovesFolder returns the folder of the notes of moves, next to the manifests.
func MovesFolder(manifestPrefix string) string { return manifestPrefix + moves }

// Key returns the key of the note. The id keeps notes of repeated attempts apart.
func (m Move) Key(manifestPrefix, id string) string {
	return fmt.Sprintf("%s%s%s-%d-%s.json", MovesFolder(manifestPrefix), m.At.UTC().Format(dayFolder), m.Shard, m.Counter, id)
}

// Encode returns the note as JSON.
func (m Move) Encode() ([]byte, error) {
	body, err := json.MarshalIndent(m, "", "  ")
	return append(body, '\n'), err
}

// DecodeMove decodes a note, and checks that it is valid.
func DecodeMove(body []byte) (Move, error) {
	var m Move
	if err := json.Unmarshal(body, &m); err != nil {
		return Move{}, err
	}
	if m.Shard == "" || m.Counter <= 0 {
		return Move{}, fmt.Errorf("it names shard %q and lease counter %d", m.Shard, m.Counter)
	}
	if err := m.From.Validate(); err != nil {
		return Move{}, fmt.Errorf("from: %w", err)
	}
	if err := m.To.Validate(); err != nil {
		return Move{}, fmt.Errorf("to: %w", err)
	}
	return m, nil
}
