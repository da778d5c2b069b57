// Package bundle builds the deployment packages of the Lambda functions.
//
// A package is a zip with the binary under the name that the runtime provided.al2023 starts, bootstrap (AWS Lambda
// Developer Guide, "Building Lambda functions with Go"). The same sources, toolchain and files give the same bytes
// everywhere: paths and version control are left out of the binary, times and modes of the zip's entries are fixed. So
// a package can be named by its hash, and is uploaded only when it has changed.
package bundle

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// Functions are the names of all functions, which are also their folders below cmd.
var Functions = []string{"init", "scale-stream", "send-to-firehose", "write-to-s3"}

// Architectures are those that Lambda has, by their names in Go.
var Architectures = []string{"arm64", "amd64"}

// File is a file of a package.
type File struct {
	Name string
	Data []byte
	// Executable files have the mode 0755, others 0644.
	Executable bool
}

// Build compiles a function from the module in the working directory or above it, and returns its package, with more
// files beside the binary if there are any.
func Build(ctx context.Context, function, architecture string, more ...File) ([]byte, error) {
	if !slices.Contains(Functions, function) {
		return nil, fmt.Errorf("build function %q: the functions are %q", function, Functions)
	}
	if !slices.Contains(Architectures, architecture) {
		return nil, fmt.Errorf("build function %s for %q: the architectures are %q", function, architecture, Architectures)
	}
	binary, err := compile(ctx, function, architecture)
	if err != nil {
		return nil, fmt.Errorf("build function %s for %s: %w", function, architecture, err)
	}
	return pack(append([]File{{Name: "bootstrap", Data: binary, Executable: true}}, more...))
}

// compile returns the binary. The tag leaves out the protocol of the retired runtime go1.x.
func compile(ctx context.Context, function, architecture string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "bundle-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // nothing depends on its absence
	output := filepath.Join(dir, "bootstrap")
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "lambda.norpc", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=",
		"-o", output, "aws-streaming-pipeline/cmd/"+function)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+architecture, "CGO_ENABLED=0", "GOFLAGS=", "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=")
	var errors bytes.Buffer
	cmd.Stderr = &errors
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go build: %w: %s", err, bytes.TrimSpace(errors.Bytes()))
	}
	return os.ReadFile(output)
}

// epoch is the earliest time that a zip can hold.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// pack zips files in the order of their names. The same files give the same bytes.
func pack(files []File) ([]byte, error) {
	files = slices.SortedFunc(slices.Values(files), func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i, f := range files {
		if i > 0 && files[i-1].Name == f.Name {
			return nil, fmt.Errorf("zip: two files of the name %s", f.Name)
		}
		if err := add(w, f); err != nil {
			return nil, fmt.Errorf("zip %s: %w", f.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("zip: %w", err)
	}
	return out.Bytes(), nil
}

func add(w *zip.Writer, f File) error {
	h := &zip.FileHeader{Name: f.Name, Method: zip.Deflate, Modified: epoch}
	h.SetMode(0o644)
	if f.Executable {
		h.SetMode(0o755)
	}
	entry, err := w.CreateHeader(h)
	if err != nil {
		return err
	}
	_, err = entry.Write(f.Data)
	return err
}

// Hash is the SHA-256 of a package in hexadecimal digits.
func Hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
