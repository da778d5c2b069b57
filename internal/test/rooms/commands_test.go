package rooms

import (
	"os/exec"
	"strings"
	"testing"
)

// misplaced says what is wrong with the folder of a program; it is empty if nothing is. Programs are in cmd, one folder each; those
// of the chart and of tests are next to their only user.
func misplaced(folder string) string {
	name, shipped := strings.CutPrefix(folder, "cmd/")
	switch {
	case shipped && !strings.Contains(name, "/"), strings.HasPrefix(folder, "helm/"), strings.HasPrefix(folder, "internal/test/"):
		return ""
	}
	return folder + " holds a program: it belongs in cmd/<name>, or beside its only user in helm or internal/test"
}

func TestCommands_LieInOnePlaceOrBesideTheirOnlyUser(t *testing.T) {
	list := exec.Command("go", "list", "-f", `{{if eq .Name "main"}}{{.ImportPath}}{{end}}`, "./...")
	list.Dir = "../../.."
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	programs := strings.Fields(string(out))
	for _, p := range programs {
		if wrong := misplaced(strings.TrimPrefix(p, module)); wrong != "" {
			t.Error(wrong)
		}
	}
	if len(programs) < 10 {
		t.Errorf("only %d programs were checked", len(programs))
	}
	for _, folder := range []string{"operate/audit", "internal/lambdas/bundle", "internal/cost", "cmd/consumer/tool", "athena"} {
		if misplaced(folder) == "" {
			t.Errorf("a program may be in %s", folder)
		}
	}
}
