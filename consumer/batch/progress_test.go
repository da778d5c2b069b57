package batch

import (
	"testing"

	"aws-streaming-pipeline/checkpoint"
)

// askedHold calls a function when it learns of a commit.
type askedHold struct{ committed func() }

func (askedHold) Lease() checkpoint.Lease { return checkpoint.Lease{Shard: "a", Checkpoint: "1"} }

func (h askedHold) Committed(checkpoint.Range) { h.committed() }

func (askedHold) Restart(string) {}

// Whoever waits until everything is committed asks the hold for its checkpoint next: what it notes of a position, such as
// a stop, must be of the new one.
func TestProgress_TellsTheHoldBeforeThoseWhoWait(t *testing.T) {
	var told bool
	var moved <-chan struct{}
	p := newProgress(askedHold{func() {
		told = true
		select {
		case <-moved:
			t.Error("those who wait were told before")
		default:
		}
	}})
	_, _, moved = p.look()
	p.commit(checkpoint.Range{Shard: "a", Start: "1", End: "2"})
	<-moved
	if committed, _, _ := p.look(); committed != "2" || !told {
		t.Errorf("committed up to %s, told %v", committed, told)
	}
}
