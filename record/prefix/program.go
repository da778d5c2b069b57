package prefix

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"

	"github.com/itchyny/gojq"

	"aws-streaming-pipeline/record"
)

// Program is a jq program that makes JSON objects of a payload. Its language, and the bounds on its work, are those of a
// Router's query. It is safe for concurrent use.
type Program struct{ programs programs }

// NewProgram compiles a program. Its error states what is wanted.
func NewProgram(source string) (*Program, error) {
	p := &Program{}
	if err := p.programs.compile(source, true); err != nil {
		return nil, err
	}
	return p, nil
}

// A program may make someBytes of any payload, and bytesPerByte for each of its bytes: a fetch of many small payloads must
// not become gigabytes because they have a number in them with which the program multiplies. The number of objects is
// bounded as the decoder bounds the parts of a payload: any number of {"a":1} may be split.
const (
	someBytes     = 4 << 10
	bytesPerByte  = 16
	someObjects   = 64
	bytesAnObject = len(`{"a":1}`)
)

// The errors of Append that are not a *record.Fault. None shows anything of a payload.
var (
	ErrFailed       = errFailed
	ErrTooExpensive = errTooExpensive
	ErrTooLarge     = errors.New("the results are too large, or too many, for a payload of this size")
	ErrNotAnObject  = errors.New("a result of the query is not an object")
	ErrNotFinite    = errors.New("a result of the query has a number that is infinite or not a number")
)

// Append runs the program on a payload. It appends the objects that it makes to dst, one after the other, and the offset in
// dst at which each of them ends to ends. The payload itself, as a result, keeps its bytes; other objects are written
// without white space, with their members in jq's order and the numbers of the payload with their digits.
//
// On error dst and ends have their original lengths: a program makes all of its objects or none.
func (p *Program) Append(dst []byte, ends []int, payload []byte) ([]byte, []int, error) {
	if fault := record.CheckJSONValue(payload); fault != nil {
		return dst, ends, fault
	}
	input, err := decode(payload)
	if err != nil {
		return dst, ends, ErrFailed // it was checked
	}
	if !record.NumbersBounded(input) {
		return dst, ends, record.NumberTooLarge()
	}
	if tooDeep(payload, input) {
		return dst, ends, errTooDeep
	}
	out, made := dst, ends
	most, mostBytes := someObjects+len(payload)/bytesAnObject, someBytes+bytesPerByte*len(payload)
	err = p.programs.run(payload, input, freeWork+workPerByte*len(payload), func(w *work, result any) (err error) {
		object, ok := result.(map[string]any)
		if !ok {
			return ErrNotAnObject
		}
		if out, err = w.appendObject(out, object); err != nil {
			return err
		}
		if made = append(made, len(out)); len(made)-len(ends) > most || len(out)-len(dst) > mostBytes {
			return ErrTooLarge
		}
		return nil
	})
	if err != nil {
		return dst, ends, err
	}
	return out, made, nil
}

// appendObject writes a result.
func (w *work) appendObject(dst []byte, object map[string]any) ([]byte, error) {
	if root, ok := w.root.(map[string]any); ok && pointer(root) == pointer(object) {
		return append(dst, w.payload...), nil
	}
	w.measure(object)
	dst, err := w.appendValue(dst, object)
	if w.left < 0 {
		return dst, errTooExpensive
	}
	return dst, err
}

// appendValue writes a value as jq does, but refuses the numbers for which jq writes others.
func (w *work) appendValue(dst []byte, v any) (_ []byte, err error) {
	if w.left < 0 {
		return dst, errTooExpensive
	}
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case string:
		return record.AppendJSONString(dst, v), nil
	case json.Number:
		return append(dst, v...), nil
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case *big.Int:
		return v.Append(dst, 10), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return dst, ErrNotFinite
		}
		text, err := gojq.Marshal(v)
		return append(dst, text...), err
	case []any:
		dst = append(dst, '[')
		for i, element := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = w.appendValue(dst, element); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case map[string]any:
		dst = append(dst, '{')
		for i, name := range w.names(v) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(record.AppendJSONString(dst, name), ':')
			if dst, err = w.appendValue(dst, v[name]); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	}
	return dst, fmt.Errorf("%w: it has a value of type %T", ErrFailed, v)
}
