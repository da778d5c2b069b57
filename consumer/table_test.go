package consumer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/batch"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/formats"
	"aws-streaming-pipeline/writers/jsonl"
)

// described is a store's item of a table that a test changes.
type described struct {
	mu    sync.Mutex
	text  string // of the definition
	err   error
	reads int
}

func (d *described) set(text string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.text, d.err = text, err
}

func (d *described) read(context.Context, string) (checkpoint.Table, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads++
	return checkpoint.Table{Version: int64(d.reads), Definition: json.RawMessage(d.text)}, d.err
}

// opens is what a tableWatch opens: one Table for each definition, whose Columns are the id of its schema.
func opens(d *table.Definition) (*batch.Table, error) {
	if d.Schema < 0 {
		return nil, errors.New("planted")
	}
	return &batch.Table{Columns: d.Schema}, nil
}

func definition(schema int) string {
	return fmt.Sprintf(`{"uuid":"u","schema_id":%d,"columns":[],"spec":{"id":7,"fields":[{"id":1000,"name":"day","source":1,"transform":"day"}]}}`, schema)
}

func TestTableWatch_WaitsForADefinitionThatFilesCanBeWrittenFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := &described{err: checkpoint.ErrNotFound}
		w := newTableWatch("glue://lake/trips", d.read, opens, slog.New(slog.NewTextHandler(&log, nil)))
		waited := make(chan bool, 1)
		go func() { waited <- w.await(t.Context()) }()
		expect := func(health string) {
			t.Helper()
			time.Sleep(59 * time.Minute)
			synctest.Wait()
			if len(waited) > 0 {
				t.Fatalf("the wait is over: %v", <-waited)
			}
			if got := w.health(); got == nil || !strings.Contains(got.Error(), health) {
				t.Errorf("health is %v, want %q", got, health)
			}
		}
		expect("waiting for the loader to describe table glue://lake/trips")
		if n := strings.Count(log.String(), "no records are read"); n != 12 {
			t.Errorf("the wait was logged %d times in an hour:\n%s", n, log.String())
		}
		d.set("", errors.New("no answer"))
		expect("waiting for the loader to describe table glue://lake/trips: no answer")
		d.set("", nil) // the loader has taken its seat, and not read the table
		expect("waiting for the loader")
		d.set(`{"schema_id":"x"}`, nil)
		expect("no files can be written for schema 0")
		d.set(definition(-1), nil)
		expect("no files can be written for schema -1 of table glue://lake/trips: planted")
		if w.current.Load() != nil || w.status().UUID != "" || w.status().Name != "glue://lake/trips" {
			t.Errorf("a table is in use: %+v", w.status())
		}
		d.set(definition(3), nil)
		if !<-waited || w.current.Load().Columns != 3 || w.health() != nil {
			t.Errorf("got %v, %v", w.current.Load(), w.health())
		}
		if s := w.status(); s.UUID != "u" || s.Schema != 3 || s.Spec != 7 || len(s.Partition) != 1 || s.Since.IsZero() {
			t.Errorf("status %+v", s)
		}
	})
}

func TestTableWatch_EndsItsWaitWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		w := newTableWatch("t", (&described{err: checkpoint.ErrNotFound}).read, opens, slog.New(slog.DiscardHandler))
		if w.await(ctx) {
			t.Error("there is no definition, and it was found")
		}
		stuck := newTableWatch("t", func(ctx context.Context, _ string) (checkpoint.Table, error) {
			<-ctx.Done()
			return checkpoint.Table{}, context.Cause(ctx)
		}, opens, slog.New(slog.DiscardHandler))
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if stuck.await(ctx) {
			t.Error("nobody answers, and a definition was found")
		}
	})
}

func TestTableWatch_FollowsTheDefinitionAndKeepsTheLastGoodOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := &described{text: definition(1)}
		w := newTableWatch("t", d.read, opens, slog.New(slog.NewTextHandler(&log, nil)))
		if !w.await(t.Context()) {
			t.Fatal("there is no definition")
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.run(ctx) })
		first := w.current.Load()
		after := func(change func()) *batch.Table {
			change()
			time.Sleep(tableEvery + time.Second)
			synctest.Wait()
			return w.current.Load()
		}
		if after(func() {}) != first {
			t.Error("the same definition has given another table") // so its files would be cut short
		}
		second := after(func() { d.set(definition(2), nil) })
		if second.Columns != 2 || w.status().Schema != 2 {
			t.Errorf("another definition gives %+v, %+v", second, w.status())
		}
		if after(func() { d.set(definition(-2), nil) }) != second || w.health() == nil || w.status().Schema != 2 {
			t.Errorf("a definition that cannot be used: %v", w.health())
		}
		if third := after(func() { d.set(definition(3), nil) }); third.Columns != 3 || w.health() != nil {
			t.Errorf("got %+v, %v", third, w.health())
		}
		third := w.current.Load()
		for range 5 {
			if after(func() { d.set(definition(4), errors.New("away")) }) != third || w.health() != nil {
				t.Errorf("a store that does not answer: %v", w.health())
			}
		}
		if fourth := after(func() { d.set(definition(4), nil) }); fourth.Columns != 4 {
			t.Errorf("got %+v", fourth)
		}
		if after(func() { d.set("", checkpoint.ErrNotFound) }).Columns != 4 {
			t.Error("an item that is gone takes the table with it")
		}
		if n := strings.Count(log.String(), "cannot be read"); n != 1 || strings.Count(log.String(), "can be read again") != 1 {
			t.Errorf("log:\n%s", log.String())
		}
		stop()
		running.Wait()
	})
}

// tableLines is FORMAT=jsonl with files for tables.
var tableLines = writers.Kind{
	Name: "tablelines", Compressions: jsonl.Kind.Compressions, Tables: true,
	Open: func(o writers.Options) (writers.Format, error) {
		f, err := jsonl.Kind.Open(o)
		return linesFor{f, nil}, err
	},
}

// useTableLines adds tableLines to the formats until the test ends.
func useTableLines(t *testing.T) {
	before := formats.All
	formats.All = append(slices.Clone(before), tableLines)
	t.Cleanup(func() { formats.All = before })
}

type linesFor struct {
	writers.Format
	view *table.View
}

func (f linesFor) For(v *table.View) (writers.Format, error) { return linesFor{f.Format, v}, nil }

func (f linesFor) NewLayout() writers.Layout { return describedLines{f.Format.NewLayout(), f.view} }

type describedLines struct {
	writers.Layout
	view *table.View
}

func (l describedLines) Describe() table.Description {
	return table.Description{UUID: l.view.UUID, Schema: l.view.Definition.Schema, Spec: l.view.Spec.ID}
}

// someDefinition is that of a table with a column for the member n, partitioned by it and the time of arrival.
var someDefinition = json.RawMessage(`{"uuid":"u","schema_id":0,"columns":[{"id":1,"name":"n","member":"n","type":"long"},
	{"id":2,"name":"event_id","member":"event_id","type":"string"},{"id":3,"name":"_arrived_at","member":"_arrived_at","type":"timestamptz"},
	{"id":4,"name":"_extra","member":"_extra","type":"string"}],
	"spec":{"id":0,"fields":[{"id":1000,"name":"n_bucket","source":1,"transform":"bucket[4]"},{"id":1001,"name":"_arrived_at_day","source":3,"transform":"day"}]}}`)
