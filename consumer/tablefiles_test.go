package consumer

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers/layout"
)

const ridesSchema = `{"properties":{"text":{"type":"string"},"i":{"type":"integer","x-parquet":"int32"},"l":{"type":"integer"},"price":{"x-parquet":"decimal(9,2)"},
	"big":{"x-parquet":"decimal(38,3)"},"b":{"type":"boolean"},"day":{"type":"string","format":"date"},"at":{"type":"string","format":"date-time"},
	"place":{"type":"object","properties":{"zip":{"type":"string"}}}}}`

// specs are partitions of the tables in the order in which they are in force.
var specs = []string{
	"day(_arrived_at)",
	"identity(i),bucket(3,text),truncate(2,place.zip)",
	"",
	"month(at),bucket(4,event_id)",
	"year(day),identity(b),truncate(100,price)",
	"bucket(2,big),truncate(50,l),hour(at)",
}

// Each file of a table has rows of one tuple, with which it is described, by DuckDB's reading of the files and pyiceberg's
// transforms: with SCHEMA and without it, with values that do not fit, while the partition changes, and after a restart with
// another table.
func TestDaemon_DescribesFilesWithTheTuplesOfTheirRows(t *testing.T) {
	emulator.Tables(t, "") // skips
	declared, err := schema.Parse("rides", []byte(ridesSchema))
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*schema.Schema{"with SCHEMA": declared, "without": nil} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t, 2, localstream.Options{})
			st.schema = s
			c := &rides{stage: st, columns: table.ColumnsOf(declared), random: rand.New(rand.NewPCG(14, 3)), specs: make(map[int]table.Spec)}
			c.number(c.columns, new(int))
			c.deliver("glue://lake/rides", specs[:3])
			c.deliver("s3://lake/other/rides", specs[3:])
			c.check()
		})
	}
}

// rides is a stream whose records go to tables.
type rides struct {
	*stage
	columns []table.Column
	random  *rand.Rand
	specs   map[int]table.Spec // by id
	sent    int
}

func (c *rides) number(columns []table.Column, last *int) {
	for i := range columns {
		*last++
		columns[i].ID = *last
		c.number(columns[i].Fields, last)
	}
}

// deliver runs a daemon with a table, and sends records under each of the specs.
func (c *rides) deliver(name string, specs []string) {
	c.t.Helper()
	d := c.daemon(func(cfg *Config) {
		cfg.Format, cfg.TableConfig.Table, cfg.CommitInterval, cfg.Failover, cfg.MaxOpenFiles = "parquet", name, time.Second, time.Second, 5
	})
	ctx, stop := context.WithCancel(c.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			c.t.Errorf("run: %v", err)
		}
	})
	before := c.sent
	for version, partition := range specs {
		terms, err := table.ParsePartition(partition)
		if err != nil {
			c.t.Fatal(err)
		}
		spec, err := table.NewSpec(terms, c.columns)
		if err != nil {
			c.t.Fatal(err)
		}
		spec.ID = len(c.specs)
		c.specs[spec.ID] = spec
		definition, err := json.Marshal(table.Definition{UUID: name, Columns: c.columns, Spec: spec})
		if err != nil {
			c.t.Fatal(err)
		}
		if version == 0 { // the daemon waits for it; it has to bind the application's table first
			eventually(c.t, "the application is bound", func() bool {
				_, err := c.store.PutTable(c.t.Context(), checkpoint.Table{Name: name, Definition: definition})
				return err == nil
			})
			eventually(c.t, "files can be written", func() bool { return d.table.current.Load() != nil })
		} else {
			if _, err := c.store.PutTable(c.t.Context(), checkpoint.Table{Name: name, Version: int64(version), Definition: definition}); err != nil {
				c.t.Fatal(err)
			}
			if err := d.table.look(c.t.Context()); err != nil || d.table.status().Spec != spec.ID {
				c.t.Fatalf("spec %d is not in force: %v, %v", spec.ID, err, d.table.health())
			}
		}
		for range 200 {
			c.send()
		}
		eventually(c.t, "all records are taken", func() bool { return int(d.Taken()) == c.sent-before })
	}
	stop()
	running.Wait()
}

// send puts a random record into the stream. It may have values that do not fit their columns.
func (c *rides) send() {
	c.t.Helper()
	values := map[string][]string{
		"text": {`"a"`, `"b"`, `""`, `"\u00e4"`, `7`, `null`}, "i": {`1`, `-1`, `"2"`, `3000000000`}, "l": {`-1`, `49`, `9007199254740993`, `1.5`},
		"price": {`1.25`, `-0.01`, `-100`, `0.001`}, "big": {`1e30`, `-0.125`, `"x"`}, "b": {`true`, `false`, `"true"`}, "day": {`"1969-12-31"`, `"2026-02-28"`, `"x"`},
		"at": {`"1969-12-31T23:59:59.999999Z"`, `"2026-02-28T12:00:00+01:00"`, `12`}, "place": {`{"zip":"10115"}`, `{"zip":"\u00e4\u00f6\u00fc"}`, `{}`, `{"zip":{}}`, `[]`}, "more": {`1`},
	}
	var members []string
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range values {
			if !yield(name) {
				return
			}
		}
	}) {
		if some := values[name]; c.random.IntN(5) > 0 {
			n := len(some)
			if c.random.IntN(4) > 0 && n > 2 {
				n = 2 // which fit
			}
			members = append(members, fmt.Sprintf("%q:%s", name, some[c.random.IntN(n)]))
		}
	}
	c.sent++
	data := []byte("{" + strings.Join(members, ",") + "}")
	if _, _, err := c.stream.Put("stream", localstream.Entry{PartitionKey: fmt.Sprint(c.sent), Data: data}); err != nil {
		c.t.Fatal(err)
	}
}

// check compares the files with their descriptions.
func (c *rides) check() {
	c.t.Helper()
	type field struct {
		Column    string `json:"column"`
		Type      string `json:"type"`
		Transform string `json:"transform"`
	}
	type file struct {
		Path   string   `json:"path"`
		Fields []field  `json:"fields"`
		Tuple  [][]byte `json:"tuple"`
	}
	var files []file
	rejected := 0
	tables, used := make(map[string]bool), make(map[int]bool)
	root := filepath.Join(c.folder, "bucket")
	err := filepath.WalkDir(filepath.Join(root, "manifests"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		m, err := layout.DecodeManifest(body)
		if err != nil {
			return err
		}
		for _, f := range m.Files {
			if f.Error {
				rejected += int(f.Rows)
				if f.Table != nil {
					c.t.Errorf("the error file %s is described for a table", f.Key)
				}
				continue
			}
			var d table.Description
			if err := json.Unmarshal(f.Table, &d); err != nil {
				return err
			}
			if !slices.Equal(m.Tables, []string{d.UUID}) { // each has its name for its UUID
				c.t.Errorf("batch %s for the tables %q has a file for %s", m.Batch, m.Tables, d.UUID)
			}
			tables[d.UUID], used[d.Spec] = true, true
			out := file{Path: filepath.Join(root, f.Key), Fields: []field{}, Tuple: d.Partition}
			for _, f := range c.specs[d.Spec].Fields {
				name, typ := columnNamed(c.columns, f.Source)
				out.Fields = append(out.Fields, field{name, typ, f.Transform})
			}
			if len(out.Tuple) != len(out.Fields) {
				c.t.Errorf("%s has the tuple %x for %v", f.Key, out.Tuple, out.Fields)
			}
			files = append(files, out)
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	list, err := json.Marshal(files)
	if err != nil {
		c.t.Fatal(err)
	}
	path := filepath.Join(c.t.TempDir(), "files.json")
	if err := os.WriteFile(path, list, 0o600); err != nil {
		c.t.Fatal(err)
	}
	out, err := emulator.Tables(c.t, "testdata/tuples.py", path).CombinedOutput()
	if err != nil {
		c.t.Fatalf("%v:\n%s", err, out)
	}
	var read struct {
		Files, Rows, Nulls int
		IDs                []string
	}
	if err := json.Unmarshal(out, &read); err != nil {
		c.t.Fatalf("%v:\n%s", err, out)
	}
	slices.Sort(read.IDs)
	if distinct := len(slices.Compact(slices.Clone(read.IDs))); distinct != read.Rows || read.Rows+rejected != c.sent {
		c.t.Errorf("%d rows, %d of them different, and %d rejected records, of %d", read.Rows, distinct, rejected, c.sent)
	}
	c.t.Logf("%d files, %d rows, %d nulls, %d rejected", read.Files, read.Rows, read.Nulls, rejected)
	if len(tables) != 2 || len(used) != len(specs) || read.Files < 50 || read.Nulls == 0 || c.schema != nil && rejected == 0 {
		c.t.Errorf("%d files, %d nulls, %d rejected, tables %v, specs %v", read.Files, read.Nulls, rejected, tables, used)
	}
}

// columnNamed returns the name of a column in SQL, and its type.
func columnNamed(columns []table.Column, id int) (name, typ string) {
	for _, c := range columns {
		if c.ID == id {
			return fmt.Sprintf("%q", c.Name), c.Type
		}
		if below, typ := columnNamed(c.Fields, id); typ != "" {
			return fmt.Sprintf("%q.%s", c.Name, below), typ
		}
	}
	return "", ""
}
