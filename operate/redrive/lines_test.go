package redrive

import (
	"slices"
	"testing"
)

func TestLineSet_IsReadAsItIsWritten(t *testing.T) {
	for text, set := range map[string]lineSet{
		"":          nil,
		"7":         {7},
		"0-2":       {0, 1, 2},
		"0-2,5,7-8": {0, 1, 2, 5, 7, 8},
		"1,3,5":     {1, 3, 5},
		"1000-1001": {1000, 1001},
	} {
		if got := set.String(); got != text {
			t.Errorf("%v is written %q, want %q", []int(set), got, text)
		}
		var read lineSet
		if err := read.UnmarshalText([]byte(text)); err != nil || !slices.Equal(read, set) {
			t.Errorf("%q is read as %v, %v", text, []int(read), err)
		}
	}
}

func TestLineSet_RefusesWhatIsNoRange(t *testing.T) {
	for _, text := range []string{"a", "1-", "-1", "3-1", "1,,2", "0-99999999999", "1-2-3"} {
		var s lineSet
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %d lines", text, len(s))
		}
	}
}

func TestLineSet_Sets(t *testing.T) {
	a, b := lineSet{1, 3, 5}, lineSet{3, 4}
	if got := a.union(b); !slices.Equal(got, lineSet{1, 3, 4, 5}) {
		t.Errorf("union is %v", []int(got))
	}
	if got := a.without(b); !slices.Equal(got, lineSet{1, 5}) || !slices.Equal(a, lineSet{1, 3, 5}) {
		t.Errorf("difference is %v", []int(got))
	}
	if !a.has(3) || a.has(4) {
		t.Error("has is wrong")
	}
}
