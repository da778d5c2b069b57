package layout_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/writers/layout"
)

// Readers of manifests rely on the exact text.
func TestManifest_HasTheFormThatItsReadersKnow(t *testing.T) {
	body, err := layout.EncodeManifest(checkpoint.Batch{
		ID: id, Worker: "worker", Created: clock, Published: []int{0}, List: &checkpoint.FileList{Key: "list"},
		Manifest: checkpoint.Place{Bucket: "bucket", Key: "manifest"},
		Ranges: []checkpoint.Range{
			{Shard: "shard-0", Start: "TRIM_HORIZON", End: "2", LeaseOwner: "worker", LeaseCounter: 3, Records: 2, Last: "2", FirstArrival: clock, LastArrival: clock},
		},
		Files: []checkpoint.File{
			{Bucket: "bucket", Key: "data/a", Staged: []byte(`{"upload_id":"upload"}`), Rows: 1, Bytes: 10, ETag: `"e"`, Partition: "a", Reason: "size"},
			{Bucket: "bucket", Key: "errors/<b>", Rows: 1, Bytes: 20, Error: true},
		},
	})
	const want = `{
  "batch": "` + id + `",
  "worker": "worker",
  "created": "2026-01-02T03:04:05Z",
  "ranges": [
    {
      "shard": "shard-0",
      "start": "TRIM_HORIZON",
      "end": "2",
      "lease_owner": "worker",
      "lease_counter": 3,
      "records": 2,
      "last_sequence_number": "2",
      "first_arrival": "2026-01-02T03:04:05Z",
      "last_arrival": "2026-01-02T03:04:05Z"
    }
  ],
  "files": [
    {
      "bucket": "bucket",
      "key": "data/a",
      "rows": 1,
      "bytes": 10,
      "etag": "\"e\"",
      "partition": "a",
      "reason": "size"
    },
    {
      "bucket": "bucket",
      "key": "errors/\u003cb\u003e",
      "rows": 1,
      "bytes": 20,
      "partition": "",
      "error": true
    }
  ]
}
`
	if err != nil || string(body) != want {
		t.Errorf("error %v, text\n%s\nwant\n%s", err, body, want)
	}
}

// manyFiles returns files with keys of the maximum length in S3, with characters that JSON escapes.
func manyFiles(n int) []checkpoint.File {
	files := make([]checkpoint.File, n)
	for i := range files {
		partition := fmt.Sprintf(`data/"files": null/<%s>/%06d/`, strings.Repeat("customer", 90), i)
		files[i] = checkpoint.File{
			Bucket: "bucket", Key: partition + strings.Repeat("k", 100), Partition: partition, Staged: []byte(`{"upload_id":"upload"}`), Rows: int64(i), Bytes: 1 << 40,
			ETag: strings.Repeat("e", 40), Error: i%2 == 1, Reason: "interval",
		}
	}
	return files
}

func TestDecodeManifest_GivesWhatWasEncoded(t *testing.T) {
	for _, files := range [][]checkpoint.File{nil, manyFiles(1), manyFiles(3)} {
		b := checkpoint.Batch{
			ID: id, Worker: `"files": null`, Created: clock, Files: files,
			Ranges: []checkpoint.Range{{Shard: "shard-0", Start: "1", End: "2", LeaseOwner: "worker"}, {Shard: "shard-1", Start: "2", End: "SHARD_END", LeaseOwner: "worker"}},
		}
		want := layout.Manifest{Batch: b.ID, Worker: b.Worker, Created: b.Created, Ranges: b.Ranges}
		for _, f := range files {
			want.Files = append(want.Files, layout.ManifestFile{
				Bucket: f.Bucket, Key: f.Key, Rows: f.Rows, Bytes: f.Bytes, ETag: f.ETag, Partition: f.Partition, Error: f.Error, Backup: f.Backup, Reason: f.Reason,
			})
		}
		body, err := layout.EncodeManifest(b)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := json.MarshalIndent(want, "", "  ")
		if err != nil || string(body) != string(plain)+"\n" {
			t.Errorf("error %v, text %s\nwant %s", err, body, plain)
		}
		got, err := layout.DecodeManifest(body)
		if err != nil || !reflect.DeepEqual(got, want) || got.Validate() != nil {
			t.Errorf("%d files: %+v, %v, %v\nwant %+v", len(files), got, err, got.Validate(), want)
		}
		if len(files) > 0 && files[0].Staged == nil {
			t.Error("the batch has lost its uploads")
		}
	}
}

// A manifest outlives its batch: what it says of a file is enough to load the file into a table.
func TestManifest_DescribesFilesForTables(t *testing.T) {
	description := json.RawMessage(`{"uuid":"u","splits":[4,100]}`)
	b := checkpoint.Batch{
		ID: id, Worker: "worker", Created: clock, Tables: []string{"glue://lake/trips"}, Files: manyFiles(2),
		Ranges: []checkpoint.Range{{Shard: "shard-0", Start: "1", End: "2", LeaseOwner: "worker"}},
	}
	b.Files[0].Table = description
	body, err := layout.EncodeManifest(b)
	if err != nil {
		t.Fatal(err)
	}
	m, err := layout.DecodeManifest(body)
	if err != nil || !slices.Equal(m.Tables, b.Tables) || string(m.Files[0].Table) != string(description) || m.Files[1].Table != nil {
		t.Errorf("error %v, manifest %s", err, body)
	}
	if !strings.Contains(string(body), "\n      \"table\": "+string(description)+"\n    },") {
		t.Errorf("the description is not on a line of its own: %s", body)
	}
	if len(body) > layout.ManifestSize(b.Files) {
		t.Errorf("%d bytes, counted are %d", len(body), layout.ManifestSize(b.Files))
	}
}

func TestManifest_IsRefusedIfNoBatchCanHaveIt(t *testing.T) {
	for text, says := range map[string]string{
		`{}`:                        "no id",
		`{"batch":"b","ranges":[]}`: "no ranges",
		`{"batch":"b","ranges":[{"shard":"s","start":"2","end":"1","lease_owner":"w"}]}`: "not after its start",
	} {
		m, err := layout.DecodeManifest([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Validate(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want one that says %q", text, err, says)
		}
	}
	if m, err := layout.DecodeManifest([]byte(`{"batch":`)); err == nil {
		t.Errorf("a manifest that is cut off is %+v", m)
	}
}

// A manifest is encoded in one piece of memory, no larger than what is counted for it.
func TestManifest_TakesUpWhatIsCounted(t *testing.T) {
	files := manyFiles(2000)
	body, err := layout.EncodeManifest(checkpoint.Batch{ID: "batch", Files: files})
	if err != nil {
		t.Fatal(err)
	}
	counted := layout.ManifestSize(files)
	if len(body) > counted || cap(body) > counted+counted/10 {
		t.Errorf("%d bytes in %d, counted are %d", len(body), cap(body), counted)
	}
}

func manifestKey(under string, sealed time.Time) string {
	return layout.Manifest{Batch: id, Created: sealed}.Key(under)
}

// A manifest is where the published batch says, or else in the default place.
func TestParseManifestKey_TakesApartWhatIsMade(t *testing.T) {
	for _, under := range []string{"manifests/", "", "m", "a/2026/01/02/03/", "outbox/", "moves/", "täglich/💾"} {
		sealed := time.Date(2026, 1, 2, 5, 59, 59, 0, time.FixedZone("", 2*3600))
		key := manifestKey(under, sealed)
		hour, batch, ok := layout.ParseManifestKey(under, key)
		if !ok || batch != id || !hour.Equal(clock.Truncate(time.Hour)) {
			t.Errorf("%s: %v, %q, %v", key, hour, batch, ok)
		}
		if folder := layout.ManifestFolder(under, clock); !strings.HasPrefix(key, folder) {
			t.Errorf("%s is not in %s", key, folder)
		}
		if place := layout.ManifestPlace(checkpoint.Batch{ID: id, Created: sealed}, "bucket", under); place.Key != key {
			t.Errorf("the place is %s, the key %s", place, key)
		}
	}
}

func TestParseManifest_KnowsManifestsAlone(t *testing.T) {
	for _, under := range []string{"manifests/", "", "m", "a/2026/01/02/03/"} {
		key := manifestKey(under, clock)
		for _, other := range []string{
			"elsewhere/" + key,
			strings.TrimSuffix(key, "json"),
			under + "2026/13/02/03/" + id + ".json",
			under + "2026/01/02/03/.json",
			under + "2026/01/02/03/more/" + id + ".json",
			move.Key(under, id),
			layout.OutboxKey(under, id),
			layout.File{Name: under + "2026/01/02/03/trips", Clock: clock, Batch: id, Extension: ".json"}.Key(),
		} {
			if _, batch, ok := layout.ParseManifestKey(under, other); ok {
				t.Errorf("%s is taken for the manifest of %s", other, batch)
			}
		}
	}
}

// Data may be stored under the manifest prefix, and the manifest prefix may be empty.
func TestIsBookkeeping_TellsFilesFromWhatLiesBesideThem(t *testing.T) {
	for _, under := range []string{"manifests/", "", "data/"} {
		for _, key := range []string{manifestKey(under, clock), move.Key(under, id), layout.OutboxKey(under, id)} {
			if !layout.IsBookkeeping(under, key) {
				t.Errorf("under %q: %s is not", under, key)
			}
		}
		for _, extension := range extensions {
			file := layout.File{Name: under + "2026/01/02/03/trips", Clock: clock, Batch: id, Extension: extension}.Key()
			if layout.IsBookkeeping(under, file) {
				t.Errorf("under %q: %s is", under, file)
			}
		}
	}
}
