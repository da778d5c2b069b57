package care

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/iceberg-go/table"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/manifests"
)

// State is a state of an Iceberg table that files can be added to.
type State interface {
	loader.State
	// Table returns the table in that state.
	Table() *table.Table
}

// ReloadReport says what a reload has added.
type ReloadReport struct {
	Batches int64 `json:"batches"`
	Files   int64 `json:"files"`
	Rows    int64 `json:"rows"`
	// Unknown is the number of files that are not in the table and may have been compacted: the snapshots that would tell
	// have expired. They are left alone.
	Unknown int64 `json:"unknown"`
	// Unfit is the number of files that the table cannot take, such as those of another table of the same name, and Reason
	// why the first cannot. They are left alone.
	Unfit  int64  `json:"unfit"`
	Reason string `json:"reason,omitempty"`
}

// reloadBatches is how many batches a commit of a reload adds at most.
const reloadBatches = 100

// Reload adds files of the window again that no snapshot in the history of the table's main branch has, and whose batches
// are forgotten: those that a rollback took out. The ledger is a property of the table, which a rollback does not roll
// back, so the loader does not add them by itself.
//
// Each commit is conditional on the state that was examined, so a reload that runs twice, or beside a loader, adds
// nothing twice. If apply is false it only reports what it would add.
func Reload(ctx context.Context, w manifests.Window, outbox checkpoint.Tables, load func(context.Context) (State, error), apply bool) (ReloadReport, error) {
	var done ReloadReport
	for {
		state, err := load(ctx)
		if err != nil {
			return done, fmt.Errorf("read the table: %w", err)
		}
		a, err := audit(ctx, w, outbox, func(context.Context) (*table.Table, error) { return state.Table(), nil })
		if err != nil {
			return done, err
		}
		done.Unknown = a.report.Counts[Expired]
		done.Unfit, done.Reason = a.leaveUnfit(state)
		batches := a.missing()
		if len(batches) == 0 {
			return done, nil
		}
		if apply {
			batches = batches[:min(len(batches), reloadBatches)]
			if err := state.Append(ctx, loader.Addition{Batches: batches, Keep: without(state.Ledger(), batches)}); err != nil {
				return done, fmt.Errorf("add batches to the table: %w; what was added before stays, and a reload goes on from there", err)
			}
		}
		for _, b := range batches {
			done.Batches++
			done.Files += int64(len(b.Files))
			for _, f := range b.Files {
				done.Rows += f.Rows
			}
		}
		if !apply {
			return done, nil
		}
	}
}

// without returns a ledger without the ids of batches. It may still name those of the last commit before the rollback.
func without(ledger []string, batches []checkpoint.Batch) []string {
	return slices.DeleteFunc(slices.Clone(ledger), func(id string) bool {
		return slices.ContainsFunc(batches, func(b checkpoint.Batch) bool { return b.ID == id })
	})
}

// leaveUnfit takes files out of those that are missing that the table cannot take.
func (a *auditor) leaveUnfit(state State) (unfit int64, reason string) {
	for _, path := range slices.Sorted(maps.Keys(a.files)) {
		f := a.files[path]
		if !f.missing {
			continue
		}
		if _, err := state.Check(&f.described); err != nil {
			f.missing = false
			if unfit++; unfit == 1 {
				reason = fmt.Sprintf("%s: %v", path, err)
			}
		}
	}
	return unfit, reason
}

// missing returns the batches with files that are missing, the oldest first, with those files.
func (a *auditor) missing() []checkpoint.Batch {
	found := map[string]*checkpoint.Batch{}
	for _, f := range a.files {
		if !f.missing {
			continue
		}
		b := found[f.batch]
		if b == nil {
			b = &checkpoint.Batch{ID: f.batch, Created: f.sealed, Tables: []string{a.window.Table}}
			found[f.batch] = b
		}
		b.Files = append(b.Files, f.described)
	}
	var batches []checkpoint.Batch
	for _, id := range slices.Sorted(maps.Keys(found)) { // ids sort by the time at which batches were begun
		b := found[id]
		slices.SortFunc(b.Files, func(x, y checkpoint.File) int { return strings.Compare(x.Key, y.Key) })
		batches = append(batches, *b)
	}
	return batches
}
