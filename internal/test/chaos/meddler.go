package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"aws-streaming-pipeline/internal/test/lake"
)

// meddler is another owner of the table that loaders load: it appends rows of its own, compacts all files and expires snapshots.
type meddler struct {
	table lake.Table
	dice  *dice
	// pace is the mean time between two acts.
	pace time.Duration
	acts tally // by what came of them

	mu  sync.Mutex
	own []string // ids of its rows
}

// until meddles until ctx ends.
func (m *meddler) until(ctx context.Context) error {
	for number := 0; sleep(ctx, m.dice.between(m.pace/2, m.pace*3/2)); number++ {
		var err error
		act := []string{"append", "compaction", "expiry"}[number%3]
		switch act {
		case "append":
			err = m.append(number)
		case "compaction":
			_, err = m.table.Compact()
		case "expiry":
			_, err = m.table.Expire()
		}
		switch {
		case errors.Is(err, lake.ErrConflict):
			act += ", refused" // a loader was faster
		case err != nil:
			return err
		}
		m.acts.add(act)
	}
	return nil
}

func (m *meddler) append(number int) error {
	var rows []lake.Row
	for i := range 3 {
		rows = append(rows, lake.Row{"id": fmt.Sprintf("own-%d-%d", number, i)})
	}
	if err := m.table.Append(rows...); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, row := range rows {
		m.own = append(m.own, row["id"].(string))
	}
	return nil
}

// rows returns the ids of the rows that it has appended.
func (m *meddler) rows() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.own)
}
