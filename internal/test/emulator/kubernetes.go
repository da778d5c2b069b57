package emulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	helmModule     = "helm.sh/helm/v3/cmd/helm@v3.22.0"
	validateModule = "sigs.k8s.io/kubectl-validate@v0.0.4"
	operatorModule = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
	kedaModule     = "github.com/kedacore/keda/v2@v2.21.0"
	argoModule     = "github.com/argoproj/argo-cd/v3@v3.2.0"
	fluxHelmModule = "github.com/fluxcd/helm-controller@v1.4.0"
	fluxRepoModule = "github.com/fluxcd/source-controller@v1.7.0"
)

// kubernetesModules are the releases of Kubernetes whose schemas are fetched.
var kubernetesModules = []string{"k8s.io/kubernetes@v1.35.4", "k8s.io/kubernetes@v1.36.3", "k8s.io/kubernetes@v1.37.2"}

var kubernetesBundle = Bundle{
	Name:    "kubernetes",
	tool:    "go",
	pinned:  strings.Join(append([]string{helmModule, validateModule, operatorModule, kedaModule}, kubernetesModules...), " "),
	install: installKubernetes,
}

// gitopsBundle has the custom resources by which Argo CD and Flux install a chart. The chart does not create them: its examples have them.
var gitopsBundle = Bundle{
	Name:   "gitops",
	tool:   "go",
	pinned: strings.Join([]string{argoModule, fluxHelmModule, fluxRepoModule}, " "),
	install: func(ctx context.Context, dir string) error {
		return copyCRDs(ctx, dir, map[string]string{
			argoModule:     "manifests/crds/application-crd.yaml",
			fluxHelmModule: "config/crd/bases/helm.toolkit.fluxcd.io_*.yaml",
			fluxRepoModule: "config/crd/bases/source.toolkit.fluxcd.io_ocirepositories.yaml",
		})
	},
}

// installKubernetes builds helm and kubectl-validate, and extracts the schemas of Kubernetes's own resources, and of the custom
// ones that the chart creates, from the modules that publish them.
func installKubernetes(ctx context.Context, dir string) error {
	for _, module := range []string{helmModule, validateModule} {
		env := []string{"GOBIN=" + dir, "GOFLAGS=", "CGO_ENABLED=0"}
		if err := run(ctx, dir, env, "go", "install", "-ldflags", "-s -w", module); err != nil {
			return err
		}
	}
	for _, module := range kubernetesModules {
		from, err := download(ctx, dir, module)
		if err != nil {
			return err
		}
		_, version, _ := strings.Cut(module, "@v")
		if err := copySchemas(filepath.Join(from, "api", "openapi-spec", "v3"), filepath.Join(dir, "schemas", version)); err != nil {
			return err
		}
	}
	return copyCRDs(ctx, dir, map[string]string{
		operatorModule: "example/prometheus-operator-crd/monitoring.coreos.com_*.yaml",
		kedaModule:     "config/crd/bases/keda.sh_*.yaml",
	})
}

// copyCRDs copies files of modules, by their patterns, to the folder crds.
func copyCRDs(ctx context.Context, dir string, patterns map[string]string) error {
	for module, pattern := range patterns {
		from, err := download(ctx, dir, module)
		if err != nil {
			return err
		}
		if err := copyAll(filepath.Join(from, pattern), func(name string) string { return filepath.Join(dir, "crds", name) }); err != nil {
			return err
		}
	}
	return nil
}

// download returns the folder of a module's source.
func download(ctx context.Context, dir, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := cmd.Output()
	var about struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &about); jsonErr != nil || about.Dir == "" {
		return "", fmt.Errorf("download %s: %v %s", module, err, about.Error)
	}
	return about.Dir, nil
}

// copySchemas copies the files apis__apps__v1_openapi.json and api__v1_openapi.json to apis/apps/v1.json and api/v1.json,
// which is where kubectl-validate looks for them.
func copySchemas(from, to string) error {
	place := func(name string) string {
		return filepath.Join(to, strings.ReplaceAll(strings.TrimSuffix(name, "_openapi.json"), "__", "/")+".json")
	}
	return errors.Join(
		copyAll(filepath.Join(from, "api__*_openapi.json"), place),
		copyAll(filepath.Join(from, "apis__*__*_openapi.json"), place))
}

func copyAll(pattern string, place func(name string) string) error {
	paths, err := filepath.Glob(pattern)
	if err == nil && len(paths) == 0 {
		err = fmt.Errorf("there is no %s", pattern)
	}
	if err != nil {
		return err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		to := place(filepath.Base(path))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Kubernetes has the tools for testing charts.
type Kubernetes struct {
	// Versions are the releases whose schemas Validate knows, such as 1.37.2.
	Versions []string
	dir      string
}

// KubernetesTools returns helm and a validator with the schemas of several releases. Without them the test is skipped.
func KubernetesTools(tb testing.TB) Kubernetes {
	tb.Helper()
	k := Kubernetes{dir: fetched(tb, kubernetesBundle, "helm and kubectl-validate", "go")}
	for _, module := range kubernetesModules {
		_, version, _ := strings.Cut(module, "@v")
		k.Versions = append(k.Versions, version)
	}
	return k
}

// Helm returns a helm command that ignores the settings of this machine.
func (k Kubernetes) Helm(tb testing.TB, args ...string) *exec.Cmd {
	home := tb.TempDir()
	cmd := exec.CommandContext(tb.Context(), filepath.Join(k.dir, "helm"), args...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	return cmd
}

// Validate returns a command that validates a file of manifests against the schemas of one of Versions. Unknown fields are
// faults.
func (k Kubernetes) Validate(tb testing.TB, version, file string) *exec.Cmd {
	return k.validate(tb, version, filepath.Join(k.dir, "crds"), file)
}

// ValidateGitOps does the same with the custom resources of Argo CD and Flux. Without their schemas the test is skipped.
func (k Kubernetes) ValidateGitOps(tb testing.TB, version, file string) *exec.Cmd {
	return k.validate(tb, version, filepath.Join(fetched(tb, gitopsBundle, "the resources of Argo CD and Flux", "go"), "crds"), file)
}

func (k Kubernetes) validate(tb testing.TB, version, crds, file string) *exec.Cmd {
	// The flag names the newest version that the tool includes; our schemas replace it.
	cmd := exec.CommandContext(tb.Context(), filepath.Join(k.dir, "kubectl-validate"), "--version", "1.30",
		"--local-schemas", filepath.Join(k.dir, "schemas", version), "--local-crds", crds, file)
	cmd.Env = append(os.Environ(), "KUBECONFIG=/dev/null")
	return cmd
}
