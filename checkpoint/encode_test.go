package checkpoint_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/checkpointtest"
)

func TestEncodeFiles_ComesBackAsItWas(t *testing.T) {
	described := checkpointtest.Files(3, 2)
	described[0].Table, described[2].Table = []byte(`{"uuid":"a","columns":[{"id":1,"lower":"AAA=","rows":3}]}`), []byte(`{}`)
	described[2].Staged = nil
	for _, files := range [][]checkpoint.File{nil, {}, checkpointtest.Files(1, 0), checkpointtest.Files(7, 13), described} {
		data, err := checkpoint.EncodeFiles(files)
		if err != nil {
			t.Fatal(err)
		}
		again, err := checkpoint.EncodeFiles(files)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(data, again) {
			t.Error("the same files gave different bytes")
		}
		got, err := checkpoint.DecodeFiles(data)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, files) {
			t.Errorf("%d files came back as %+v", len(files), got)
		}
	}
}

func TestEncodeItemFiles_RefusesWhatNoItemHolds(t *testing.T) {
	_, err := checkpoint.EncodeItemFiles(checkpointtest.Files(4000, 3))
	if !errors.Is(err, checkpoint.ErrBatchTooLarge) || !errors.Is(err, checkpoint.ErrInvalidBatch) {
		t.Errorf("%v, want ErrBatchTooLarge, which is an ErrInvalidBatch", err)
	}
}

func TestDecodeFiles_RefusesDamage(t *testing.T) {
	data, err := checkpoint.EncodeFiles(checkpointtest.Files(3, 3))
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{
		"cut": data[:len(data)/2], "no zstd": []byte(`[{"key":"k"}]`), "trailing bytes": append(bytes.Clone(data), "x"...),
	} {
		if _, err := checkpoint.DecodeFiles(damaged); err == nil {
			t.Errorf("%s: decoded without an error", name)
		}
		if _, err := checkpoint.DecodeRanges(damaged); err == nil {
			t.Errorf("%s: decoded as ranges without an error", name)
		}
	}
}

// One Kinesis record may open a file for each of its user records. Any worker must be able to read so long a list,
// within the memory that its files take.
func TestDecodeFiles_ReadsAnyNumber(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 20_000
	}
	files := checkpointtest.Files(n, 1)
	data, err := checkpoint.EncodeFiles(files)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files take %d bytes", len(files), len(data))
	got, err := checkpoint.DecodeFiles(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, files) {
		t.Errorf("%d files came back as %d others", len(files), len(got))
	}
}

// TestFileItemSize_IsAnUpperBound compares the estimate with the real size, and checks that it does not refuse batches
// that are far from the limit.
func TestFileItemSize_IsAnUpperBound(t *testing.T) {
	for _, c := range []struct{ files, parts int }{{1, 0}, {1, 1}, {1, 1000}, {30, 26}, {300, 20}, {1000, 1}, {5, 1500}} {
		t.Run(fmt.Sprintf("%d files of %d parts", c.files, c.parts), func(t *testing.T) {
			files := checkpointtest.Files(c.files, c.parts)
			estimate, size := compareSize(t, files)
			if c.files*(c.parts+1) > 100 && estimate > 4*size {
				t.Errorf("estimated %d bytes, more than four times the real %d", estimate, size)
			}
		})
	}
	t.Run("random keys", func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_="
		files := checkpointtest.Files(200, 2)
		for i := range files {
			var key strings.Builder
			for range 600 {
				key.WriteByte(letters[random.IntN(len(letters))])
			}
			files[i].Key, files[i].Partition = key.String(), key.String()[:500]
		}
		compareSize(t, files)
	})
}

// compareSize fails if the estimate is below the real size.
func compareSize(t *testing.T, files []checkpoint.File) (estimate, size int64) {
	t.Helper()
	data, err := checkpoint.EncodeFiles(files)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		estimate += checkpoint.FileItemSize(f)
	}
	size = int64(len(data))
	if estimate < size {
		t.Errorf("estimated %d bytes, want at least the real %d", estimate, size)
	}
	return estimate, size
}

func TestEncodeRanges_StaysSmall(t *testing.T) {
	ranges := make([]checkpoint.Range, checkpoint.MaxRanges)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range ranges {
		sequence := func() string {
			return fmt.Sprintf("4966%020d%020d%012d", random.Uint64()%1e19, random.Uint64()%1e19, i)
		}
		ranges[i] = checkpoint.Range{Shard: fmt.Sprintf("shardId-%012d", i), Start: checkpoint.Position(sequence()),
			End: checkpoint.Position(sequence()), LeaseOwner: "worker-0193a6e2", LeaseCounter: int64(i), Records: random.Int64N(1e6), Last: sequence()}
	}
	data, err := checkpoint.EncodeRanges(ranges)
	if err != nil {
		t.Fatal(err)
	}
	// DynamoDB's limit of an item is 400 KB; some hundred bytes are attributes and names.
	if most := 400<<10 - checkpoint.MaxBatchItem - 4<<10; len(data) > most {
		t.Errorf("%d ranges take %d bytes, the item has room for %d", len(ranges), len(data), most)
	}
	got, err := checkpoint.DecodeRanges(data)
	if err != nil || !reflect.DeepEqual(got, ranges) {
		t.Errorf("the ranges came back different (%v)", err)
	}
}

func FuzzDecodeFiles(f *testing.F) {
	data, err := checkpoint.EncodeFiles(checkpointtest.Files(2, 2))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := checkpoint.DecodeFiles(data)
		if err != nil {
			return
		}
		if _, err := checkpoint.EncodeFiles(files); err != nil {
			t.Errorf("the decoded value cannot be encoded: %v", err)
		}
	})
}

func BenchmarkEncodeFiles(b *testing.B) {
	files := checkpointtest.Files(60, 26)
	data, err := checkpoint.EncodeFiles(files)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := checkpoint.EncodeFiles(files); err != nil {
			b.Fatal(err)
		}
	}
}
