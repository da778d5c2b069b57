package bundle_test

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/lambdas/bundle"
	"aws-streaming-pipeline/internal/test/lambdatest"
)

func TestBuild_GivesTheSameBytesForTheSameSources(t *testing.T) {
	first, err := bundle.Build(t.Context(), "init", "arm64")
	if err != nil {
		t.Fatal(err)
	}
	// A copy of the module in another folder, another zone: neither may be seen.
	copied := t.TempDir()
	if err := os.CopyFS(filepath.Join(copied, "cmd/init"), os.DirFS("../../../cmd/init")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join("../../..", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(copied, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	zone := time.Local
	time.Local = time.FixedZone("elsewhere", 5*60*60)
	t.Cleanup(func() { time.Local = zone })
	t.Chdir(copied)
	t.Setenv("TMPDIR", t.TempDir())
	second, err := bundle.Build(t.Context(), "init", "arm64")
	if err != nil {
		t.Fatal(err)
	}
	if bundle.Hash(first) != bundle.Hash(second) {
		t.Errorf("two builds give %s and %s", bundle.Hash(first), bundle.Hash(second))
	}
}

func TestBuild_PacksAnExecutableForTheArchitecture(t *testing.T) {
	for architecture, machine := range map[string]elf.Machine{"arm64": elf.EM_AARCH64, "amd64": elf.EM_X86_64} {
		t.Run(architecture, func(t *testing.T) {
			data, err := bundle.Build(t.Context(), "init", architecture, bundle.File{Name: "trips.schema.json", Data: []byte("{}")})
			if err != nil {
				t.Fatal(err)
			}
			z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			modes := make(map[string]fs.FileMode)
			for _, f := range z.File {
				modes[f.Name] = f.Mode()
				if got := f.Modified.UTC(); !got.Equal(time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)) {
					t.Errorf("%s is of %v", f.Name, got)
				}
			}
			if len(modes) != 2 || modes["bootstrap"] != 0o755 || modes["trips.schema.json"] != 0o644 {
				t.Errorf("the package holds %v", modes)
			}
			f, err := z.Open("bootstrap")
			if err != nil {
				t.Fatal(err)
			}
			binary, err := io.ReadAll(f)
			if err != nil {
				t.Fatal(err)
			}
			e, err := elf.NewFile(bytes.NewReader(binary))
			if err != nil {
				t.Fatal(err)
			}
			if e.Machine != machine {
				t.Errorf("the binary is for %v", e.Machine)
			}
			root, err := filepath.Abs("../../..")
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(binary, []byte(root+string(filepath.Separator))) {
				t.Error("the binary names the folder that it was built in")
			}
		})
	}
}

func TestBuild_RefusesWhatIsNoFunction(t *testing.T) {
	for _, c := range [][2]string{{"consumer", "arm64"}, {"../demo", "arm64"}, {"init", "386"}} {
		if _, err := bundle.Build(t.Context(), c[0], c[1]); err == nil || !strings.Contains(err.Error(), "are [") {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func TestZip_RefusesTwoFilesOfOneName(t *testing.T) {
	if _, err := bundle.Pack([]bundle.File{{Name: "a"}, {Name: "b"}, {Name: "a"}}); err == nil {
		t.Error("no error")
	}
}

// Each function has a folder, a package and its permissions.
func TestFunctions_AreThoseWithPermissions(t *testing.T) {
	var listed []string
	for name := range lambdatest.Permissions() {
		listed = append(listed, name)
		if _, err := os.Stat(filepath.Join("../../../cmd", name, "main.go")); err != nil {
			t.Error(err)
		}
	}
	slices.Sort(listed)
	if !slices.Equal(listed, bundle.Functions) {
		t.Errorf("permissions are listed for %q, the functions are %q", listed, bundle.Functions)
	}
}
