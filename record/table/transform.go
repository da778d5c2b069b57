package table

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/murmur3"
)

// Transform computes a value of a partition tuple from the value of a column (specification, "Partition Transforms").
// Transforms are compared with ==.
type Transform struct {
	Name  string // such as day or bucket
	Width int    // the number of buckets, or the width of truncate; 0 for others
}

// The names of transforms.
const (
	Identity = "identity"
	Year     = "year"
	Month    = "month"
	Day      = "day"
	Hour     = "hour"
	Bucket   = "bucket"
	Truncate = "truncate"
	Void     = "void"
)

// sources are the types that each transform takes; identity and void take all.
var sources = map[string][]string{
	Identity: nil,
	Void:     nil,
	Year:     {Date, Timestamp, TimestampTZ},
	Month:    {Date, Timestamp, TimestampTZ},
	Day:      {Date, Timestamp, TimestampTZ},
	Hour:     {Timestamp, TimestampTZ},
	Bucket:   {Int, Long, Decimal, Date, Time, Timestamp, TimestampTZ, String, UUID, Fixed, Binary},
	Truncate: {Int, Long, Decimal, String, Binary},
}

// maxWidth is the largest width: an int of the specification.
const maxWidth = 1<<31 - 1

var wideTransform = regexp.MustCompile(`^(bucket|truncate)\[([0-9]{1,10})\]$`)

// ParseTransform parses a transform as partition specs have it, such as day or bucket[16].
func ParseTransform(text string) (Transform, error) {
	if _, ok := sources[text]; ok && text != Bucket && text != Truncate {
		return Transform{Name: text}, nil
	}
	if m := wideTransform.FindStringSubmatch(text); m != nil {
		if t := (Transform{Name: m[1], Width: number(m[2])}); t.Width >= 1 && t.Width <= maxWidth {
			return t, nil
		}
	}
	return Transform{}, fmt.Errorf("transform %q: want identity, year, month, day, hour, bucket[N], truncate[W] or void, with N and W from 1 to %d", text, maxWidth)
}

// String returns the transform as partition specs have it.
func (t Transform) String() string {
	if t.Width > 0 {
		return fmt.Sprintf("%s[%d]", t.Name, t.Width)
	}
	return t.Name
}

// Result returns the type of the values that the transform computes from values of a type. The error says which types
// it takes.
func (t Transform) Result(source Type) (Type, error) {
	if types := sources[t.Name]; types != nil && !slices.Contains(types, source.Name) {
		return Type{}, fmt.Errorf("%s of a column of type %s: want one of type %s", t, source, strings.Join(types, ", "))
	}
	switch t.Name {
	case Year, Month, Hour, Bucket:
		return Type{Name: Int}, nil
	case Day:
		// An int by the specification; all implementations make it a date, which is encoded like an int.
		return Type{Name: Date}, nil
	case Truncate:
		if source.Name == Decimal && !t.keepsDecimal(source) {
			return Type{}, fmt.Errorf("%s of a column of type %s: the results would not fit the type; want a smaller width", t, source)
		}
	}
	return source, nil
}

// keepsDecimal reports whether the least value of a decimal type still fits the bytes of the type after it is truncated,
// which is downwards.
func (t Transform) keepsDecimal(source Type) bool {
	bound := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(source.Precision)), nil)
	most := appendBig(nil, bound.Sub(bound, big.NewInt(1)))
	return len(t.truncateDecimal(nil, appendBig(nil, bound.Neg(bound)))) <= len(most)
}

// Append appends the transform's result for a value that is not null. Value and result are encoded as single values of the
// source's type and of Result's. The types must be valid by Result. Void, whose result is null, appends nothing.
func (t Transform) Append(dst, value []byte, source Type) []byte {
	switch t.Name {
	case Identity:
		return append(dst, value...)
	case Bucket:
		return appendInt(dst, t.bucket(value, source))
	case Truncate:
		return t.truncate(dst, value, source)
	case Year, Month, Day, Hour:
		return appendInt(dst, t.period(value, source))
	}
	return dst
}

const (
	hour = int64(time.Hour / time.Microsecond)
	day  = 24 * hour
)

// period returns the number of years, months, days or hours since 1970.
func (t Transform) period(value []byte, source Type) int32 {
	var at time.Time
	if source.Name == Date {
		days := readInt(value)
		if t.Name == Day {
			return days
		}
		at = time.Unix(int64(days)*24*60*60, 0).UTC()
	} else {
		micros := readLong(value)
		switch t.Name {
		case Hour:
			return int32(floorDiv(micros, hour))
		case Day:
			return int32(floorDiv(micros, day))
		}
		at = time.UnixMicro(micros).UTC()
	}
	years := at.Year() - 1970
	if t.Name == Year {
		return int32(years)
	}
	return int32(12*years + int(at.Month()) - 1)
}

func (t Transform) bucket(value []byte, source Type) int32 {
	return int32(hash(value, source)&maxWidth) % int32(t.Width)
}

// hash is that of the specification's appendix B, "32-bit Hash Requirements".
func hash(value []byte, source Type) uint32 {
	if source.Name == Int || source.Name == Date {
		// As a long, so that widening a column does not move its values to other buckets.
		return murmur3.Sum32(appendLong(make([]byte, 0, 8), int64(readInt(value))))
	}
	return murmur3.Sum32(value)
}

func (t Transform) truncate(dst, value []byte, source Type) []byte {
	switch source.Name {
	case Int:
		v := readInt(value)
		return appendInt(dst, v-int32(floorMod(int64(v), int64(t.Width))))
	case Long:
		v := readLong(value)
		return appendLong(dst, v-floorMod(v, int64(t.Width)))
	case Decimal:
		return t.truncateDecimal(dst, value)
	case String:
		return append(dst, firstCharacters(value, t.Width)...)
	}
	return append(dst, value[:min(len(value), t.Width)]...)
}

func (t Transform) truncateDecimal(dst, value []byte) []byte {
	unscaled, width := readBig(value), big.NewInt(int64(t.Width))
	rest := new(big.Int).Mod(unscaled, width) // not negative
	return appendBig(dst, unscaled.Sub(unscaled, rest))
}

// firstCharacters returns the first n code points of a text.
func firstCharacters(text []byte, n int) []byte {
	end := 0
	for ; n > 0 && end < len(text); n-- {
		_, size := utf8.DecodeRune(text[end:])
		end += size
	}
	return text[:end]
}

func floorMod(v, m int64) int64 { return (v%m + m) % m }

func floorDiv(v, d int64) int64 {
	q := v / d
	if v%d < 0 {
		q--
	}
	return q
}
