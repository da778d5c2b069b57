package writerstest

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/layout"
)

// TestFormat checks that a kind of format, in each of its compressions, does what settings and files rely on. rows counts
// the records of a file.
func TestFormat(t *testing.T, kind writers.Kind, rows func(t *testing.T, file []byte) int) {
	if kind.Name == "" || len(kind.Compressions) == 0 {
		t.Fatalf("the kind is %+v, want a name and compressions", kind)
	}
	if _, err := kind.Open(writers.Options{Compression: "no such compression"}); err == nil {
		t.Error("an unknown compression was accepted")
	}
	for _, compression := range kind.Compressions {
		t.Run(compression, func(t *testing.T) {
			open := func() writers.Format {
				f, err := kind.Open(writers.Options{Compression: compression})
				if err != nil {
					t.Fatal(err)
				}
				return f
			}
			t.Run("its extension fits into a key", func(t *testing.T) { extension(t, open()) })
			t.Run("a record that does not fit leaves a block as it was", func(t *testing.T) { misfit(t, open()) })
			t.Run("a block copies what it keeps", func(t *testing.T) { copies(t, open) })
			t.Run("a file has the records of all its blocks", func(t *testing.T) { wholeFile(t, open(), rows) })
		})
	}
}

func extension(t *testing.T, f writers.Format) {
	o := f.Object()
	if err := prefix.ValidateExtension(o.Extension); err != nil || layout.IsFileEnding(o.Extension) {
		t.Errorf("extension %q: %v", o.Extension, err)
	}
	if o.ContentType == "" {
		t.Error("the content type is empty")
	}
	key := layout.File{Name: "data/s", Clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Batch: layout.NewBatchID(), Extension: o.Extension}
	if got, ok := layout.ParseFile(key.Key()); !ok || got != key {
		t.Errorf("key %s is read as %+v", key.Key(), got)
	}
}

func line(n int) *record.Record {
	return &record.Record{SequenceNumber: fmt.Sprintf("%08d", n), Data: fmt.Appendf(nil, `{"n":%d,"name":"trip, \"%d\""}`, n, n)}
}

func misfit(t *testing.T, f writers.Format) {
	b := f.NewLayout().NewBlock()
	if err := b.Append(line(1)); err != nil {
		t.Fatal(err)
	}
	size := b.Size()
	bad := line(2)
	bad.Fault = &record.Fault{Type: record.ProcessingFailed, Code: record.CodeJSONEmpty, Message: "planted"}
	var fault *record.Fault
	if err := b.Append(bad); !errors.As(err, &fault) {
		t.Errorf("a record with a fault gave %v", err)
	}
	if b.Rows() != 1 || b.Size() != size || size == 0 || b.Held() < size {
		t.Errorf("the block has %d rows and %d bytes, %d held; want 1 row and the %d bytes of before", b.Rows(), b.Size(), b.Held(), size)
	}
	if e, err := b.Encode(); err != nil || e.Rows != 1 {
		t.Errorf("encoded %d rows: %v", e.Rows, err)
	}
}

func copies(t *testing.T, open func() writers.Format) {
	file := func(overwrite bool) []byte {
		l := open().NewLayout()
		body := bytes.Clone(l.Begin())
		b := l.NewBlock()
		for n := range 3 {
			r := line(n)
			if err := b.Append(r); err != nil {
				t.Fatal(err)
			}
			if overwrite {
				clear(r.Data)
			}
		}
		e, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		placed, err := l.Place(e)
		if err != nil {
			t.Fatal(err)
		}
		body = append(body, placed...)
		end, err := l.End()
		if err != nil {
			t.Fatal(err)
		}
		return uuids.ReplaceAll(append(body, end...), nil) // a file may have a name of its own
	}
	if kept, overwritten := file(false), file(true); !bytes.Equal(kept, overwritten) {
		t.Errorf("with payloads that are overwritten after Append the file is\n%q, want\n%q", overwritten, kept)
	}
}

var uuids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

func wholeFile(t *testing.T, f writers.Format, rows func(t *testing.T, file []byte) int) {
	const callers, each = 2, 300
	sink := NewMemory()
	shared, err := writers.NewShared(budget.New(64<<20, nil), 2)
	if err != nil {
		t.Fatal(err)
	}
	file := writers.OpenFile(t.Context(), writers.FileSpec{Format: f, Sink: sink, Key: "k", BatchID: batchID}, shared)
	var g errgroup.Group
	for caller := range callers {
		g.Go(func() error {
			for n := range each {
				if err := file.Append(line(caller*each + n)); err != nil {
					return err
				}
				if n%100 == 50 {
					if err := file.Seal(); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	staged, err := file.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sink.Publish(t.Context(), staged, batchID); err != nil {
		t.Fatal(err)
	}
	if got := rows(t, sink.Object("k").Body); got != callers*each || staged.Rows != callers*each {
		t.Errorf("the file has %d records and says %d, want %d", got, staged.Rows, callers*each)
	}
}
