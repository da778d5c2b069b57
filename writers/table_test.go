package writers_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/parquet"
	"aws-streaming-pipeline/writers/writerstest"
)

func TestFile_DescribesItselfToItsTable(t *testing.T) {
	base, err := parquet.New(parquet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	view, err := table.NewView(&table.Definition{
		UUID: "9c12d441-03fe-4693-9a96-a0705ddf69c1", Schema: 4, Spec: table.Spec{ID: 1},
		Columns: []table.Column{{ID: 8, Name: "n", Member: "n", Type: table.Long}, {ID: 9, Name: "_extra", Member: "_extra", Type: table.String}},
		Dropped: []string{"event_id", "_arrived_at", "shard"},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ofTable, err := base.For(view)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		format writers.Format
		rows   int
		want   bool
	}{
		"for a table": {ofTable, 3, true}, "without records": {ofTable, 0, false}, "for none": {base, 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			held := budget.New(64<<20, nil)
			spec := fileSpec(c.format, writerstest.NewMemory())
			spec.Tuple = [][]byte{{7, 0, 0, 0}, nil}
			f := writers.OpenFile(t.Context(), spec, newShared(t, held, 1))
			for n := range c.rows {
				r := record.Record{SequenceNumber: "1", Arrival: time.UnixMilli(0), Data: trip(0, n).Data}
				if err := f.Append(&r); err != nil {
					t.Fatal(err)
				}
			}
			staged, err := f.Finish(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			checkNothingHeld(t, held)
			if !c.want {
				if staged.Table != nil {
					t.Errorf("described as %s", staged.Table)
				}
				return
			}
			var d table.Description
			if err := json.Unmarshal(staged.Table, &d); err != nil {
				t.Fatal(err)
			}
			if d.UUID != view.UUID || d.Schema != 4 || d.Spec != 1 || !reflect.DeepEqual(d.Partition, spec.Tuple) || !reflect.DeepEqual(d.Splits, []int64{4}) {
				t.Errorf("described as %+v", d)
			}
			if n := d.Columns[0]; n.ID != 8 || n.Values != 3 || n.Lower[0] != 0 || n.Upper[0] != 2 {
				t.Errorf("column n is described as %+v", n)
			}
		})
	}
}
