package rooms

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// heavy is the library of tables. With its dependencies it is many times as large as the daemon, so only loaders have it.
const heavy = "github.com/apache/iceberg-go"

// dependsOn reports whether a program has a package of a module.
func dependsOn(t *testing.T, program, module string) bool {
	t.Helper()
	list := exec.Command("go", "list", "-deps", "./"+program)
	list.Dir = "../../.."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	return slices.ContainsFunc(strings.Fields(string(out)), func(path string) bool { return path == module || strings.HasPrefix(path, module+"/") })
}

func TestPrograms_LeaveTablesToLoaders(t *testing.T) {
	for _, program := range []string{"cmd/consumer", "cmd/demo", "cmd/producer", "cmd/send-to-firehose", "cmd/write-to-s3", "cmd/scale-stream", "loader"} {
		if dependsOn(t, program, heavy) {
			t.Errorf("%s depends on %s", program, heavy)
		}
	}
	// The controls.
	for _, program := range []string{"cmd/loader", "loader/iceberg"} {
		if !dependsOn(t, program, heavy) {
			t.Errorf("%s does not depend on %s: the test proves nothing", program, heavy)
		}
	}
}
