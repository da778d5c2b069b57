package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A fork that has put its name in has it everywhere, in the spelling that each place needs.
func TestMakeItYours_LeavesNoPlaceholder(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "OWNER") {
		t.Skip("this repository already has its own name")
	}
	fork := t.TempDir()
	git := func(dir string, args ...string) string {
		out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	placeholder := regexp.MustCompile(`\bOWNER\b`)
	named := 0
	for _, path := range strings.Fields(git(root, "ls-files", "--cached", "--others", "--exclude-standard")) {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil || filepath.Ext(path) == ".go" || !placeholder.Match(text) {
			continue
		}
		named++
		if err := os.MkdirAll(filepath.Dir(filepath.Join(fork, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(fork, path), text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if named < 8 {
		t.Errorf("%d files have the placeholder", named)
	}
	git(fork, "init", "--quiet")
	git(fork, "add", ".")

	run := func(repository string) (string, error) {
		out, err := exec.CommandContext(t.Context(), filepath.Join(fork, ".github", "make-it-yours"), repository).CombinedOutput()
		return string(out), err
	}
	for _, bad := range []string{"", "trips", "acme/trips/x", "acme trips", "$(date)/x"} {
		if out, err := run(bad); err == nil || !strings.Contains(out, "want OWNER/NAME") {
			t.Errorf("%q: %v: %s", bad, err, out)
		}
	}
	if out, err := run("Acme/Trips"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := run("Acme/Trips"); err == nil || !strings.Contains(out, "no OWNER left") {
		t.Errorf("a second time: %v: %s", err, out)
	}
	for _, path := range strings.Fields(git(fork, "ls-files")) {
		text, err := os.ReadFile(filepath.Join(fork, path))
		if err != nil {
			t.Fatal(err)
		}
		if path != ".github/make-it-yours" && path != "docs/make-it-yours.md" && placeholder.Match(text) {
			t.Errorf("%s still has OWNER", path)
		}
	}
	for path, want := range map[string][]string{
		"README.md": {
			"\n[![ci](https://github.com/Acme/Trips/actions/", "oci://ghcr.io/acme/charts/consumer ", "ghcr.io/acme/trips \\", "github.com/Acme/Trips && cd Trips\n",
		},
		"infra/README.md":           {`"repo:Acme@OWNER_ID/Trips@REPOSITORY_ID:environment:prod"`, `"Acme/Trips/.github/workflows/ci.yml@refs/heads/main"`},
		"helm/consumer/values.yaml": {"ghcr.io/acme/trips"},
		"SECURITY.md":               {"github.com/Acme/Trips/security/"},
	} {
		text, err := os.ReadFile(filepath.Join(fork, path))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(string(text), w) {
				t.Errorf("%s lacks %q", path, w)
			}
		}
	}
}
