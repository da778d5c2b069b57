package prefix

import (
	"context"
	"encoding/json"
	"errors"
	"math/big"
	"time"

	"github.com/itchyny/gojq"

	"aws-streaming-pipeline/record"
)

// A query may take freeWork units of work for any payload, and workPerByte for each of its bytes. A unit is one step of
// the interpreter, or what a function does to eight bytes or one element. Queries in use take some tens.
const (
	freeWork    = 250_000
	workPerByte = 8
)

const (
	// maxDepth bounds the nesting of a payload, and of a value that a function walks to its leaves. jq 1.6 parses no deeper
	// arrays (MAX_PARSING_DEPTH in its jv_parse.c). A step of the interpreter takes longer in a deep recursion.
	maxDepth = 256
	// maxBits bounds the integers that a query computes with: record.MaxNumberDigits, and some room for sums.
	maxBits = record.MaxNumberDigits*10/3 + 64
)

var errTooExpensive = errors.New("the query exceeds its work limit for this payload")

// work is the work that a query may still do for a payload. It is a context that ends when nothing is left: the interpreter
// checks it before each of its steps, and functions spend what their arguments cost before they are called. Unlike a time
// limit, this is the same on every machine and in every replay.
type work struct {
	left    int
	payload []byte
	root    any // of the payload

	sizes   bool // largest is known
	largest int  // cost of looking at the largest string or object, of the payload or made of it

	touched []any // see touch

	order      order
	orderRead  bool
	changes    []change
	remembered []any // the values whose addresses are in order
}

// start resets w for a payload.
func (w *work) start(payload []byte, root any, units int) {
	*w = work{left: units, payload: payload, root: root}
}

// spend subtracts units from what is left. It returns false if they are not available, and from then on.
func (w *work) spend(units int) bool {
	if units > w.left || w.left < 0 {
		w.left = -1
		return false
	}
	w.left -= units
	return true
}

// multiply is spend of a product.
func (w *work) multiply(a, b int) bool {
	if b > 0 && a > w.left/b {
		w.left = -1
		return false
	}
	return w.spend(a * b)
}

var ended = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func (w *work) Done() <-chan struct{} {
	if w.left--; w.left < 0 {
		return ended
	}
	return nil
}

func (w *work) Err() error {
	if w.left < 0 {
		return errTooExpensive
	}
	return nil
}

func (w *work) Deadline() (time.Time, bool) { return time.Time{}, false }
func (w *work) Value(any) any               { return nil }

var _ context.Context = (*work)(nil)

// text is the cost of reading a string.
func text(v any) int {
	s, _ := v.(string)
	return len(s) / 8
}

// characters is the cost of counting a string's characters.
func characters(v any) int {
	s, _ := v.(string)
	return len(s) / 4
}

// flat is the cost of copying a value, excluding its elements.
func flat(v any) int {
	switch v := v.(type) {
	case []any:
		return len(v) / 2
	case map[string]any:
		return 2 * len(v)
	}
	return text(v)
}

// elements is the cost of copying a value and its elements.
func elements(v any) int {
	n := flat(v)
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			n += 1 + flat(element)
		}
	case map[string]any:
		for _, member := range v {
			n += 1 + flat(member)
		}
	}
	return n
}

// measure spends the cost of walking a value to its leaves, and returns it.
func (w *work) measure(v any) int {
	before := w.left
	w.descend(v, maxDepth)
	return before - w.left
}

func (w *work) descend(v any, depth int) {
	if depth < 0 {
		w.left = -1
	}
	switch v := v.(type) {
	case string:
		w.spend(1 + len(v)/8)
	case json.Number:
		w.spend(1 + len(v)/8)
	case *big.Int:
		w.spend(1 + v.BitLen()/64)
	case []any:
		w.spend(1)
		for _, element := range v {
			if w.left < 0 {
				return
			}
			w.descend(element, depth-1)
		}
	case map[string]any:
		w.spend(1)
		for name, member := range v {
			if w.left < 0 {
				return
			}
			w.spend(1 + len(name)/8)
			w.descend(member, depth-1)
		}
	default:
		w.spend(1)
	}
}

// bounded fails an integer that is too long to compute with.
func (w *work) bounded(v any) {
	if n, ok := v.(*big.Int); ok && n.BitLen() > maxBits {
		w.left = -1
	}
}

// made records the cost of a value that the query has made.
func (w *work) made(units int) {
	w.largest = max(w.largest, units)
}

// caught spends the cost of an error's text: it shows the beginning of a value, for which the interpreter reads a string
// or sorts an object's names.
func (w *work) caught() {
	if !w.sizes {
		w.sizes = true
		w.measure(w.root)
		w.made(largest(w.root))
	}
	w.spend(w.largest)
}

func largest(v any) int {
	n := 0
	switch v := v.(type) {
	case string:
		n = flat(v)
	case []any:
		for _, element := range v {
			n = max(n, largest(element))
		}
	case map[string]any:
		for _, member := range v {
			n = max(n, largest(member))
		}
		n += flat(v) // the beginning of an object may hold the next one
	}
	return n
}

// index spends what looking up a key in a value costs, errors included.
func (w *work) index(v, key any) {
	switch v := v.(type) {
	case string:
		w.spend(characters(v))
	case []any:
		switch key := key.(type) {
		case []any:
			w.multiply(len(v), w.measure(key))
		case string:
			w.measure(v) // for the error
		}
	case map[string]any:
		if _, ok := key.(string); !ok {
			w.measure(v) // for the error
		}
	}
}

// element returns the value at a key of a value.
func element(v, key any) any {
	switch v := v.(type) {
	case map[string]any:
		if name, ok := key.(string); ok {
			return v[name]
		}
	case []any:
		if bounds, ok := key.(map[string]any); ok {
			from, to := 0, len(v)
			if n, ok := gojq.ToInt(bounds["start"]); ok {
				from = place(n, len(v))
			}
			if n, ok := gojq.ToInt(bounds["end"]); ok {
				to = max(from, place(n, len(v)))
			}
			return v[from:to]
		}
		if n, ok := gojq.ToInt(key); ok && -len(v) <= n && n < len(v) {
			return v[(n+len(v))%len(v)]
		}
	}
	return nil
}

func place(n, length int) int {
	if n < 0 {
		n += length
	}
	return min(max(n, 0), length)
}

// get spends what looking up a path in a value costs.
func (w *work) get(v, path any) {
	keys, _ := path.([]any)
	for _, key := range keys {
		w.spend(1)
		w.index(v, key)
		v = element(v, key)
	}
}

// set spends what setting the value at a path costs: each object and array on the way is copied, except on the first
// levels, and an array grows up to its new element.
func (w *work) set(v, path any, levels int) {
	keys, _ := path.([]any)
	if len(keys) > maxDepth {
		w.left = -1
	}
	for i, key := range keys {
		if w.spend(1); w.left < 0 {
			return
		}
		if i >= levels {
			w.spend(flat(v))
			w.index(v, key)
		}
		if n, ok := gojq.ToInt(key); ok {
			array, _ := v.([]any)
			w.multiply(max(0, n-len(array)), 2)
		}
		v = element(v, key)
	}
}

// touch is set for successive paths of the same update, which copies each object and array only once. An update begins
// with untouch.
func (w *work) touch(v, path any) {
	keys, _ := path.([]any)
	shared := 0
	for shared < min(len(keys), len(w.touched)) && sameKey(keys[shared], w.touched[shared]) {
		shared++
	}
	levels := 0 // copied before
	if w.touched != nil {
		levels = shared + 1
	}
	w.set(v, path, levels)
	if w.touched = keys; shared == len(keys) {
		w.touched = nil // the copies are handed out now, so they will be copied again
	}
}

func (w *work) untouch() { w.touched = nil }

func sameKey(a, b any) bool {
	switch a := a.(type) {
	case string:
		return a == b
	case int:
		return a == b
	}
	return false
}
