package infra_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
	"go.yaml.in/yaml/v3"
)

const workflow = "../.github/workflows/ci.yml"

// lint runs actionlint over the text of a workflow.
func lint(t *testing.T, text []byte) []*actionlint.Error {
	t.Helper()
	var out bytes.Buffer
	linter, err := actionlint.NewLinter(&out, &actionlint.LinterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	faults, err := linter.Lint("ci.yml", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return faults
}

// workflows are the texts of all of them, one after the other.
func workflows(t *testing.T) (all [][]byte) {
	t.Helper()
	paths, err := filepath.Glob("../.github/workflows/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	return all
}

func TestWorkflow_PassesActionlint(t *testing.T) {
	for _, text := range workflows(t) {
		for _, fault := range lint(t, text) {
			t.Error(fault)
		}
	}
	text, err := os.ReadFile(workflow)
	if err != nil {
		t.Fatal(err)
	}
	for name, planted := range map[string][2]string{
		"a job that is not there":      {"needs: image", "needs: picture"},
		"a value that is not there":    {"steps.name.outputs.image", "steps.nome.outputs.image"},
		"an event that is not there":   {"pull_request:", "pull_requests:"},
		"a permission that is not one": {"id-token: write", "id-token: all"},
	} {
		broken := bytes.Replace(text, []byte(planted[0]), []byte(planted[1]), 1)
		if bytes.Equal(broken, text) || len(lint(t, broken)) == 0 {
			t.Errorf("%s is not found", name)
		}
	}
}

// A tag can be moved to other code, a commit cannot.
func TestWorkflow_PinsActionsToCommits(t *testing.T) {
	text := bytes.Join(workflows(t), nil)
	uses := regexp.MustCompile(`(?m)uses: (.*)$`).FindAllStringSubmatch(string(text), -1)
	commits := make(map[string]string)
	for _, m := range uses {
		pinned := regexp.MustCompile(`^([a-z-]+/[a-z-]+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+$`).FindStringSubmatch(m[1])
		if pinned == nil {
			t.Errorf("%s is not pinned to a commit with its version beside it", m[1])
			continue
		}
		if before := commits[pinned[1]]; before != "" && before != pinned[2] {
			t.Errorf("%s is pinned to two commits", pinned[1])
		}
		commits[pinned[1]] = pinned[2]
	}
	if len(uses) < 15 {
		t.Errorf("looked at %d actions", len(uses))
	}
}

type job struct {
	If          string            `yaml:"if"`
	Environment string            `yaml:"environment"`
	Permissions map[string]string `yaml:"permissions"`
	Needs       any               `yaml:"needs"`
	Steps       []step            `yaml:"steps"`
}

type step struct {
	Uses string         `yaml:"uses"`
	Run  string         `yaml:"run"`
	With map[string]any `yaml:"with"`
}

func jobs(t *testing.T) (map[string]job, map[string]string) {
	t.Helper()
	text, err := os.ReadFile(workflow)
	if err != nil {
		t.Fatal(err)
	}
	var w struct {
		Permissions map[string]string `yaml:"permissions"`
		Jobs        map[string]job    `yaml:"jobs"`
	}
	if err := yaml.Unmarshal(text, &w); err != nil {
		t.Fatal(err)
	}
	return w.Jobs, w.Permissions
}

func TestWorkflow_DeploysProdOnlyFromMain(t *testing.T) {
	all, top := jobs(t)
	if len(top) != 1 || top["contents"] != "read" {
		t.Errorf("jobs are allowed %v unless they say otherwise", top)
	}
	for name, j := range all {
		for _, step := range j.Steps {
			stage := regexp.MustCompile(`infra/deploy --stage (\w+)`).FindStringSubmatch(step.Run)
			if stage == nil {
				continue
			}
			if j.Environment != stage[1] || j.Permissions["id-token"] != "write" || !strings.Contains(j.If, "github.event_name == 'push'") {
				t.Errorf("%s deploys %s in environment %q, with %v, if %s", name, stage[1], j.Environment, j.Permissions, j.If)
			}
			needs, _ := j.Needs.([]any)
			if !slices.Contains(needs, any("test")) {
				t.Errorf("%s deploys what is not tested", name)
			}
			isMain := strings.Contains(j.If, "github.ref == 'refs/heads/main'")
			if isMain != (stage[1] == "prod") {
				t.Errorf("%s deploys %s if %s", name, stage[1], j.If)
			}
		}
	}
	merged := slices.ContainsFunc(all["deploy-prod"].Steps, func(s step) bool {
		return strings.Contains(s.Run, ".merged_at != null") && strings.Contains(s.Run, "exit 1")
	})
	if !merged {
		t.Error("prod is deployed from what did not come by a merge")
	}
}

// Keys would have to be stored, and an expression in a script lets it run what somebody typed.
func TestWorkflow_StoresNoKeysAndBuildsNoScripts(t *testing.T) {
	text, err := os.ReadFile(workflow)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"secrets.", "AWS_ACCESS_KEY_ID", "aws-access-key-id", "pull_request_target"} {
		if strings.Contains(string(text), word) {
			t.Errorf("the workflow has %s", word)
		}
	}
	all, _ := jobs(t)
	checkouts := 0
	for name, j := range all {
		for _, step := range j.Steps {
			if strings.Contains(step.Run, "${{") {
				t.Errorf("%s puts an expression into a script: %s", name, step.Run)
			}
			if strings.HasPrefix(step.Uses, "actions/checkout@") {
				checkouts++
				if step.With["persist-credentials"] != false {
					t.Errorf("%s leaves its token in the checkout", name)
				}
			}
		}
	}
	if checkouts != len(all) {
		t.Errorf("%d checkouts in %d jobs", checkouts, len(all))
	}
}

// Releases can be verified: each file has its hash and its origin, image and chart are named by their digests.
func TestWorkflow_ReleasesWhatCanBeChecked(t *testing.T) {
	all, _ := jobs(t)
	release := all["release"]
	var run, attested string
	for _, s := range release.Steps {
		run += s.Run
		if strings.HasPrefix(s.Uses, "actions/attest-build-provenance@") {
			attested, _ = s.With["subject-path"].(string)
		}
	}
	if attested != "dist/*" || release.Permissions["attestations"] != "write" {
		t.Errorf("the release attests %q, with %v", attested, release.Permissions)
	}
	has(t, run, `.github/release "${GITHUB_REF_NAME#v}"`, `gh release create "$GITHUB_REF_NAME" dist/*`, "$IMAGE", "$CHART", "SHA256SUMS")
	if !strings.Contains(release.If, "github.ref_type == 'tag'") {
		t.Errorf("released if %s", release.If)
	}
}

// The script makes the same archive twice, names its version, and refuses a tag that is not a version.
func TestRelease_MakesTheSameBytesWithTheirHashes(t *testing.T) {
	build := func() (string, []byte) {
		dist := t.TempDir()
		cmd := exec.CommandContext(t.Context(), "../.github/release", "1.2.3-rc.1")
		cmd.Env = append(os.Environ(), "DIST="+dist, "PLATFORMS=linux/amd64", "FUNCTIONS=no", "SBOM=no")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		sums, err := os.ReadFile(filepath.Join(dist, "SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		return dist, sums
	}
	dist, sums := build()
	if _, again := build(); !bytes.Equal(sums, again) {
		t.Errorf("two builds: %s and %s", sums, again)
	}
	check := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = dist
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	archive := filepath.Join(dist, "consumer-1.2.3-rc.1-linux-amd64.tar.gz")
	listed, err := exec.CommandContext(t.Context(), "tar", "-tzf", archive).Output()
	if err != nil {
		t.Fatal(err)
	}
	has(t, string(listed), "/consumer\n", "/producer\n", "/LICENSE\n")
	if runtime.GOARCH == "amd64" && runtime.GOOS == "linux" {
		if out, err := exec.CommandContext(t.Context(), "tar", "-xzf", archive, "-C", dist).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		version, err := exec.CommandContext(t.Context(), filepath.Join(dist, "consumer-1.2.3-rc.1-linux-amd64", "consumer"), "version").Output()
		if err != nil || !strings.Contains(string(version), "1.2.3-rc.1") {
			t.Errorf("version %q, %v", version, err)
		}
	}
	for _, bad := range []string{"", "v1.2.3", "1.2", "latest"} {
		if out, err := exec.CommandContext(t.Context(), "../.github/release", bad).CombinedOutput(); err == nil || !strings.Contains(string(out), "want MAJOR.MINOR.PATCH") {
			t.Errorf("%q: %v: %s", bad, err, out)
		}
	}
}

// The commands that the workflow calls exist, with the flags that it uses.
func TestWorkflow_CallsWhatIsThere(t *testing.T) {
	help, err := exec.CommandContext(t.Context(), "./deploy", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	all, _ := jobs(t)
	called := 0
	for name, j := range all {
		for _, step := range j.Steps {
			if strings.HasPrefix(step.Run, "infra/deploy") {
				called++
				for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(step.Run, -1) {
					if !strings.Contains(string(help), "  "+flag+" ") {
						t.Errorf("%s: infra/deploy has no %s", name, flag)
					}
				}
			}
			for _, m := range regexp.MustCompile(`(?m)^make (\w+)$`).FindAllStringSubmatch(step.Run, -1) {
				called++
				if !strings.Contains(string(makefile), "\n"+m[1]+":") {
					t.Errorf("%s: there is no target %s", name, m[1])
				}
			}
			for _, m := range regexp.MustCompile(`go run \./(\S+)`).FindAllStringSubmatch(step.Run, -1) {
				called++
				if _, err := os.Stat(filepath.Join("..", m[1], "main.go")); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	if called != 5 {
		t.Errorf("looked at %d calls", called)
	}
}
