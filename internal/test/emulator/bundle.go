package emulator

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Bundle is what one package manager fetches for a set of emulators.
type Bundle struct {
	// Name is also that of the folder with the manifests.
	Name string
	// tool must be on the PATH to fetch the bundle.
	tool string
	// files are the manifests, which pin what is fetched.
	files []string
	// install fetches into the folder, which holds the manifests.
	install func(ctx context.Context, dir string) error
	// pinned lists what install fetches beyond the manifests.
	pinned string
}

//go:embed npm/package.json npm/package-lock.json npm/.npmrc npm/loopback.cjs npm/kinesalite.cjs npm/dynalite.mjs
//go:embed python/requirements.txt engines/requirements.txt encoders/requirements.txt tools/requirements.txt shell/requirements.txt tables/requirements.txt sam/requirements.txt
//go:embed java/pom.xml java/Launch.java
//go:embed codecs/pom.xml codecs/Unsnap.java parquetjava/pom.xml parquetjava/ReadParquet.java
//go:embed icebergjava/pom.xml icebergjava/RestCatalog.java icebergjava/ReadTable.java
//go:embed postgresql/pom.xml
//go:embed flink/pom.xml polars/requirements.txt
//go:embed spark/requirements.txt spark/pom.xml spark/spark.py
//go:embed validator/package.json validator/package-lock.json validator/.npmrc
//go:embed cdk/package.json cdk/package-lock.json cdk/.npmrc terraform/package.json terraform/package-lock.json terraform/.npmrc
var manifests embed.FS

// compiled marks bundles whose Java files are compiled.
const compiled = "classes"

const versitygwModule = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"

var (
	npmBundle = Bundle{
		Name:  "npm",
		tool:  "npm",
		files: []string{"package.json", "package-lock.json", ".npmrc", "loopback.cjs", "kinesalite.cjs", "dynalite.mjs"},
		install: func(ctx context.Context, dir string) error {
			return run(ctx, dir, nil, "npm", "ci")
		},
	}
	pythonBundle = Bundle{
		Name:    "python",
		tool:    "python3",
		files:   []string{"requirements.txt"},
		install: installPython,
	}
	enginesBundle = Bundle{
		Name:    "engines",
		tool:    "python3",
		files:   []string{"requirements.txt"},
		install: installPython,
	}
	encodersBundle = Bundle{
		Name:    "encoders",
		tool:    "python3",
		files:   []string{"requirements.txt"},
		install: installPython,
	}
	toolsBundle = Bundle{
		Name:    "tools",
		tool:    "python3",
		files:   []string{"requirements.txt"},
		install: installPython,
	}
	tablesBundle = Bundle{
		Name:    "tables",
		tool:    "python3",
		files:   []string{"requirements.txt"},
		install: installPython,
	}
	shellBundle = Bundle{
		Name:    "shell",
		tool:    "python3",
		files:   []string{"requirements.txt"},
		install: installPython,
	}
	validatorBundle = Bundle{
		Name:  "validator",
		tool:  "npm",
		files: []string{"package.json", "package-lock.json", ".npmrc"},
		install: func(ctx context.Context, dir string) error {
			return run(ctx, dir, nil, "npm", "ci")
		},
	}
	samBundle = Bundle{
		Name:    "sam",
		tool:    "python3",
		files:   []string{"requirements.txt"},
		install: installPython,
	}
	cdkBundle = Bundle{
		Name:  "cdk",
		tool:  "npm",
		files: []string{"package.json", "package-lock.json", ".npmrc"},
		install: func(ctx context.Context, dir string) error {
			return run(ctx, dir, nil, "npm", "ci")
		},
	}
	javaBundle = Bundle{
		Name:    "java",
		tool:    "mvn",
		files:   []string{"pom.xml", "Launch.java"},
		pinned:  compiled,
		install: installJars,
	}
	codecsBundle = Bundle{
		Name:    "codecs",
		tool:    "mvn",
		files:   []string{"pom.xml", "Unsnap.java"},
		pinned:  compiled,
		install: installJars,
	}
	parquetJavaBundle = Bundle{
		Name:    "parquetjava",
		tool:    "mvn",
		files:   []string{"pom.xml", "ReadParquet.java"},
		pinned:  compiled,
		install: installJars,
	}
	icebergJavaBundle = Bundle{
		Name:    "icebergjava",
		tool:    "mvn",
		files:   []string{"pom.xml", "RestCatalog.java", "ReadTable.java"},
		pinned:  compiled,
		install: installJars,
	}
	goBundle = Bundle{
		Name:   "go",
		tool:   "go",
		pinned: versitygwModule,
		install: func(ctx context.Context, dir string) error {
			return run(ctx, dir, []string{"GOBIN=" + dir, "GOFLAGS="}, "go", "install", versitygwModule)
		},
	}
)

// Bundles lists the bundles that make test uses.
func Bundles() []Bundle {
	return []Bundle{
		npmBundle, pythonBundle, enginesBundle, encodersBundle, tablesBundle, toolsBundle, shellBundle, validatorBundle, samBundle, cdkBundle,
		terraformBundle, javaBundle, codecsBundle, parquetJavaBundle, icebergJavaBundle, postgresqlBundle, goBundle, prometheusBundle, kubernetesBundle, gitopsBundle,
	}
}

func installPython(ctx context.Context, dir string) error {
	return run(ctx, dir, nil, "python3", "-m", "pip", "install", "--quiet", "--require-hashes",
		"--target", "lib", "--requirement", "requirements.txt")
}

// installJars puts jars into the folder lib, and the classes of the bundle's Java files into the folder classes: java would compile
// them at each start, which takes a second of CPU time. They are for the version of Java that CI has, and later ones.
func installJars(ctx context.Context, dir string) error {
	if err := copyJars(ctx, dir, "lib"); err != nil {
		return err
	}
	sources, err := filepath.Glob(filepath.Join(dir, "*.java"))
	if err != nil {
		return err
	}
	return run(ctx, dir, nil, "javac", append([]string{"--release", "17", "-nowarn", "-d", "classes", "-cp", filepath.Join("lib", "*")}, sources...)...)
}

// copyJars puts the jars that pom.xml names, and those that they need, into a folder of dir.
func copyJars(ctx context.Context, dir, folder string, more ...string) error {
	args := append([]string{"--quiet", "--batch-mode", "-Dmaven.repo.local=" + filepath.Join(dir, "..", "maven"),
		"dependency:copy-dependencies", "-DoutputDirectory=" + folder}, more...)
	return run(ctx, dir, nil, "mvn", args...)
}

// ErrUnavailable marks a bundle that cannot be fetched on this machine: its tool is missing or its registry does not answer.
var ErrUnavailable = errors.New("not available here")

// Fetch returns the folder of the bundle, and fills it first unless that has been done for these manifests. It is safe to call
// from any number of processes at once: one fetches, the others wait. A folder is complete or absent.
func (b Bundle) Fetch(ctx context.Context) (string, error) {
	root, err := cacheRoot()
	if err != nil {
		return "", fmt.Errorf("fetch bundle %s: %w", b.Name, err)
	}
	sum, err := b.sum()
	if err != nil {
		return "", fmt.Errorf("fetch bundle %s: %w", b.Name, err)
	}
	dir := filepath.Join(root, b.Name+"-"+sum)
	if exists(dir) {
		return dir, nil
	}
	unlock, err := lock(filepath.Join(root, b.Name+".lock"))
	if err != nil {
		return "", fmt.Errorf("fetch bundle %s: %w", b.Name, err)
	}
	defer unlock()
	if exists(dir) {
		return dir, nil
	}
	if err := b.fill(ctx, dir); err != nil {
		return "", fmt.Errorf("fetch bundle %s: %w", b.Name, err)
	}
	return dir, nil
}

// fill fetches into a temporary folder next to the final one, and renames it at the end.
func (b Bundle) fill(ctx context.Context, dir string) error {
	if _, err := exec.LookPath(b.tool); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	partial := dir + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := os.MkdirAll(partial, 0o755); err != nil {
		return err
	}
	for _, name := range b.files {
		text, err := manifests.ReadFile(b.Name + "/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(partial, name), text, 0o644); err != nil {
			return err
		}
	}
	if err := b.install(ctx, partial); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return os.Rename(partial, dir)
}

// sum identifies the contents of the manifests.
func (b Bundle) sum() (string, error) {
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\n", b.pinned)
	for _, name := range b.files {
		text, err := manifests.ReadFile(b.Name + "/" + name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %d\n%s", name, len(text), text)
	}
	return hex.EncodeToString(hash.Sum(nil))[:12], nil
}

// cacheRoot returns .cache/emulator at the root of the repository, which is the nearest folder with a go.mod.
func cacheRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for !exists(filepath.Join(dir, "go.mod")) {
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = parent
	}
	root := filepath.Join(dir, ".cache", "emulator")
	return root, os.MkdirAll(root, 0o755)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// lock waits for an exclusive lock on a file, which ends with the process at the latest.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := lockFile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
	return func() { _ = file.Close() }, nil // closing releases the lock, and nothing was written
}

// shownBytes is how much of a failed command's output an error carries.
const shownBytes = 2000

func run(ctx context.Context, dir string, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	output, err := cmd.CombinedOutput()
	if err != nil {
		output = bytes.TrimSpace(output)
		output = output[max(0, len(output)-shownBytes):]
		return fmt.Errorf("run %s: %w: %s", name, err, output)
	}
	return nil
}
