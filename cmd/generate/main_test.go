package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestFiles_AreWhatTheirSourcesMake(t *testing.T) {
	t.Chdir("../..")
	for _, f := range files {
		present, want, err := f.compare()
		if err != nil {
			t.Errorf("%s: %v", f.path, err)
		} else if line, ok := difference(present, want); ok {
			t.Errorf("%s is not what its source makes: run make generate; the first line that differs should be %q", f.path, line)
		}
	}
}

// A word that differs is noticed, wherever it is generated.
func TestFiles_ADifferenceIsNoticed(t *testing.T) {
	t.Chdir("../..")
	for _, f := range files {
		text, err := os.ReadFile(f.path)
		if err != nil {
			t.Fatal(err)
		}
		edited := bytes.ReplaceAll(text, []byte("Name of the S3 bucket"), []byte("name of the S3 bucket"))
		edited = bytes.ReplaceAll(edited, []byte("a gzip header,"), []byte("the gzip header,"))
		if bytes.Equal(text, edited) {
			t.Fatalf("%s describes neither BUCKET nor Gzip.Corrupt", f.path)
		}
		if want, err := f.render(edited); err != nil {
			t.Error(err)
		} else if _, differs := difference(edited, want); !differs {
			t.Errorf("%s: an edit of the generated part goes unnoticed", f.path)
		}
	}
}

// difference is the first line in which two texts differ.
func difference(got, want []byte) (line string, differs bool) {
	if bytes.Equal(got, want) {
		return "", false
	}
	a, b := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i, line := range b {
		if i >= len(a) || a[i] != line {
			return line, true
		}
	}
	return "(the end of the file)", true
}

func TestFill_NeedsBothMarks(t *testing.T) {
	for _, document := range []string{"", "<!-- a -->\n", "<!-- a -->\n<!-- /b -->\n"} {
		if _, err := fill([]byte(document), "a", "text\n"); err == nil {
			t.Errorf("%q is filled", document)
		}
	}
	got, err := fill([]byte("x\n<!-- a -->\nold\n<!-- /a -->\ny\n"), "a", "new\n")
	if err != nil || string(got) != "x\n<!-- a -->\nnew\n<!-- /a -->\ny\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestFirst_AreEightSettings(t *testing.T) {
	if n := strings.Count(firstSettings(), "\n| `"); n != 8 {
		t.Errorf("the README lists %d settings first", n)
	}
}
