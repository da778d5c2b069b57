package table

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Description is what a loader needs to know of a Parquet file, collected while the file was encoded.
//
// Its JSON is kept short, because it travels with the batch: members that are empty are left out, Metrics are arrays, and
// binary values are base64.
type Description struct {
	// UUID and Schema name the state of the table that the file was written for.
	UUID   string
	Schema int
	// Spec is the id of the partition spec, and Partition the tuple, with a value for each of its fields. A nil value is
	// null. Values are encoded as single values (specification, appendix D).
	Spec      int
	Partition [][]byte
	// Columns are the leaf columns in the order of the file.
	Columns []Metrics
	// Splits are the offsets at which row groups begin.
	Splits []int64
	// Wanted are columns that records of the file would fill if the table had them, or had them with that type. Ids are 0.
	// Meanwhile their values are in the column _extra. Of a struct, list or map that the table has, Wanted has the part that is
	// missing or of another type.
	Wanted []Column
}

// Metrics are those of one leaf column of a file.
type Metrics struct {
	ID     int
	Size   int64  // in bytes, as stored
	Values int64  // with nulls
	Nulls  int64  // of Values
	NaNs   int64  // of Values; -1 if not counted
	Lower  []byte // at most as great as any value; nil if not known
	Upper  []byte // at least as great as any value; nil if not known
}

// description is the JSON form of a Description.
type description struct {
	UUID      string    `json:"u"`
	Schema    int       `json:"s"`
	Spec      int       `json:"p"`
	Partition [][]byte  `json:"t,omitempty"`
	Columns   []Metrics `json:"c,omitempty"`
	Splits    []int64   `json:"o,omitempty"`
	Wanted    []Column  `json:"w,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (d Description) MarshalJSON() ([]byte, error) { return json.Marshal(description(d)) }

// UnmarshalJSON implements json.Unmarshaler. It refuses members that it does not know, and what cannot be true of a file.
func (d *Description) UnmarshalJSON(data []byte) error {
	var short description
	if err := decodeStrictly(data, &short); err != nil {
		return fmt.Errorf("description of a file: %w", err)
	}
	if err := Description(short).check(); err != nil {
		return fmt.Errorf("description of a file: %w", err)
	}
	*d = Description(short)
	return nil
}

func decodeStrictly(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

func (d Description) check() error {
	if d.UUID == "" {
		return errors.New(`"u" is missing: want the table's UUID`)
	}
	if d.Schema < 0 || d.Spec < 0 {
		return fmt.Errorf("schema id %d, spec id %d: want 0 or more", d.Schema, d.Spec)
	}
	seen := map[int]bool{}
	for _, m := range d.Columns {
		if seen[m.ID] {
			return fmt.Errorf("column %d is described twice", m.ID)
		}
		seen[m.ID] = true
	}
	if !slices.IsSorted(d.Splits) || len(d.Splits) > 0 && d.Splits[0] < 0 {
		return fmt.Errorf("splits %d: want offsets in rising order", d.Splits)
	}
	return nil
}

// MarshalJSON implements json.Marshaler: [id, size, values, nulls, NaNs, lower, upper], without those at the end that are 0
// or null.
func (m Metrics) MarshalJSON() ([]byte, error) {
	fields := []any{m.ID, m.Size, m.Values, m.Nulls, m.NaNs, m.Lower, m.Upper}
	n := len(fields)
	for n > 3 && (fields[n-1] == any(int64(0)) || isNil(fields[n-1])) {
		n--
	}
	return json.Marshal(fields[:n])
}

func isNil(field any) bool {
	b, ok := field.([]byte)
	return ok && b == nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *Metrics) UnmarshalJSON(data []byte) error {
	var fields []json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return fmt.Errorf("metrics of a column: %w", err)
	}
	var read Metrics
	into := []any{&read.ID, &read.Size, &read.Values, &read.Nulls, &read.NaNs, &read.Lower, &read.Upper}
	if len(fields) < 3 || len(fields) > len(into) {
		return fmt.Errorf("metrics of a column: %d values: want [id, size, values, nulls, NaNs, lower, upper], where the last four may be missing", len(fields))
	}
	for i, field := range fields {
		if err := json.Unmarshal(field, into[i]); err != nil {
			return fmt.Errorf("metrics of a column: value %d: %w", i+1, err)
		}
	}
	switch {
	case read.ID <= 0:
		return fmt.Errorf("metrics of column %d: want an id above 0", read.ID)
	case read.Size < 0 || read.Values < 0 || read.Nulls < 0 || read.Nulls > read.Values:
		return fmt.Errorf("metrics of column %d: size %d, values %d, nulls %d: want 0 or more, and no more nulls than values", read.ID, read.Size, read.Values, read.Nulls)
	case read.NaNs < -1 || read.NaNs > read.Values-read.Nulls:
		return fmt.Errorf("metrics of column %d: %d NaNs: want -1, or 0 to the number of values that are not null", read.ID, read.NaNs)
	}
	*m = read
	return nil
}

// AppendDecimal appends a decimal as a single value. unscaled is in big-endian two's complement, of any length.
func AppendDecimal(dst, unscaled []byte) []byte { return appendMinimal(dst, unscaled) }
