package redrive

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// lineSet is an ordered set of line numbers. Its text form is that of print dialogs: "0-12,15".
type lineSet []int

func (s lineSet) has(n int) bool {
	_, found := slices.BinarySearch(s, n)
	return found
}

func (s lineSet) union(o lineSet) lineSet {
	all := slices.Concat(s, o)
	slices.Sort(all)
	return slices.Compact(all)
}

func (s lineSet) without(o lineSet) lineSet {
	return slices.DeleteFunc(slices.Clone(s), o.has)
}

// MarshalText implements encoding.TextMarshaler.
func (s lineSet) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s lineSet) String() string {
	var b strings.Builder
	for i := 0; i < len(s); {
		j := i
		for j+1 < len(s) && s[j+1] == s[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(s[i]))
		if j > i {
			b.WriteString("-" + strconv.Itoa(s[j]))
		}
		i = j + 1
	}
	return b.String()
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *lineSet) UnmarshalText(text []byte) error {
	*s = nil
	if len(text) == 0 {
		return nil
	}
	for part := range strings.SplitSeq(string(text), ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		first, err1 := strconv.Atoi(low)
		last, err2 := strconv.Atoi(high)
		if err1 != nil || err2 != nil || first < 0 || last < first || last-first >= maxSpan {
			return fmt.Errorf("line range %q: want numbers such as 3 or 0-12", part)
		}
		for n := first; n <= last; n++ {
			*s = append(*s, n)
		}
	}
	slices.Sort(*s)
	return nil
}

// maxSpan protects against an edited marker that would exhaust memory.
const maxSpan = 1 << 20
