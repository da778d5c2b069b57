package dynamo

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/klauspost/compress/zstd"

	"aws-streaming-pipeline/checkpoint"
)

// During the rollout of an update, workers of two releases share a table. The items in testdata were written by an
// earlier release: this one reads them, and writes the same.
func TestBatchItem_IsThatOfEarlierReleases(t *testing.T) {
	for _, file := range []string{"testdata/batch.json", "testdata/listed_batch.json"} {
		t.Run(file, func(t *testing.T) {
			released := readItem(t, file)
			b, err := read(released, (*reader).batch)
			if err != nil {
				t.Fatal(err)
			}
			if b.List == nil && (len(b.Files) != 2 || len(b.Files[0].Staged) == 0 || b.Published[0] != 1) || b.Ranges[0].LeaseCounter != 42 {
				t.Errorf("read %+v", b)
			}
			if b.List != nil {
				b.Files = make([]checkpoint.File, b.List.Files) // whoever commits it has them
			}
			written, err := batchItem(b)
			if err != nil {
				t.Fatal(err)
			}
			delete(released, attrPublished) // which Commit does not write
			if len(written) != len(released) {
				t.Errorf("written %d attributes, want %d", len(written), len(released))
			}
			for name, want := range released {
				if !same(t, written[name], want) {
					t.Errorf("attribute %s is %+v, want %+v", name, written[name], want)
				}
			}
		})
	}
}

// same compares binary values by their content: another version of the compression may produce different bytes.
func same(t *testing.T, got, want types.AttributeValue) bool {
	t.Helper()
	w, isBinary := want.(*types.AttributeValueMemberB)
	if !isBinary {
		return reflect.DeepEqual(got, want)
	}
	g, isBinary := got.(*types.AttributeValueMemberB)
	return isBinary && bytes.Equal(open(t, g.Value), open(t, w.Value))
}

func readItem(t *testing.T, file string) item {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var attributes map[string]struct {
		S, N *string
		B    []byte
		NS   []string
	}
	if err := json.Unmarshal(text, &attributes); err != nil {
		t.Fatal(err)
	}
	it := item{}
	for name, a := range attributes {
		switch {
		case a.S != nil:
			it[name] = &types.AttributeValueMemberS{Value: *a.S}
		case a.N != nil:
			it[name] = &types.AttributeValueMemberN{Value: *a.N}
		case a.B != nil:
			it[name] = &types.AttributeValueMemberB{Value: a.B}
		default:
			it[name] = &types.AttributeValueMemberNS{Value: a.NS}
		}
	}
	return it
}

// open decompresses.
func open(t *testing.T, data []byte) []byte {
	t.Helper()
	r, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := r.DecodeAll(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
