package checkpoint_test

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/klauspost/compress/zstd"

	"aws-streaming-pipeline/checkpoint"
)

// Workers of two releases share an outbox during the rollout of an update and after its rollback. testdata was written
// by the release before Staged: its workers must be able to read what this release writes, and this release what they
// wrote.
func TestFiles_AreThoseOfEarlierReleases(t *testing.T) {
	released := read(t, "testdata/files.json.zst")
	files, err := checkpoint.DecodeFiles(released)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"upload_id":"VXBsb2Fk.ID_1-2\u003c\u0026\u003e","parts":[{"etag":"\"d41d8cd98f00b204e9800998ecf8427e\"","bytes":5242880,"checksum":"yZRlqg=="},{"etag":"e2","bytes":1}]}`
	if len(files) != 2 || string(files[0].Staged) != want || files[0].Key != `trips/day=03/a "quoted" <näme>.parquet` || files[0].Reason != "size" {
		t.Errorf("read %+v", files)
	}
	data, err := checkpoint.EncodeFiles(files)
	if err != nil {
		t.Fatal(err)
	}
	r, err := zstd.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if want := bytes.TrimSpace(read(t, "testdata/files.json")); !bytes.Equal(text, want) {
		t.Errorf("written\n%s\nwant\n%s", text, want)
	}
}

func TestFile_HasStagedAsItsOwnMembers(t *testing.T) {
	for name, f := range map[string]checkpoint.File{
		"nothing":        {Key: "k"},
		"no members":     {Key: "k", Staged: []byte("{}")},
		"spaces":         {Key: "k", Staged: []byte(" { \"a\" : 1 } ")},
		"odd names":      {Key: "k", Staged: []byte(`{"\"a\\b":null,"Key":{"key":[1]}}`)},
		"the same twice": {Key: "k", Staged: []byte(`{"a":1,"a":2}`)},
	} {
		text, err := f.MarshalJSON()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got checkpoint.File
		if err := got.UnmarshalJSON(text); err != nil {
			t.Errorf("%s: %s: %v", name, text, err)
			continue
		}
		again, err := got.MarshalJSON()
		if err != nil || got.Key != "k" || !bytes.Equal(bytes.ReplaceAll(text, []byte(" "), nil), again) {
			t.Errorf("%s: %s became %s (%v)", name, text, again, err)
		}
	}
	for _, staged := range []string{"[]", "{", "x", `"a"`} {
		if _, err := checkpoint.EncodeFiles([]checkpoint.File{{Key: "k", Staged: []byte(staged)}}); err == nil {
			t.Errorf("%s was taken for an object", staged)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
