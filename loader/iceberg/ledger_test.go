package iceberg

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestLedger_IsReadStrictly(t *testing.T) {
	for text, want := range map[string]string{
		"a":                                     "",
		"018f-a,018f-b":                         "",
		"":                                      "entry 1 is not the id of a batch",
		"a,":                                    "entry 2 is not the id of a batch",
		",a":                                    "entry 1 is not the id of a batch",
		"a,b c":                                 "entry 2 is not the id of a batch",
		"a,a":                                   "batch a occurs twice",
		"null":                                  "",
		`["a"]`:                                 "entry 1 is not the id of a batch",
		strings.Repeat("x", 65):                 "entry 1 is not the id of a batch",
		strings.Repeat("a,", maxLedger/2) + "a": "bytes: want at most",
	} {
		ids, err := decodeLedger(text)
		if want == "" && (err != nil || strings.Join(ids, ",") != text) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.40q is read as %v, %v; want an error with %q", text, ids, err, want)
		}
	}
}

func TestLedger_IsWrittenAsItIsRead(t *testing.T) {
	var ids []string
	for i := range 2000 {
		ids = append(ids, fmt.Sprintf("018f2d3c-0000-7000-8000-%012d", i))
	}
	text, err := encodeLedger(ids)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decodeLedger(text); err != nil || !slices.Equal(got, ids) {
		t.Errorf("%d ids are read as %d, %v", len(ids), len(got), err)
	}
	if _, err := encodeLedger([]string{"a,b"}); err == nil {
		t.Error("an id with a comma is written")
	}
	if summary := summarize(ids); len(summary) > maxSummary+4 || !strings.HasSuffix(summary, ",...") || !strings.HasPrefix(text, strings.TrimSuffix(summary, "...")) {
		t.Errorf("the summary is %q", summary)
	}
}
