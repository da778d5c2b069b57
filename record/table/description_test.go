package table

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

var described = Description{
	UUID: "9c12d441-03fe-4693-9a96-a0705ddf69c1", Schema: 3, Spec: 1,
	Partition: [][]byte{{0x0d, 0x07, 0, 0}, nil, {}},
	Columns: []Metrics{
		{ID: 1, Size: 120, Values: 10, Nulls: 2, Lower: []byte("a"), Upper: []byte("z")},
		{ID: 7, Size: 80, Values: 10, NaNs: -1},
		{ID: 8, Size: 0, Values: 0},
		{ID: 9, Size: 1, Values: 10, Lower: []byte{}, Upper: []byte("b")},
	},
	Splits: []int64{4, 1000},
	Wanted: []Column{{Name: "n", Member: "n", Type: "struct", Fields: []Column{{Name: "x", Member: "x", Type: Long}}}},
}

// Loaders of later releases read descriptions that workers have written before an update.
const describedText = `{"u":"9c12d441-03fe-4693-9a96-a0705ddf69c1","s":3,"p":1,"t":["DQcAAA==",null,""],` +
	`"c":[[1,120,10,2,0,"YQ==","eg=="],[7,80,10,0,-1],[8,0,0],[9,1,10,0,0,"","Yg=="]],"o":[4,1000],` +
	`"w":[{"id":0,"name":"n","member":"n","type":"struct","fields":[{"id":0,"name":"x","member":"x","type":"long"}]}]}`

func TestDescription_HasAFixedForm(t *testing.T) {
	text, err := json.Marshal(described)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != describedText {
		t.Errorf("got  %s\nwant %s", text, describedText)
	}
	var read Description
	if err := json.Unmarshal([]byte(describedText), &read); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(read, described) {
		t.Errorf("got  %+v\nwant %+v", read, described)
	}
}

func TestDescription_RefusesWhatItDoesNotUnderstand(t *testing.T) {
	for change, want := range map[[2]string]string{
		{`"s":3`, `"s":3,"x":1`}:                            `unknown field "x"`,
		{`"u":"9c12d441-03fe-4693-9a96-a0705ddf69c1",`, ``}: `"u" is missing: want the table's UUID`,
		{`"s":3`, `"s":-1`}:                                 "schema id -1, spec id 1: want 0 or more",
		{`[8,0,0]`, `[8,0]`}:                                "2 values: want [id, size, values, nulls, NaNs, lower, upper]",
		{`[8,0,0]`, `[8,0,0,0,0,null,null,1]`}:              "8 values",
		{`[8,0,0]`, `[0,0,0]`}:                              "metrics of column 0: want an id above 0",
		{`[8,0,0]`, `[7,0,0]`}:                              "column 7 is described twice",
		{`[8,0,0]`, `[8,0,1,2]`}:                            "no more nulls than values",
		{`[8,0,0]`, `[8,0,1,0,2]`}:                          "2 NaNs: want -1, or 0 to",
		{`[8,0,0]`, `[8,0,"1"]`}:                            "value 3: ",
		{`[8,0,0]`, `[8,0,0,0,0,"?"]`}:                      "value 6: ",
		{`[4,1000]`, `[1000,4]`}:                            "splits [1000 4]: want offsets in rising order",
		{`"type":"long"`, `"type":"long","z":0`}:            `unknown field "z"`,
	} {
		text := strings.Replace(describedText, change[0], change[1], 1)
		if text == describedText {
			t.Errorf("%s is not there", change[0])
		}
		var read Description
		if err := json.Unmarshal([]byte(text), &read); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", change[1], err, want)
		}
	}
}
