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
		edited := bytes.ReplaceAll(text, []byte("Bound on the bytes"), []byte("bound on the bytes"))
		edited = bytes.ReplaceAll(edited, []byte("a gzip stream that"), []byte("the gzip stream that"))
		edited = bytes.ReplaceAll(edited, []byte("the name of a bucket"), []byte("a name of a bucket"))
		edited = bytes.ReplaceAll(edited, []byte("heartbeats, commits"), []byte("heartbeats and commits"))
		if bytes.Equal(text, edited) {
			t.Fatalf("%s describes neither MEMORY_BUDGET nor Gzip.Corrupt nor a permission, and has no rule of BUCKET", f.path)
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

func TestFirst_AreNineSettings(t *testing.T) {
	if n := strings.Count(firstSettings(), "\n| `"); n != 9 {
		t.Errorf("the README lists %d settings first", n)
	}
}

// A setting that the template neither sets by hand nor leaves alone becomes a parameter, and one that it sets is none.
func TestTemplate_MakesAParameterOfEachSettingThatIsNotSetByHand(t *testing.T) {
	const marks = "Metadata:\n    LOG_LEVEL: left alone\nParameters:\n  # <settings>\n  # </settings>\n%s            # <settings>\n            # </settings>\n" +
		"              # <settings of the loader>\n              # </settings of the loader>\n"
	got, err := template([]byte(strings.Replace(marks, "%s", "            - {Name: LOG_FORMAT, Value: json}\n            - Name: BUCKET\n", 1)))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"LOG_LEVEL": false, "LOG_FORMAT": false, "BUCKET": false, "FILE_SIZE": true, "MAX_LEASES": true} {
		parameter := strings.Contains(string(got), "\n    Description: \""+name+": ")
		variable := strings.Contains(string(got), "            - {Name: "+name+", Value: !Ref ")
		if parameter != want || variable != want {
			t.Errorf("%s: parameter %v, variable %v, want %v", name, parameter, variable, want)
		}
	}
	_, ofLoader, _ := strings.Cut(string(got), "# <settings of the loader>")
	for name, containers := range map[string]int{"FILE_SIZE": 1, "FORMAT": 2, "TABLE": 2, "LOAD_INTERVAL": 2, "TABLE_CREATE": 1} {
		variable := "- {Name: " + name + ", Value: !Ref "
		if n := strings.Count(string(got), variable); n != containers || strings.Contains(ofLoader, variable) != (name != "FILE_SIZE") {
			t.Errorf("%s is set in %d containers, want %d:\n%s", name, n, containers, ofLoader)
		}
	}
}
