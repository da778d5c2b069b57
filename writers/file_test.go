package writers_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/klauspost/compress/zstd"

	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/writerstest"
)

var accounts = []budget.Account{budget.Received, budget.Block, budget.Encoding, budget.Part, budget.Sending, budget.Kept, budget.Disk}

// checkNothingHeld fails if bytes are left in any account.
func checkNothingHeld(t *testing.T, b *budget.Budget) {
	t.Helper()
	for _, a := range accounts {
		if n := b.Held(a); n != 0 {
			t.Errorf("account %d still holds %d bytes", a, n)
		}
	}
}

func newFormat(t testing.TB, c jsonl.Compression, blockSize int) *jsonl.Format {
	t.Helper()
	f, err := jsonl.New(jsonl.Config{Append: record.AppendJSONLine, Compression: c, BlockSize: blockSize})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newShared(t testing.TB, b *budget.Budget, encoders int) *writers.Shared {
	t.Helper()
	s, err := writers.NewShared(b, encoders)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fileSpec returns the spec of a file.
func fileSpec(format writers.Format, sink writers.Sink) writers.FileSpec {
	return writers.FileSpec{
		Format: format, Sink: sink, Key: "trips/file" + format.Object().Extension, BatchID: "batch",
		Metadata: map[string]string{"schema": "7"}, Partition: "trips/",
	}
}

// trip is the record with which shard tests count: n of shard.
func trip(shard, n int) *record.Record {
	return &record.Record{
		SequenceNumber: fmt.Sprintf("%d%08d", shard+1, n),
		Data:           fmt.Appendf(nil, `{"shard":%d,"n":%d,"polyline":[[-8.61,41.14],[-8.62,41.15],[-8.63,41.16]]}`, shard, n),
	}
}

// inflate reads an object back with readers that know nothing of blocks.
func inflate(t *testing.T, c jsonl.Compression, body []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(body)
	var err error
	switch c {
	case jsonl.Gzip:
		r, err = gzip.NewReader(r) // the standard library's, not the one that has written
	case jsonl.Zstd:
		r, err = zstd.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	lines, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// checkTrips checks that lines hold the records 0 to each-1 of every shard once, in order.
func checkTrips(t *testing.T, lines []byte, shards, each int) {
	t.Helper()
	next := make([]int, shards)
	for line := range bytes.Lines(lines) {
		var row struct {
			Shard, N int
			EventID  string `json:"event_id"`
		}
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		if row.N != next[row.Shard] {
			t.Fatalf("shard %d goes on with record %d, not %d", row.Shard, row.N, next[row.Shard])
		}
		if want := trip(row.Shard, row.N).EventID(); row.EventID != want {
			t.Fatalf("event id is %q, not %q", row.EventID, want)
		}
		next[row.Shard]++
	}
	for shard, n := range next {
		if n != each {
			t.Errorf("shard %d has %d records, not %d", shard, n, each)
		}
	}
}

// Several shards append at the same time, and somebody seals in between. Blocks are small, so that many are encoded in
// parallel and must be put in order.
func TestFile_HoldsEveryRecordOnceAndEachShardInOrder(t *testing.T) {
	const shards, each = 6, 2000
	for _, compression := range []jsonl.Compression{jsonl.None, jsonl.Gzip, jsonl.Zstd} {
		t.Run(string(compression), func(t *testing.T) {
			held := budget.New(64<<20, nil)
			sink := writerstest.NewMemory()
			spec := fileSpec(newFormat(t, compression, 16<<10), sink)
			f := writers.OpenFile(t.Context(), spec, newShared(t, held, 3))
			var appending sync.WaitGroup
			for shard := range shards {
				appending.Go(func() {
					for n := range each {
						if err := f.Append(trip(shard, n)); err != nil {
							t.Error(err)
							return
						}
						if n%500 == 499 {
							if err := f.Seal(); err != nil {
								t.Error(err)
							}
						}
					}
				})
			}
			appending.Wait()
			staged, err := f.Finish(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if staged.Rows != shards*each || staged.Partition != spec.Partition || staged.Error {
				t.Fatalf("staged file is %+v", staged)
			}
			if f.Size() != staged.Bytes || f.Rows() != staged.Rows {
				t.Fatalf("file says %d bytes and %d rows, staged are %d and %d", f.Size(), f.Rows(), staged.Bytes, staged.Rows)
			}
			if _, err := sink.Publish(t.Context(), staged, spec.BatchID); err != nil {
				t.Fatal(err)
			}
			o := sink.Object(spec.Key)
			if o.Metadata[writers.MetadataBatchID] != spec.BatchID || o.Metadata["schema"] != "7" {
				t.Fatalf("metadata is %v", o.Metadata)
			}
			checkTrips(t, inflate(t, compression, o.Body), shards, each)
			checkNothingHeld(t, held)
		})
	}
}

func TestFile_LeavesNoTraceOfAFaultyRecord(t *testing.T) {
	held := budget.New(64<<20, nil)
	sink := writerstest.NewMemory()
	spec := fileSpec(newFormat(t, jsonl.None, 0), sink)
	f := writers.OpenFile(t.Context(), spec, newShared(t, held, 1))
	for n := range 3 {
		var fault *record.Fault
		if err := f.Append(&record.Record{SequenceNumber: "9", Data: []byte(`{"shard":0,"n":0,`)}); !errors.As(err, &fault) {
			t.Fatalf("a torn record gave %v", err)
		}
		if err := f.Append(trip(0, n)); err != nil {
			t.Fatal(err)
		}
	}
	staged, err := f.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if staged.Rows != 3 {
		t.Fatalf("%d rows", staged.Rows)
	}
	if _, err := sink.Publish(t.Context(), staged, spec.BatchID); err != nil {
		t.Fatal(err)
	}
	checkTrips(t, sink.Object(spec.Key).Body, 1, 3)
}

func TestFile_WithoutRecordsMakesNoRequest(t *testing.T) {
	held := budget.New(64<<20, nil)
	for name, append := range map[string]func(*writers.File) error{
		"untouched": func(*writers.File) error { return nil },
		"only a faulty record": func(f *writers.File) error {
			if err := f.Append(&record.Record{Data: []byte("{")}); err == nil {
				return errors.New("a torn record was taken")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			sink := writerstest.NewMemory()
			sink.Fault = func(operation, _ string) error { return fmt.Errorf("%s was called", operation) }
			shared := newShared(t, held, 1)
			spec := fileSpec(newFormat(t, jsonl.Gzip, 0), sink)
			f := writers.OpenFile(t.Context(), spec, shared)
			if err := append(f); err != nil {
				t.Fatal(err)
			}
			staged, err := f.Finish(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if staged.Staged != nil || staged.Rows != 0 || staged.Key != spec.Key {
				t.Fatalf("staged file is %+v", staged)
			}
			if abandoned := f.Abandon(); abandoned.Staged != nil {
				t.Fatalf("abandoned file is %+v", abandoned)
			}
			checkNothingHeld(t, held)
		})
	}
}

// Whichever call of the sink fails, the file reports it from then on, and leaves only the upload to abort.
func TestFile_FailsForGoodWhenTheSinkDoes(t *testing.T) {
	for _, failing := range []string{"Begin", "Write", "Finish"} {
		t.Run(failing, func(t *testing.T) {
			held := budget.New(64<<20, nil)
			sink := writerstest.NewMemory()
			var hits atomic.Int32
			planted := errors.New("planted")
			sink.Fault = func(operation, _ string) error {
				if operation == failing {
					hits.Add(1)
					return planted
				}
				return nil
			}
			f := writers.OpenFile(t.Context(), fileSpec(newFormat(t, jsonl.Zstd, 16<<10), sink), newShared(t, held, 2))
			var err error
			for n := 0; n < 2000 && err == nil; n++ {
				err = f.Append(trip(0, n))
			}
			if err == nil {
				_, err = f.Finish(t.Context())
			}
			if !errors.Is(err, planted) {
				t.Fatalf("the file gave %v", err)
			}
			staged := f.Abandon()
			if (staged.Staged == nil) != (failing == "Begin") {
				t.Fatalf("abandoned file is %+v", staged)
			}
			if err := sink.Abort(t.Context(), staged); err != nil {
				t.Fatal(err)
			}
			if err := f.Append(trip(0, 0)); err == nil {
				t.Fatal("an abandoned file takes records")
			}
			if hits.Load() == 0 || sink.Uploads() != 0 {
				t.Fatalf("%d faults were hit, %d uploads are left", hits.Load(), sink.Uploads())
			}
			checkNothingHeld(t, held)
		})
	}
}

// The sink blocks in its first Write. The file accepts as many blocks as there are slots, then Append waits.
func TestFile_WaitsWhileTheSinkTakesNothing(t *testing.T) {
	for _, ending := range []string{"sink goes on", "context ends", "file is abandoned"} {
		t.Run(ending, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const each = 1000
				held := budget.New(64<<20, nil)
				sink := writerstest.NewMemory()
				open := make(chan struct{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				sink.Fault = func(operation, _ string) error {
					if operation == "Write" {
						select {
						case <-open:
						case <-ctx.Done():
							return ctx.Err()
						}
					}
					return nil
				}
				spec := fileSpec(newFormat(t, jsonl.None, 16<<10), sink)
				f := writers.OpenFile(ctx, spec, newShared(t, held, 2))
				var taken atomic.Int64
				result := make(chan error, 1)
				go func() {
					for n := range each {
						if err := f.Append(trip(0, n)); err != nil {
							result <- err
							return
						}
						taken.Add(1)
					}
					result <- nil
				}()
				synctest.Wait()
				if n := taken.Load(); n == 0 || n >= each {
					t.Fatalf("%d of %d records were taken while the sink stood still", n, each)
				}
				if bound := int64(6 * 32 << 10); held.Used() > bound {
					t.Fatalf("%d bytes are held, bound is %d", held.Used(), bound)
				}
				switch ending {
				case "sink goes on":
					close(open)
					if err := <-result; err != nil {
						t.Fatal(err)
					}
					staged, err := f.Finish(ctx)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := sink.Publish(ctx, staged, spec.BatchID); err != nil {
						t.Fatal(err)
					}
					checkTrips(t, sink.Object(spec.Key).Body, 1, each)
				case "context ends":
					cancel()
					if err := <-result; !errors.Is(err, context.Canceled) {
						t.Fatalf("append gave %v", err)
					}
					f.Abandon()
				case "file is abandoned":
					go cancel() // the sink's own way out: Abandon waits for its calls
					f.Abandon()
					if err := <-result; err == nil {
						t.Fatal("append went on")
					}
				}
				checkNothingHeld(t, held)
			})
		})
	}
}

func TestShared_LeavesBlocksAloneWhileThereIsMemory(t *testing.T) {
	held := budget.New(1<<20, nil)
	shared := newShared(t, held, 1)
	f := writers.OpenFile(t.Context(), fileSpec(newFormat(t, jsonl.None, 0), writerstest.NewMemory()), shared)
	for n := range 4000 {
		if err := f.Append(trip(0, n)); err != nil {
			t.Fatal(err)
		}
	}
	if shared.Relieve() {
		t.Fatal("a block was sealed without need")
	}
	// A caller waits for memory that the open block takes: half a mebibyte, in addition to a part that stays.
	held.Add(budget.Part, 256<<10)
	acquired := make(chan error, 1)
	go func() { acquired <- held.Acquire(t.Context(), 512<<10) }()
	<-held.Starved()
	if !shared.Relieve() {
		t.Fatal("no block was sealed")
	}
	if err := <-acquired; err != nil {
		t.Fatal(err)
	}
	held.Release(budget.Received, 512<<10)
	held.Release(budget.Part, 256<<10)
	f.Abandon()
	checkNothingHeld(t, held)
}

func TestFile_FinishEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := budget.New(64<<20, nil)
		sink := writerstest.NewMemory()
		begun, release := make(chan struct{}), make(chan struct{})
		sink.Fault = func(operation, _ string) error {
			if operation == "Begin" {
				close(begun)
				<-release
			}
			return nil
		}
		f := writers.OpenFile(t.Context(), fileSpec(newFormat(t, jsonl.None, 0), sink), newShared(t, held, 1))
		if err := f.Append(trip(0, 0)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-begun
			cancel()
			synctest.Wait() // until the end has reached the file
			close(release)
		}()
		if _, err := f.Finish(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("finish gave %v", err)
		}
		f.Abandon()
		checkNothingHeld(t, held)
	})
}

// The estimate decides when a file is full, so it must be near the truth even before the first block is encoded.
func TestFile_EstimatesItsSize(t *testing.T) {
	held := budget.New(64<<20, nil)
	sink := writerstest.NewMemory()
	shared := newShared(t, held, 2)
	format := newFormat(t, jsonl.Gzip, 64<<10)
	for file := range 3 {
		f := writers.OpenFile(t.Context(), fileSpec(format, sink), shared)
		var before int64
		for n := range 10_000 {
			if err := f.Append(trip(file, n)); err != nil {
				t.Fatal(err)
			}
		}
		before = f.Size()
		staged, err := f.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if file > 0 && (before < staged.Bytes/2 || before > staged.Bytes*2) {
			t.Errorf("file %d was said to have %d bytes, and has %d", file, before, staged.Bytes)
		}
	}
}

// Many files together have more in their open blocks than the budget allows, but none has a full block.
func TestShared_SealsTheLargestBlocksWhenMemoryIsTight(t *testing.T) {
	const files, limit = 200, 4 << 20
	held := budget.New(limit, nil)
	sink := writerstest.NewMemory()
	shared := newShared(t, held, 2)
	format := newFormat(t, jsonl.None, 1<<20)
	open := make([]*writers.File, files)
	for i := range open {
		spec := fileSpec(format, sink)
		spec.Key = fmt.Sprintf("trips/%03d.jsonl", i)
		open[i] = writers.OpenFile(t.Context(), spec, shared)
	}
	payload := `{"text":"` + strings.Repeat("x", 2000) + `"}`
	var peak int64
	for n := range 5000 {
		r := &record.Record{SequenceNumber: "1", Data: []byte(payload)}
		if err := open[n*7%files].Append(r); err != nil {
			t.Fatal(err)
		}
		peak = max(peak, held.Used())
	}
	if bound := int64(limit + limit/10); peak > bound {
		t.Errorf("up to %d bytes were held, bound is %d", peak, bound)
	}
	if peak < limit/2 {
		t.Errorf("only %d bytes were held: memory was never tight", peak)
	}
	var rows int64
	for _, f := range open {
		staged, err := f.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rows += staged.Rows
	}
	if rows != 5000 {
		t.Errorf("%d rows", rows)
	}
	checkNothingHeld(t, held)
}

// Three blocks wait for the sink, and all of them are encoded when it continues.
func TestFile_LaysBlocksDownInTheOrderInWhichTheyWereFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := budget.New(64<<20, nil)
		sink := writerstest.NewMemory()
		open := make(chan struct{})
		sink.Fault = func(operation, _ string) error {
			if operation == "Write" {
				<-open
			}
			return nil
		}
		spec := fileSpec(newFormat(t, jsonl.None, 16<<10), sink)
		f := writers.OpenFile(t.Context(), spec, newShared(t, held, 2))
		for n := range 4 {
			if err := f.Append(trip(0, n)); err != nil {
				t.Fatal(err)
			}
			if err := f.Seal(); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		close(open)
		staged, err := f.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sink.Publish(t.Context(), staged, spec.BatchID); err != nil {
			t.Fatal(err)
		}
		checkTrips(t, sink.Object(spec.Key).Body, 1, 4)
		checkNothingHeld(t, held)
	})
}

// Blocks are encoded and placed in the background. A panic there would end the process, and then that of every worker
// that takes over the shard.
func TestFile_EndsWithAnErrorWhereverTheFormatPanics(t *testing.T) {
	for _, place := range []string{"begin", "encode", "place", "end"} {
		t.Run(place, func(t *testing.T) {
			b := budget.New(1<<20, nil)
			format := brittle{newFormat(t, jsonl.Gzip, 0), func(at string, _ int) { panicAt(place == at) }}
			f := writers.OpenFile(t.Context(), fileSpec(format, writerstest.NewMemory()), newShared(t, b, 1))
			if err := f.Append(trip(0, 1)); err != nil {
				t.Fatal(err)
			}
			_, err := f.Finish(t.Context())
			if !errors.Is(err, writers.ErrPanicked) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got the error %v, want that of a panic without its text", err)
			}
			if !strings.Contains(err.Error(), "panicAt") {
				t.Errorf("the error %v does not name the place", err)
			}
			if _, fault := errors.AsType[*record.Fault](err); fault {
				t.Errorf("the error %v is that of a single record", err)
			}
			f.Abandon()
			checkNothingHeld(t, b)
		})
	}
}

func panicAt(here bool) {
	if here {
		panic("secret payload")
	}
}

// brittle is a format that calls a function at each step, with the rows of the block.
type brittle struct {
	writers.Format
	at func(place string, rows int)
}

func (b brittle) NewLayout() writers.Layout { return brittleLayout{b.Format.NewLayout(), b.at} }

type brittleLayout struct {
	writers.Layout
	at func(place string, rows int)
}

func (l brittleLayout) NewBlock() writers.Block { return brittleBlock{l.Layout.NewBlock(), l.at} }

func (l brittleLayout) Begin() []byte {
	l.at("begin", 0)
	return l.Layout.Begin()
}

func (l brittleLayout) Place(e writers.Encoded) ([]byte, error) {
	l.at("place", int(e.Rows))
	return l.Layout.Place(e)
}

func (l brittleLayout) End() ([]byte, error) {
	l.at("end", 0)
	return l.Layout.End()
}

type brittleBlock struct {
	writers.Block
	at func(place string, rows int)
}

func (b brittleBlock) Append(r *record.Record) error {
	b.at("append", b.Rows())
	return b.Block.Append(r)
}

func (b brittleBlock) Encode() (writers.Encoded, error) {
	b.at("encode", b.Rows())
	return b.Block.Encode()
}

func TestShared_TryFindsAPanicWhereverItIs(t *testing.T) {
	records := []*record.Record{trip(0, 1), trip(0, 2), {Data: []byte(`{`)}, trip(0, 3)}
	for _, place := range []string{"begin", "append", "encode", "place", "end", "nowhere"} {
		b := budget.New(1<<20, nil)
		shared := newShared(t, b, 1)
		format := brittle{newFormat(t, jsonl.Gzip, 0), func(at string, _ int) { panicAt(place == at) }}
		for range 2 { // the core is released
			fault, err := shared.Try(t.Context(), format, records)
			if err != nil || (fault != nil) != (place != "nowhere") {
				t.Errorf("%s: fault %v, error %v", place, fault, err)
			}
			if fault != nil && (fault.Code != record.CodeRecordPanicked || strings.Contains(fault.Message, "secret")) {
				t.Errorf("%s: fault %v", place, fault)
			}
		}
		checkNothingHeld(t, b)
	}
}

// What is written is what was tried: the blocks of AppendAlone are those of Try, whatever else is in the file, and the
// records that do not fit are reported.
func TestFile_AppendAloneWritesTheBlocksThatWereTried(t *testing.T) {
	var blocks []int
	format := brittle{newFormat(t, jsonl.None, 1<<10), func(at string, rows int) {
		if at == "place" {
			blocks = append(blocks, rows)
		}
	}}
	var records []*record.Record
	for n := range 25 {
		records = append(records, trip(0, n+1))
	}
	bad := &record.Record{Data: []byte(`{`)}
	records = append(records, bad)
	b := budget.New(1<<20, nil)
	shared := newShared(t, b, 2)
	if fault, err := shared.Try(t.Context(), format, records); fault != nil || err != nil {
		t.Fatal(fault, err)
	}
	tried := slices.Clone(blocks)
	blocks = nil

	f := writers.OpenFile(t.Context(), fileSpec(format, writerstest.NewMemory()), shared)
	var misfits []*record.Record
	if err := errors.Join(
		f.Append(trip(0, 0)),
		f.AppendAlone(records, func(r *record.Record, _ *record.Fault) { misfits = append(misfits, r) }),
		f.Append(trip(0, 26)),
	); err != nil {
		t.Fatal(err)
	}
	staged, err := f.Finish(t.Context())
	if err != nil || staged.Rows != 27 {
		t.Errorf("%d rows, error %v", staged.Rows, err)
	}
	if want := slices.Concat([]int{1}, tried, []int{1}); len(tried) < 2 || !slices.Equal(blocks, want) {
		t.Errorf("blocks of %v rows, want %v", blocks, want)
	}
	if !slices.Equal(misfits, []*record.Record{bad}) {
		t.Errorf("%d records did not fit, want the one", len(misfits))
	}
	checkNothingHeld(t, b)
}
