package jsonl_test

import (
	"archive/zip"
	"bytes"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
)

// unarchive is the only entry of a file, as Go's own package reads it.
func unarchive(t *testing.T, file []byte) (*zip.File, []byte) {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil || len(r.File) != 1 {
		t.Fatal(r, err)
	}
	entry, err := r.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(entry)
	if err != nil {
		t.Fatal(err)
	}
	return r.File[0], plain
}

// A ZIP of several blocks is one entry for every reader: Go's, Python's and Info-ZIP's, which all check the checksum. A file with one
// bit changed is refused by all of them.
func TestZip_IsReadByOtherImplementations(t *testing.T) {
	for labels, form := range map[jsonl.Labels]string{jsonl.AsFirehose: `^[0-9a-f-]{36}$`, jsonl.AsFiles: `^[0-9a-f-]{36}\.jsonl$`} {
		file, lines, blocks := encode(t, newFormat(t, jsonl.Config{Compression: jsonl.Zip, Labels: labels, BlockSize: 64 << 10}), 300)
		if blocks < 4 {
			t.Fatalf("only %d blocks", blocks)
		}
		entry, plain := unarchive(t, file)
		if _, err := uuid.Parse(strings.TrimSuffix(entry.Name, ".jsonl")); err != nil || !regexp.MustCompile(form).MatchString(entry.Name) {
			t.Errorf("the entry is called %s", entry.Name)
		}
		if !bytes.Equal(plain, lines) {
			t.Errorf("Go reads %d bytes, %d were written", len(plain), len(lines))
		}
		broken := bytes.Clone(file)
		broken[len(broken)/2] ^= 1
		folder := t.TempDir()
		for name, data := range map[string][]byte{"sound.zip": file, "broken.zip": broken} {
			if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		script := filepath.Join(folder, "read.py")
		if err := os.WriteFile(script, []byte(`
import subprocess, sys, zipfile, zlib
for name in ("sound.zip", "broken.zip"):
    try:
        with zipfile.ZipFile(sys.argv[1] + "/" + name) as z:
            print(name, len(z.infolist()), len(z.read(z.namelist()[0])))
    except (zipfile.BadZipFile, zlib.error):
        print(name, "refused")
`), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := emulator.Python(t, script, folder).CombinedOutput()
		if want := "sound.zip 1 " + strconv.Itoa(len(lines)) + "\nbroken.zip refused\n"; err != nil || string(out) != want {
			t.Errorf("Python says %s, %v, want %s", out, err, want)
		}
		if got, err := open(bytes.NewReader(broken)); err == nil {
			t.Errorf("a file with a changed bit is read as %d bytes", len(got))
		}
		t.Run("unzip", func(t *testing.T) {
			if got := program("unzip", "-p", filepath.Join(folder, "sound.zip"))(t, nil); !bytes.Equal(got, lines) {
				t.Errorf("unzip reads %d bytes, %d were written", len(got), len(lines))
			}
		})
	}
}

func TestZip_ReadsArchivesOfOthers(t *testing.T) {
	var file bytes.Buffer
	w := zip.NewWriter(&file)
	for name, text := range map[string]string{"a": `{"n":1}`, "b": `{"n":1}`} {
		entry, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Comment: "comment", Extra: []byte("\xff\xff\x02\x00xx")})
		if err == nil {
			_, err = io.WriteString(entry, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.SetComment("of an archive"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := open(&file); err != nil || string(got) != `{"n":1}{"n":1}` {
		t.Errorf("%q, %v", got, err)
	}
}

func TestZip_OfNothingIsAnArchive(t *testing.T) {
	file, _, _ := encode(t, newFormat(t, jsonl.Config{Compression: jsonl.Zip}), 0)
	if _, plain := unarchive(t, file); len(plain) > 0 {
		t.Errorf("%d bytes", len(plain))
	}
	if got, err := open(bytes.NewReader(file)); err != nil || len(got) > 0 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// From 4 GiB of plain bytes on, sizes take 64 bits. One block is placed again and again.
func TestZip_HasWideSizesWhereTheyAreNeeded(t *testing.T) {
	layout := newFormat(t, jsonl.Config{Compression: jsonl.Zip, Append: jsonl.AppendPayload, BlockSize: 8 << 20}).NewLayout()
	block := layout.NewBlock()
	const size = 8 << 20
	if err := block.Append(&record.Record{Data: make([]byte, size)}); err != nil {
		t.Fatal(err)
	}
	e, err := block.Encode()
	if err != nil {
		t.Fatal(err)
	}
	part := bytes.Clone(e.Data)
	file := bytes.Clone(layout.Begin())
	for n := 1; n <= 513; n++ {
		placed, err := layout.Place(writers.Encoded{Data: part, Rows: 1, Meta: e.Meta})
		if err != nil {
			t.Fatal(err)
		}
		file = append(file, placed...)
	}
	end, err := layout.End()
	if err != nil {
		t.Fatal(err)
	}
	file = append(file, end...)
	r, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil || len(r.File) != 1 {
		t.Fatal(r, err)
	}
	sum := crc32.NewIEEE()
	zeros := make([]byte, size)
	for range 513 {
		sum.Write(zeros)
	}
	if f := r.File[0]; f.UncompressedSize64 != 513*size || f.CRC32 != sum.Sum32() || int(f.CompressedSize64) != 513*len(part)+2 {
		t.Errorf("%d bytes in %d, checksum %x: want %d in %d, %x", f.UncompressedSize64, f.CompressedSize64, f.CRC32, 513*size, 513*len(part)+2, sum.Sum32())
	}
	name := filepath.Join(t.TempDir(), "wide.zip")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "read.py")
	if err := os.WriteFile(script, []byte("import sys, zipfile\nprint([(i.file_size, i.CRC) for i in zipfile.ZipFile(sys.argv[1]).infolist()])\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := emulator.Python(t, script, name).CombinedOutput()
	if want := "[(" + strconv.Itoa(513*size) + ", " + strconv.Itoa(int(sum.Sum32())) + ")]\n"; err != nil || string(out) != want {
		t.Errorf("Python says %s, %v, want %s", out, err, want)
	}
}
