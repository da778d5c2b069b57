package local

import (
	"testing"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/checkpointtest"
)

func TestStore_LeavesUnknownKindsAlone(t *testing.T) {
	checkpointtest.RunKinds(t, func(t *testing.T) (checkpoint.Store, checkpointtest.Rows) {
		s := OpenMemory()
		remove := func(c *change, id string) {
			for _, table := range []*table[outboxRow]{&s.tables.outbox, &s.tables.listed, &s.tables.further} {
				table.remove(c, id)
			}
		}
		return s, checkpointtest.Rows{
			Put: func(t *testing.T, b checkpoint.UnknownBatch) {
				err := s.change(t.Context(), "put", func(c *change) error {
					remove(c, b.ID)
					return s.tables.further.put(c, b.ID, outboxRow{Kind: b.Kind, Worker: b.Worker, Created: b.Created})
				})
				if err != nil {
					t.Fatal(err)
				}
			},
			Remove: func(t *testing.T, id string) {
				if err := s.change(t.Context(), "remove", func(c *change) error { remove(c, id); return nil }); err != nil {
					t.Fatal(err)
				}
			},
		}
	}, 300)
}
