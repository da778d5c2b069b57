package batch

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/layout"
)

// ofTable is a format whose files show by their extension for which state of a table they were written.
type ofTable struct {
	writers.Format
	state string
}

func (f ofTable) Object() writers.Object {
	o := f.Format.Object()
	o.Extension = "." + f.state + ".jsonl"
	return o
}

// NewLayout returns one that describes its file.
func (f ofTable) NewLayout() writers.Layout { return describing{f.Format.NewLayout()} }

type describing struct{ writers.Layout }

func (describing) Describe() table.Description { return table.Description{UUID: "u", Spec: 7} }

// state makes a state of a table with a partition.
func state(tb testing.TB, data writers.Format, name, partition string) *Table {
	tb.Helper()
	s, err := schema.Parse("s", []byte(`{"properties":{"n":{"type":"integer"},"customer":{"type":"string"},"city":{"type":"string"}}}`))
	if err != nil {
		tb.Fatal(err)
	}
	columns := table.ColumnsOf(s)
	for i := range columns {
		columns[i].ID = i + 1
	}
	terms, err := table.ParsePartition(partition)
	if err != nil {
		tb.Fatal(err)
	}
	spec, err := table.NewSpec(terms, columns)
	if err != nil {
		tb.Fatal(err)
	}
	v, err := table.NewView(&table.Definition{Columns: columns, Spec: spec}, s)
	if err != nil {
		tb.Fatal(err)
	}
	p, err := table.NewPartitioner(v)
	if err != nil {
		tb.Fatal(err)
	}
	return &Table{Format: ofTable{data, name}, Partitioner: p, Columns: 5}
}

// Files hold the records of one partition, one tuple and one state of the table, while the state changes and several shards
// append. Records that cannot be read go to the error file as without a table.
func TestPipeline_PutsOneTupleIntoAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.table = "glue://lake/trips"
		w.limits = Limits{FileBytes: 20 << 10, Bytes: 4 << 20, Interval: time.Minute, OpenFiles: 7}
		var current atomic.Pointer[Table]
		states := make(map[string]*Table)
		p, stop := w.worker("a", func(parts *Parts) {
			for name, partition := range map[string]string{
				"default": "day(_arrived_at)", "none": "", "mixed": "hour(_arrived_at),bucket(3,customer),truncate(2,city)", "again": "day(_arrived_at)",
			} {
				states[name] = state(t, parts.Data, name, partition)
			}
			current.Store(states["default"])
			parts.Data, parts.Table = nil, current.Load
		})
		defer stop()
		const perShard = 1500
		var all sync.WaitGroup
		for shard := range 3 {
			c := p.Open(w.acquire(fmt.Sprint("shard-", shard), "a"))
			random := rand.New(rand.NewPCG(14, uint64(shard)))
			all.Go(func() {
				for n := 0; n < perShard; {
					in := Intake{}
					for range min(1+random.IntN(200), perShard-n) {
						in.Last = fmt.Sprintf("%06d", 100000+n)
						in.Records = append(in.Records, record.Record{
							SequenceNumber: in.Last, PartitionKey: string("xy"[random.IntN(2)]), Arrival: time.Now().Add(-time.Duration(random.IntN(5)) * time.Hour),
						})
						r := &in.Records[len(in.Records)-1]
						r.Data = fmt.Appendf(nil, `{"id":"%d-%d","arrived":%q,"n":%d,"customer":%q,"city":%q}`, shard, n, r.Arrival.Format(time.RFC3339Nano), n,
							fmt.Sprint("c", random.IntN(5)), []string{"Ulm", "Bonn", "Ulan", ""}[random.IntN(4)])
						n++
					}
					if random.IntN(10) == 0 {
						in.Records[0].Data = []byte(`{"broken"`)
					}
					w.append(c, in)
					time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
				}
				if err := c.Drain(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Go(func() {
			for _, name := range []string{"mixed", "none", "default", "again", "mixed"} {
				time.Sleep(3 * time.Second)
				current.Store(states[name])
			}
		})
		all.Wait()
		if err := p.AwaitPublished(t.Context()); err != nil {
			t.Fatal(err)
		}
		seen, used := make(map[string]bool), make(map[string]int)
		for _, key := range w.bucket.keys("data/") {
			_, rest, _ := strings.Cut(key, ".")
			name, _, _ := strings.Cut(rest, ".")
			partitioner := states[name].Partitioner
			used[name]++
			var first string
			for i, line := range strings.Split(strings.TrimSuffix(string(w.bucket.objects[key].body), "\n"), "\n") {
				var row struct {
					ID      string
					Arrived string `json:"arrived"`
				}
				if err := json.Unmarshal([]byte(line), &row); err != nil {
					t.Fatal(err)
				}
				at, err := time.Parse(time.RFC3339Nano, row.Arrived)
				if err != nil {
					t.Fatal(err)
				}
				tuple, fault := partitioner.Tuple(&record.Record{Data: []byte(line), Arrival: at})
				if fault != nil {
					t.Fatal(fault)
				}
				if i == 0 {
					first = tuple
				} else if tuple != first {
					t.Fatalf("%s has the tuples %x and %x", key, partitioner.Values(first), partitioner.Values(tuple))
				}
				if seen[row.ID] {
					t.Errorf("record %s is there twice", row.ID)
				}
				seen[row.ID] = true
			}
		}
		broken := len(w.bucket.lines("errors/"))
		want(t, "records", len(seen)+broken, 3*perShard)
		if broken == 0 || len(used) != len(states) {
			t.Errorf("%d records are broken; files of each state: %v", broken, used)
		}
		if used["mixed"] < 20 {
			t.Errorf("files of each state: %v", used)
		}
	})
}

// A batch is to be loaded into the table if it has data files. These are described with their tuples.
func TestPipeline_NamesTheTableOfABatch(t *testing.T) {
	for name, test := range map[string]struct {
		key    string // of the records
		lake   string
		copied []string
		names  []string
	}{
		"data": {"x", lake, nil, []string{lake}}, "errors only": {"!", lake, nil, nil},
		"data for a database": {"x", "", []string{rows}, []string{rows}}, "errors only, with a database": {"!", "", []string{rows}, nil},
		"data for both": {"x", lake, []string{rows}, []string{lake, rows}}, "errors only, with both": {"!", lake, []string{rows}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.table, w.copied = test.lake, test.copied
				p, stop := w.worker("a", func(parts *Parts) {
					if s := state(t, parts.Data, "s", "truncate(2,city),day(_arrived_at)"); test.lake != "" {
						parts.Table = func() *Table { return s }
					}
				})
				defer stop()
				in := intake(test.key, 1, 3)
				for i := range in.Records {
					in.Records[i].Data = []byte(`{"city":"Bonn"}`)
				}
				w.append(p.Open(w.acquire("shard-1", "a")), in)
				time.Sleep(2 * w.limits.Interval)
				synctest.Wait()
				manifests := w.bucket.keys("manifests/")
				if len(manifests) != 1 {
					t.Fatalf("manifests: %v", manifests)
				}
				m, err := layout.DecodeManifest(w.bucket.objects[manifests[0]].body)
				if err != nil || len(m.Files) != 1 || !slices.Equal(m.Tables, test.names) {
					t.Fatalf("manifest %+v, %v; want the tables %q", m, err, test.names)
				}
				if test.names == nil || test.lake == "" {
					want(t, "description of a file for no table", string(m.Files[0].Table), "")
					return
				}
				var d table.Description
				if err := json.Unmarshal(m.Files[0].Table, &d); err != nil {
					t.Fatal(err)
				}
				if d.Spec != 7 || len(d.Partition) != 2 || string(d.Partition[0]) != "Bo" || len(d.Partition[1]) != 4 {
					t.Errorf("description %+v", d)
				}
			})
		})
	}
}
