package consumer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/batch"
	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/record/table"
)

const (
	// tableEvery is the time between two readings of the table's definition, tableAgain that while it is waited for.
	tableEvery = 30 * time.Second
	tableAgain = 2 * time.Second
	// tableTimeout bounds one reading.
	tableTimeout = 15 * time.Second
	// tableReminder is the time between two log lines that say that the definition is waited for.
	tableReminder = 5 * time.Minute
)

// tableWatch reads the definition of the table from the store, where the loader writes it, and keeps the last one that files
// can be written for. It never asks for the loader or the catalog.
type tableWatch struct {
	name string
	read func(context.Context, string) (checkpoint.Table, error)
	open func(*table.Definition) (*batch.Table, error)
	log  *slog.Logger

	current atomic.Pointer[batch.Table] // nil until the first one

	mu         sync.Mutex
	definition json.RawMessage // as last read, whether or not files can be written for it
	state      *TableStatus    // nil until the first one
	problem    error           // of definition; nil if there is none
	unread     error           // of the last reading
}

// TableStatus is the table that files are loaded into.
type TableStatus struct {
	Name      string    `json:"name"`
	UUID      string    `json:"uuid,omitempty"` // empty until its definition was read
	Schema    int       `json:"schema_id"`
	Spec      int       `json:"spec_id"`
	Partition []string  `json:"partition,omitempty"`
	Since     time.Time `json:"since,omitzero"` // when files began to be written for this state
}

func newTableWatch(name string, read func(context.Context, string) (checkpoint.Table, error), open func(*table.Definition) (*batch.Table, error), log *slog.Logger) *tableWatch {
	return &tableWatch{
		name: name, read: read, open: open, log: log,
		problem: fmt.Errorf("waiting for the loader to describe table %s", name),
	}
}

// await reads the definition until files can be written for it. It returns false if ctx ends first.
func (w *tableWatch) await(ctx context.Context) bool {
	for reminded := (time.Time{}); ; {
		_ = w.look(ctx) // health shows an error
		if w.current.Load() != nil {
			return true
		}
		if time.Since(reminded) >= tableReminder {
			reminded = time.Now()
			w.log.Warn("no records are read until files can be written for the table", logkey.Table, w.name, logkey.Error, w.health().Error())
		}
		if backoff.Sleep(ctx, tableAgain) != nil {
			return false
		}
	}
}

// run keeps the definition up to date until ctx ends.
func (w *tableWatch) run(ctx context.Context) {
	for backoff.Sleep(ctx, tableEvery) == nil {
		before := w.lastUnread()
		err := w.look(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil && before == nil:
			w.log.Warn("the definition of the table cannot be read, the last one stays in use", logkey.Table, w.name, logkey.Error, err.Error())
		case err == nil && before != nil:
			w.log.Info("the definition of the table can be read again", logkey.Table, w.name)
		}
	}
}

func (w *tableWatch) lastUnread() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unread
}

// look reads the definition once, and uses it if it is another one. Its error is that of the reading.
func (w *tableWatch) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tableTimeout)
	defer cancel()
	item, err := w.read(ctx, w.name)
	if errors.Is(err, checkpoint.ErrNotFound) {
		item, err = checkpoint.Table{}, nil // the loader has not got to it
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unread = err
	if err != nil || len(item.Definition) == 0 || bytes.Equal(item.Definition, w.definition) {
		return err
	}
	w.definition = item.Definition
	w.use(item.Definition)
	return nil
}

// use begins to write files for a definition; w.mu is held. If that cannot be done, the last one stays in use.
func (w *tableWatch) use(text json.RawMessage) {
	var d table.Definition
	opened, err := (*batch.Table)(nil), json.Unmarshal(text, &d)
	if err == nil {
		opened, err = w.open(&d)
	}
	if err != nil {
		w.problem = fmt.Errorf("no files can be written for schema %d of table %s: %w", d.Schema, w.name, err)
		w.log.Error("no files can be written for the table as it is now, those for its last definition go on", logkey.Table, w.name, logkey.Error, err.Error())
		return
	}
	w.problem = nil
	w.state = &TableStatus{Name: w.name, UUID: d.UUID, Schema: d.Schema, Spec: d.Spec.ID, Since: time.Now()}
	for _, f := range d.Spec.Fields {
		w.state.Partition = append(w.state.Partition, f.Name)
	}
	w.current.Store(opened)
	w.log.Info("files are written for the table", logkey.Table, w.name, logkey.Schema, d.Schema, logkey.Spec, d.Spec.ID)
}

// health says why files cannot be written for the table as it is now.
func (w *tableWatch) health() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.problem != nil && w.state == nil && w.unread != nil {
		return fmt.Errorf("%w: %w", w.problem, w.unread)
	}
	return w.problem
}

// status returns the state that files are written for.
func (w *tableWatch) status() *TableStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state == nil {
		return &TableStatus{Name: w.name}
	}
	state := *w.state
	return &state
}
