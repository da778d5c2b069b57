package prefix

import (
	"encoding/json"
	"math/bits"
	"strings"

	"github.com/itchyny/gojq"

	"aws-streaming-pipeline/record"
)

// native is a function that the interpreter implements in Go. It runs in one step, however much work that is.
type native struct {
	// charge spends the cost of a call before it is made; nil if it costs no more than a step.
	charge func(w *work, v any, args []any)
	// constant is set if a call with constant arguments costs no more than a step.
	constant bool
	// made is the name of the charge for the result.
	made string
	// closures is set if the arguments are filters, not values.
	closures bool
}

// natives are the functions that queries may call, by name and number of arguments. Functions that are not listed here or
// in builtins.jq are not available, so nobody uses one of a later version of the interpreter before its cost is known.
var natives = func() map[string]native {
	natives := map[string]native{
		"empty/0": {closures: true}, "path/1": {closures: true, made: "flat"}, "_last/1": {closures: true},

		"length/0": {charge: ofInput(characters)}, "keys/0": {charge: ofInput(flat)}, "reverse/0": {charge: ofInput(flat)},
		"add/0":  {charge: chargeAdd, made: "made"},
		"trim/0": {charge: ofInput(text)}, "ltrim/0": {charge: ofInput(text)}, "rtrim/0": {charge: ofInput(text)},
		"ascii_downcase/0": {charge: ofInput(text)}, "ascii_upcase/0": {charge: ofInput(text)},
		"explode/0": {charge: chargeExplode}, "implode/0": {charge: ofInput(flat)}, "_captures/0": {charge: ofInput(flat)},
		"startswith/1": {charge: ofArgument(text), constant: true}, "endswith/1": {charge: ofArgument(text), constant: true},
		"ltrimstr/1": {charge: ofArgument(text), constant: true}, "rtrimstr/1": {charge: ofArgument(text), constant: true},
		"trimstr/1": {charge: ofArgument(text), constant: true},
		"split/1":   {charge: chargeExplode}, "join/1": {charge: chargeJoin},
		"contains/1": {charge: chargeContains}, "inside/1": {charge: chargeInside},
		"index/1": {charge: chargeIndices}, "rindex/1": {charge: chargeIndices}, "indices/1": {charge: chargeIndices},

		"format/1":   {charge: chargeFormat},
		"tonumber/0": {charge: chargeToNumber}, "fromjson/0": {charge: chargeFromJSON, made: "numbers"},

		"flatten/0": {charge: chargeAll}, "flatten/1": {charge: chargeAll}, "transpose/0": {charge: chargeTranspose},
		"min/0": {charge: chargeCompare}, "max/0": {charge: chargeCompare},
		"sort/0": {charge: chargeSort}, "unique/0": {charge: chargeSort}, "bsearch/1": {charge: chargeCompare},
		"_min_by/1": {charge: chargeCompare}, "_max_by/1": {charge: chargeCompare},
		"_sort_by/1": {charge: chargeSort}, "_group_by/1": {charge: chargeSort}, "_unique_by/1": {charge: chargeSort},

		"getpath/1": {charge: chargeGetpath}, "setpath/2": {charge: chargeSetpath}, "delpaths/1": {charge: chargeSort},

		"strftime/1":      {charge: chargeStrftime, constant: true},
		"strflocaltime/1": {charge: chargeStrftime, constant: true},
		"strptime/1":      {charge: chargeStrptime, constant: true},
	}
	for _, free := range []string{
		"type/0", "has/1", "utf8bytelength/0", "toboolean/0", "error/0", "error/1", "halt/0", "halt_error/0", "halt_error/1", "_range/3",
		"gmtime/0", "localtime/0", "mktime/0", "now/0", "nan/0", "infinite/0", "isnan/0", "isinfinite/0", "isfinite/0", "isnormal/0",
		"sin/0", "cos/0", "tan/0", "asin/0", "acos/0", "atan/0", "sinh/0", "cosh/0", "tanh/0", "asinh/0", "acosh/0", "atanh/0",
		"floor/0", "round/0", "nearbyint/0", "rint/0", "ceil/0", "trunc/0", "significand/0", "fabs/0", "sqrt/0", "cbrt/0",
		"exp/0", "exp10/0", "exp2/0", "expm1/0", "frexp/0", "modf/0", "log/0", "log10/0", "log1p/0", "log2/0", "logb/0",
		"gamma/0", "tgamma/0", "lgamma/0", "erf/0", "erfc/0", "j0/0", "j1/0", "y0/0", "y1/0",
		"atan2/2", "copysign/2", "drem/2", "fdim/2", "fmax/2", "fmin/2", "fmod/2", "hypot/2", "nextafter/2", "nexttoward/2",
		"remainder/2", "ldexp/2", "scalb/2", "scalbln/2", "pow/2", "fma/3",
	} {
		natives[free] = native{}
	}
	return natives
}()

// charges are those of operators and of syntax, by name.
var charges = map[string]func(w *work, v any, args []any){
	"all":      chargeAll,
	"flat":     ofInput(flat),
	"made":     chargeMade,
	"numbers":  chargeNumbers,
	"subtract": chargeSubtract,
	"multiply": chargeMultiply,
	"divide":   chargeDivide,
	"iterate":  chargeIterate,
	"slice":    chargeSlice,
	"index":    func(w *work, v any, args []any) { w.index(v, args[0]) },
	"member":   chargeMember,
	"caught":   func(w *work, _ any, _ []any) { w.caught() },
	"set":      func(w *work, v any, args []any) { w.set(v, args[0], 0) },
	"untouch":  func(w *work, _ any, _ []any) { w.untouch() },
	"touch":    func(w *work, v any, args []any) { w.touch(args[0], v) },
}

func ofInput(cost func(any) int) func(*work, any, []any) {
	return func(w *work, v any, _ []any) { w.spend(cost(v)) }
}

func ofArgument(cost func(any) int) func(*work, any, []any) {
	return func(w *work, _ any, args []any) { w.spend(cost(args[0])) }
}

// chargeAll is for functions that walk a value to its leaves and write it.
func chargeAll(w *work, v any, _ []any) { w.made(w.measure(v)) }

// chargeFormat is chargeAll for formats that write several bytes for one.
func chargeFormat(w *work, v any, _ []any) {
	n := 4 * w.measure(v)
	w.spend(n)
	w.made(n)
}

// chargeMade is for results that hold copies of two values: their sizes are the best measure of the cost.
func chargeMade(w *work, v any, _ []any) {
	n := flat(v)
	w.spend(n)
	w.made(n)
	w.bounded(v)
}

// chargeNumbers is for results with numbers parsed from a string of the payload.
func chargeNumbers(w *work, v any, _ []any) {
	w.made(w.measure(v))
	if w.left >= 0 && !record.NumbersBounded(v) {
		w.left = -1
	}
}

func chargeAdd(w *work, v any, _ []any) { w.spend(elements(v)) }

func chargeExplode(w *work, v any, _ []any) {
	s, _ := v.(string)
	w.spend(len(s))
}

func chargeJoin(w *work, v any, args []any) {
	before := w.left
	if w.spend(elements(v)) {
		switch v := v.(type) {
		case []any:
			w.multiply(len(v), 1+text(args[0]))
		case map[string]any:
			w.multiply(len(v), 2+text(args[0]))
		}
	}
	w.made(before - w.left)
}

// chargeContains assumes that each part of one value is compared with each part of the other.
func chargeContains(w *work, v any, args []any) { w.multiply(w.measure(v), w.measure(args[0])) }

func chargeInside(w *work, v any, args []any) { chargeContains(w, args[0], []any{v}) }

func chargeIndices(w *work, v any, args []any) {
	switch v := v.(type) {
	case string:
		s, _ := args[0].(string)
		w.spend(len(s))
		w.multiply(len(v), 1+len(s)/4)
	case []any:
		w.spend(w.measure(v))
		w.multiply(len(v), w.measure(args[0]))
	}
}

func chargeToNumber(w *work, v any, _ []any) {
	if s, ok := v.(string); ok && !record.NumbersBounded(json.Number(s)) {
		w.left = -1
	}
}

func chargeFromJSON(w *work, v any, _ []any) {
	s, _ := v.(string)
	w.spend(len(s))
}

func chargeTranspose(w *work, v any, _ []any) {
	rows, _ := v.([]any)
	longest := 0
	w.spend(len(rows))
	for _, row := range rows {
		row, _ := row.([]any)
		longest = max(longest, len(row))
	}
	w.multiply(longest, len(rows)+2)
}

// chargeCompare is for functions that compare each element with another one.
func chargeCompare(w *work, v any, args []any) {
	w.spend(w.measure(v))
	for _, arg := range args {
		w.spend(w.measure(arg))
	}
}

// chargeSort is for functions that sort the elements, or the arguments.
func chargeSort(w *work, v any, args []any) {
	n := w.measure(v)
	array, _ := v.([]any)
	for _, arg := range args {
		n = w.measure(arg)
		array, _ = arg.([]any)
	}
	w.multiply(n, bits.Len(uint(len(array))))
}

func chargeGetpath(w *work, v any, args []any) { w.get(v, args[0]) }

func chargeSetpath(w *work, v any, args []any) { w.set(v, args[0], 0) }

// chargeStrftime assumes that the format has widths of four digits. The interpreter bounds them at 1,024.
func chargeStrftime(w *work, _ any, args []any) {
	w.multiply(text(args[0])+1, 1024/5)
}

func chargeStrptime(w *work, _ any, args []any) { w.spend(text(args[0])) }

func chargeSubtract(w *work, _ any, args []any) {
	w.bounded(args[0])
	w.bounded(args[1])
	l, _ := args[0].([]any)
	r, _ := args[1].([]any)
	if len(l) > 0 && len(r) > 0 {
		w.multiply(w.measure(l), len(r))
		w.multiply(w.measure(r), len(l))
	}
}

func chargeMultiply(w *work, _ any, args []any) {
	l, r := args[0], args[1]
	for range 2 {
		switch v := l.(type) {
		case string:
			if n, ok := gojq.ToFloat64(r); ok && n > 0 {
				w.multiply(1+len(v)/8, int(min(n, 1<<31)))
				w.made(len(v) / 8 * int(min(n, 1<<31)))
			}
		case map[string]any:
			w.made(w.measure(v))
		}
		l, r = r, l
	}
	if longInteger(l)+longInteger(r) > maxBits {
		w.left = -1
	}
}

// longInteger returns the bits of a number if it is an integer that does not fit an int.
func longInteger(v any) int {
	switch v := v.(type) {
	case json.Number:
		if len(v) > 18 && !strings.ContainsAny(string(v), ".eE") {
			return len(v) * 10 / 3
		}
	case interface{ BitLen() int }:
		return v.BitLen()
	}
	return 0
}

func chargeDivide(w *work, _ any, args []any) {
	s, _ := args[0].(string)
	w.spend(len(s))
}

func chargeIterate(w *work, v any, _ []any) {
	n := flat(v)
	if object, ok := v.(map[string]any); ok {
		n += len(object) * bits.Len(uint(len(object))) / 2
	}
	w.spend(n)
}

func chargeSlice(w *work, v any, _ []any) {
	w.spend(characters(v))
	if object, ok := v.(map[string]any); ok {
		w.measure(object) // for the error
	}
}

// chargeMember is for the error of .name? on a value that is not an object.
func chargeMember(w *work, v any, _ []any) {
	switch v := v.(type) {
	case string:
		w.spend(text(v))
	case []any:
		w.measure(v)
	}
}
