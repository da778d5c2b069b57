package layout

import (
	"encoding/json"
	"fmt"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// Move is the note of an operator's deliberate change of a position. It is written before the position moves. An audit
// holds it against the chain of the shard: without a note the same jump is a gap or an overlap.
type Move struct {
	Shard string              `json:"shard"`
	From  checkpoint.Position `json:"from"`
	To    checkpoint.Position `json:"to"`
	// Counter is that of the lease after the move. No commit carries it: it clears the owner, and the next acquisition
	// raises it again. So it parts the ranges before the move from those behind it, whatever their positions are.
	Counter int64     `json:"lease_counter"`
	At      time.Time `json:"at"`
	By      string    `json:"by"`
	Reason  string    `json:"reason,omitempty"`
}

const (
	moves     = "moves/"
	dayFolder = "2006/01/02/"
)

// MovesFolder is where the notes of deliberate changes of positions lie, beside the manifests.
func MovesFolder(manifestPrefix string) string { return manifestPrefix + moves }

// Key is where the note lies. The id keeps notes of repeated attempts apart.
func (m Move) Key(manifestPrefix, id string) string {
	return fmt.Sprintf("%s%s%s-%d-%s.json", MovesFolder(manifestPrefix), m.At.UTC().Format(dayFolder), m.Shard, m.Counter, id)
}

// Encode returns the note's text.
func (m Move) Encode() ([]byte, error) {
	body, err := json.MarshalIndent(m, "", "  ")
	return append(body, '\n'), err
}

// DecodeMove reads the text of a note, and checks that it can be that of a move.
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
