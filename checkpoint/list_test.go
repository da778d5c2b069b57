package checkpoint_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/checkpointtest"
	"aws-streaming-pipeline/checkpoint/local"
)

// object is the only object of a bucket; nil means that there is none.
type object struct {
	data  []byte
	batch string
	err   error
	// reading is called before the answer.
	reading func()
}

func (o *object) ReadList(context.Context, checkpoint.FileList) ([]byte, string, error) {
	if o.reading != nil {
		o.reading()
	}
	return o.data, o.batch, o.err
}

// listed commits a batch whose files are in an object, and returns it with the content.
func listed(t *testing.T, s checkpoint.Store) (checkpoint.Batch, []byte) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.CreateLeases(t.Context(), []checkpoint.Lease{{Shard: "s1", Checkpoint: checkpoint.TrimHorizon}}))
	l, err := s.Acquire(t.Context(), checkpoint.Lease{Shard: "s1"}, "w1")
	must(err)
	b := checkpoint.Batch{ID: "b", Worker: "w1", Files: checkpointtest.Files(1000, 1), Ranges: []checkpoint.Range{
		{Shard: l.Shard, Start: l.Checkpoint, End: "7", LeaseOwner: l.Owner, LeaseCounter: l.Counter},
	}}
	data, err := checkpoint.EncodeFiles(b.Files)
	must(err)
	b.List = checkpoint.NewFileList("lake", "manifests/outbox/b.json.zst", len(b.Files), data)
	must(s.Commit(t.Context(), b))
	return b, data
}

func TestLoadBatch_ReadsTheFilesFromTheirObject(t *testing.T) {
	s := local.OpenMemory()
	want, data := listed(t, s)
	got, err := checkpoint.LoadBatch(t.Context(), s, &object{data: data, batch: "b"}, "b")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("it came back with %d files and %+v", len(got.Files), got.List)
	}
}

// Never an empty list: a batch that is published without its files is lost.
func TestLoadBatch_RefusesAListThatIsNotTheBatchs(t *testing.T) {
	s := local.OpenMemory()
	b, data := listed(t, s)
	other, err := checkpoint.EncodeFiles(b.Files[1:])
	if err != nil {
		t.Fatal(err)
	}
	empty, err := checkpoint.EncodeFiles([]checkpoint.File{})
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("access denied")
	for name, c := range map[string]struct {
		object object
		want   error
	}{
		"it is not there":             {object{err: checkpoint.ErrNotFound}, checkpoint.ErrNoList},
		"it is another batch's":       {object{data: data, batch: "c"}, checkpoint.ErrNoList},
		"it is nobody's":              {object{data: data}, checkpoint.ErrNoList},
		"it is empty":                 {object{batch: "b"}, checkpoint.ErrNoList},
		"it is a list of no files":    {object{data: empty, batch: "b"}, checkpoint.ErrNoList},
		"it is a list of other files": {object{data: other, batch: "b"}, checkpoint.ErrNoList},
		"it is cut":                   {object{data: data[:len(data)/2], batch: "b"}, checkpoint.ErrNoList},
		"it has another byte":         {object{data: append(bytes.Clone(data[:len(data)-1]), 'x'), batch: "b"}, checkpoint.ErrNoList},
		"it cannot be read":           {object{err: refused}, refused},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := checkpoint.LoadBatch(t.Context(), s, &c.object, "b")
			if !errors.Is(err, c.want) || errors.Is(err, checkpoint.ErrNotFound) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if errors.Is(c.want, checkpoint.ErrNoList) && !strings.Contains(err.Error(), "s3://lake/manifests/outbox/b.json.zst") {
				t.Errorf("%v, want the object to be named", err)
			}
			if len(got.Files) > 0 || got.ID != "b" || len(got.Ranges) != 1 {
				t.Errorf("returned %+v, want the batch without files", got)
			}
		})
	}
}

// The item holds the number and the object holds the files: they belong to one batch only if they agree.
func TestLoadBatch_RefusesAListOfAnotherNumberOfFiles(t *testing.T) {
	s := local.OpenMemory()
	b, data := listed(t, s)
	if err := s.Forget(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	b.ID, b.Ranges[0].Start, b.Ranges[0].End = "b2", "7", "8"
	b.List = checkpoint.NewFileList("lake", "k", len(b.Files)+1, data)
	if err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if got, err := checkpoint.LoadBatch(t.Context(), s, &object{data: data, batch: "b2"}, "b2"); !errors.Is(err, checkpoint.ErrNoList) || len(got.Files) > 0 {
		t.Errorf("%d files, %v; want ErrNoList", len(got.Files), err)
	}
}

// Two workers may sweep a batch at the same time.
func TestLoadBatch_FindsNothingWhenSomebodyForgetsTheBatchMeanwhile(t *testing.T) {
	s := local.OpenMemory()
	listed(t, s)
	gone := &object{err: checkpoint.ErrNotFound, reading: func() {
		if err := s.Forget(context.Background(), "b"); err != nil {
			t.Error(err)
		}
	}}
	if _, err := checkpoint.LoadBatch(t.Context(), s, gone, "b"); !errors.Is(err, checkpoint.ErrNotFound) || errors.Is(err, checkpoint.ErrNoList) {
		t.Errorf("%v, want ErrNotFound", err)
	}
}
