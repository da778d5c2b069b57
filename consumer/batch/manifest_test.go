package batch

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/budget"
)

// manyFiles are files of keys as long as S3 takes them, with what has to be escaped in JSON.
func manyFiles(n int) []checkpoint.File {
	files := make([]checkpoint.File, n)
	for i := range files {
		partition := fmt.Sprintf(`data/"files": null/<%s>/%06d/`, strings.Repeat("customer", 90), i)
		files[i] = checkpoint.File{
			Bucket: "bucket", Key: partition + strings.Repeat("k", 100), Partition: partition, UploadID: "upload", Rows: int64(i), Bytes: 1 << 40,
			Parts: []checkpoint.Part{{ETag: "part", Bytes: 1}}, ETag: strings.Repeat("e", 40), Error: i%2 == 1, Reason: "interval",
		}
	}
	return files
}

// Readers of manifests rely on the text as it is.
func TestManifest_IsTheIndentedBatch(t *testing.T) {
	for _, files := range [][]checkpoint.File{nil, manyFiles(1), manyFiles(3)} {
		b := checkpoint.Batch{
			ID: "batch", Worker: `"files": null`, Created: time.Unix(1_800_000_000, 0).UTC(), Files: files, Published: []int{1},
			Ranges: []checkpoint.Range{{Shard: "shard-0", Start: "1", End: "2"}}, List: &checkpoint.FileList{Key: "list"},
			Manifest: checkpoint.Place{Bucket: "bucket", Key: "manifest"},
		}
		plain := b
		plain.Files, plain.Published, plain.List, plain.Manifest = slices.Clone(files), nil, nil, checkpoint.Place{}
		for i := range plain.Files {
			plain.Files[i].UploadID, plain.Files[i].Parts = "", nil
		}
		wanted, err := json.MarshalIndent(plain, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got, err := Manifest(b)
		if err != nil || string(got) != string(wanted)+"\n" {
			t.Errorf("error %v, text %s\nwant %s", err, got, wanted)
		}
		if len(files) > 0 && (files[0].UploadID == "" || files[0].Parts == nil) {
			t.Error("the batch has lost its uploads")
		}
	}
}

// A manifest is made in one piece of memory, and no larger than what is counted for it.
func TestManifest_TakesUpWhatIsCounted(t *testing.T) {
	files := manyFiles(2000)
	body, err := Manifest(checkpoint.Batch{ID: "batch", Files: files})
	if err != nil {
		t.Fatal(err)
	}
	counted := manifestSize(files)
	if len(body) > counted || cap(body) > counted+counted/10 {
		t.Errorf("%d bytes in %d, counted are %d", len(body), cap(body), counted)
	}
}

func TestPipeline_CountsTheManifestUntilItIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWideWorld(t)
		p, stop := w.worker("a")
		defer stop()
		memory := p.parts.Shared.Budget()
		var held int64
		w.bucket.plant(func(operation, key string, applied bool) error {
			if operation == "put" && !applied && strings.HasPrefix(key, "manifests/") && !strings.HasPrefix(key, "manifests/outbox/") {
				held = memory.Held(budget.Sending)
			}
			return nil
		})
		want(t, "readings again", w.read(p, "shard-1", wide(1000, 1)), 0)
		if err := p.AwaitPublished(t.Context()); err != nil {
			t.Fatal(err)
		}
		size := int64(len(w.bucket.objects[w.bucket.keys("manifests/")[0]].body))
		if size == 0 || held < size {
			t.Errorf("%d bytes counted while a manifest of %d bytes is written", held, size)
		}
		want(t, "bytes counted afterwards", memory.Used(), 0)
	})
}
