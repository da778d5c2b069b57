package prefix_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/prefix"
)

func TestCodes_AreTheConstantsAndTheTableOfThePackage(t *testing.T) {
	var constants, names []string
	ast.Inspect(parseFile(t, "codes.go"), func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Code") {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			constants = append(constants, value)
		}
		return true
	})
	table := parseFile(t, "prefix.go").Doc.Text()
	for _, c := range prefix.Codes() {
		names = append(names, c.Name)
		if !regexp.MustCompile(`(?m)^\s+` + regexp.QuoteMeta(c.Name) + ` +` + regexp.QuoteMeta(c.Meaning) + `$`).MatchString(table) {
			t.Errorf("the package's documentation does not say: %s %s", c.Name, c.Meaning)
		}
		if c.Type != record.ProcessingFailed {
			t.Errorf("%s is of type %q", c.Name, c.Type)
		}
		if slices.ContainsFunc(record.Codes(), func(other record.Code) bool { return other.Name == c.Name }) {
			t.Errorf("%s is a code of package record too", c.Name)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("not sorted: %v", names)
	}
	if slices.Sort(constants); !slices.Equal(names, constants) {
		t.Errorf("codes are %v, constants %v", names, constants)
	}
}

func parseFile(t *testing.T, name string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestValidateExtension_AppliesFirehosesRule(t *testing.T) {
	for extension, ok := range map[string]bool{
		"": true, ".gz": true, ".json.gz": true, ".custom.log": true, ".0-9_!*'().x": true, "." + strings.Repeat("x", 127): true,
		"gz": false, ".": false, ".GZ": false, ".a/b": false, ".a b": false, ".a\n": false, ".é": false, "." + strings.Repeat("x", 128): false,
	} {
		if err := prefix.ValidateExtension(extension); (err == nil) != ok {
			t.Errorf("%q: %v", extension, err)
		}
	}
}

func TestLoadZone_KnowsZonesByNameAndNotTheMachines(t *testing.T) {
	for name, want := range map[string]string{"": "UTC", "UTC": "UTC", "Europe/Lisbon": "Europe/Lisbon", "Asia/Tokyo": "Asia/Tokyo", "America/Argentina/Buenos_Aires": "America/Argentina/Buenos_Aires"} {
		if z, err := prefix.LoadZone(name); err != nil || z.String() != want {
			t.Errorf("%q: %v, %v", name, z, err)
		}
	}
	for _, name := range []string{"Local", "Mars/Olympus", "../etc/passwd", "CET+1"} {
		if _, err := prefix.LoadZone(name); err == nil || !strings.Contains(err.Error(), "time zone") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestNew_TakesUTCWhereNoZoneIsSet(t *testing.T) {
	r := router(t, prefix.Config{Data: "!{timestamp:VV/HH}/", Error: errorPrefix})
	if got := partition(t, r, evaluated.In(time.FixedZone("x", 3600)), ""); got != "UTC/10/" {
		t.Errorf("got %q", got)
	}
}
