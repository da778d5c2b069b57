package table

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"
)

// Value is a value of a partition tuple for people to read.
type Value struct {
	Field string `json:"field"`
	Text  string `json:"value"` // null for null
}

// Describe returns the values of a tuple as text: 2026-11-29 for a day, 2026-11-29-02 for an hour, hexadecimal digits for bytes.
func (p *Partitioner) Describe(tuple string) []Value {
	values := make([]Value, len(p.fields))
	for i, value := range p.Values(tuple) {
		f := &p.fields[i]
		values[i] = Value{Field: f.name, Text: "null"}
		if value != nil {
			values[i].Text = f.transform.text(value, f.typ)
		}
	}
	return values
}

// text writes a result of the transform, encoded as Append does.
func (t Transform) text(value []byte, source Type) string {
	switch t.Name {
	case Year:
		return epoch.AddDate(int(readInt(value)), 0, 0).Format("2006")
	case Month:
		return epoch.AddDate(0, int(readInt(value)), 0).Format("2006-01")
	case Hour:
		return time.Unix(int64(readInt(value))*60*60, 0).UTC().Format("2006-01-02-15")
	}
	result, err := t.Result(source)
	if err != nil {
		return hex.EncodeToString(value)
	}
	switch result.Name {
	case Boolean:
		return strconv.FormatBool(value[0] != 0)
	case Int:
		return fmt.Sprint(readInt(value))
	case Long:
		return fmt.Sprint(readLong(value))
	case Float:
		return fmt.Sprint(math.Float32frombits(uint32(readInt(value))))
	case Double:
		return fmt.Sprint(math.Float64frombits(uint64(readLong(value))))
	case Decimal:
		scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(result.Scale)), nil)
		return new(big.Rat).SetFrac(readBig(value), scale).FloatString(result.Scale)
	case Date:
		return epoch.AddDate(0, 0, int(readInt(value))).Format(time.DateOnly)
	case Timestamp:
		return time.UnixMicro(readLong(value)).UTC().Format("2006-01-02T15:04:05.999999")
	case TimestampTZ:
		return time.UnixMicro(readLong(value)).UTC().Format(time.RFC3339Nano)
	case String:
		return string(value)
	}
	return hex.EncodeToString(value)
}

var epoch = time.Unix(0, 0).UTC()
