// Package rooms checks the direction of the imports: package record does not know its writers, writers do not know the consumer,
// and nothing that ships depends on test code. Within the daemon's packages it checks the direction between types: no child holds
// its parent.
package rooms

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "aws-streaming-pipeline/"

// rooms are in the order of their imports: a package may import its own room and those above it in this list. The longest
// matching name is a package's room.
var rooms = []struct{ name, holds string }{
	{"internal", "leaves that any room may use"},
	{"record", "what a record is, when it is valid, where it belongs"},
	{"checkpoint", "positions, leases and the outbox"},
	{"writers", "files, and how they become durable"},
	{"consumer", "the daemon"},
	{"operate", "what operators do to a running or stopped daemon"},
	{"loader", "loads what was written into tables"},
	{"producer", "sends records"},
	{"athena", "tables over what was written"},
	{"internal/lambdas", "what the Lambda functions share"},
	{"cmd", "the programs"},
	{"helm", "the chart and its programs"},
	{"infra", "the stacks"},
	{"docs", "the documentation's tests"},
	{"internal/test", "what only tests and benchmarks use"},
}

// room returns the rank and the name of a package's room, or -1.
func room(path string) (rank int, name string) {
	rank = -1
	for i, r := range rooms {
		if (path == r.name || strings.HasPrefix(path, r.name+"/")) && len(r.name) > len(name) {
			rank, name = i, r.name
		}
	}
	return rank, name
}

// fault says what is wrong with an import; it is empty if nothing is.
func fault(from, to string) string {
	rank, name := room(from)
	below, other := room(to)
	switch {
	case rank < 0:
		return from + " is in no room: add its room to the list"
	case below < 0:
		return to + " is in no room: add its room to the list"
	case below > rank:
		return from + " (" + name + ") imports " + to + " (" + other + "): imports run from the programs down to the record"
	case name == "consumer" && other == "consumer" && from != "consumer" && to == "consumer":
		return from + " imports consumer, which puts its packages together"
	}
	return ""
}

func TestImports_RunDown(t *testing.T) {
	list := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	list.Dir = "../../.."
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	imports := 0
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, to := range p.Imports {
			if to, ours := strings.CutPrefix(to, module); ours {
				imports++
				if wrong := fault(strings.TrimPrefix(p.ImportPath, module), to); wrong != "" {
					t.Error(wrong)
				}
			}
		}
	}
	if imports < 100 {
		t.Errorf("only %d imports were checked", imports)
	}
}

// The control: each of these imports would reverse the direction.
func TestFault_FindsImportsThatRunUp(t *testing.T) {
	for from, to := range map[string]string{
		"record/schema":    "writers",
		"record":           "checkpoint",
		"checkpoint":       "writers/layout",
		"writers/s3sink":   "consumer/batch",
		"consumer":         "operate/objects",
		"consumer/batch":   "consumer",
		"internal/metrics": "internal/lambdas",
		"internal/serve":   "record",
		"operate/check":    "cmd/consumer",
		"cmd/demo":         "internal/test/emulator",
		"writers/parquet":  "loader",
		"operate":          "loader",
	} {
		if fault(from, to) == "" {
			t.Errorf("%s may import %s", from, to)
		}
	}
	for from, to := range map[string]string{
		"record/schema/shred": "record", "writers": "record", "consumer": "consumer/batch", "operate/policy": "consumer",
		"internal/test/chaos": "record", "cmd/demo": "internal/localstream",
	} {
		if wrong := fault(from, to); wrong != "" {
			t.Error(wrong)
		}
	}
}
