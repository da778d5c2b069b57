package audit

import (
	"encoding/json"
	"fmt"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/writers/layout"
)

// Move is the note of an operator's deliberate change of a position. It is written before the position moves. An audit
// holds it against the chain of the shard: without a note the same jump is a Gap or an Overlap.
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

// Key is where the note lies, beside the manifests. The id keeps notes of repeated attempts apart.
func (m Move) Key(manifestPrefix, id string) string {
	return layout.MoveKey(manifestPrefix, m.At, m.Shard, m.Counter, id)
}

// Encode returns the note's body.
func (m Move) Encode() ([]byte, error) {
	body, err := json.MarshalIndent(m, "", "  ")
	return append(body, '\n'), err
}

func parseMove(body []byte) (Move, error) {
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

// effect says what the move did, where the positions tell.
func (m Move) effect() string {
	_, from := m.From.SequenceNumber()
	_, to := m.To.SequenceNumber()
	switch {
	case m.To == checkpoint.TrimHorizon, m.From == checkpoint.ShardEnd, from && to && compare(m.To, m.From) < 0:
		return ", what lies between is delivered again"
	case m.To == checkpoint.ShardEnd, from && to:
		return ", what lies between was skipped"
	}
	return ""
}
