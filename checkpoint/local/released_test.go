package local

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"aws-streaming-pipeline/checkpoint"
)

// The rows in testdata were written by an earlier release: a file must be readable after an update and after its
// rollback.
func TestRows_AreThoseOfEarlierReleases(t *testing.T) {
	path := filepath.Join(t.TempDir(), "released.db")
	released := plant(t, path)
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var batches []checkpoint.Batch
	for _, id := range []string{"0199a0f3-0000-7000-8000-000000000001", "0199a0f3-0000-7000-8000-000000000002"} {
		b, err := s.Batch(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		batches = append(batches, b)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if f := batches[0].Files; len(f) != 2 || len(f[0].Staged) == 0 || batches[0].Published[0] != 1 || batches[1].List == nil {
		t.Errorf("read %+v", batches)
	}
	for i, table := range []string{"outbox", "listed"} {
		var want outboxRow
		if err := json.Unmarshal(released[table][batches[i].ID], &want); err != nil {
			t.Fatal(err)
		}
		batches[i].Published = nil // which Commit does not write
		got, err := encodeBatch(batches[i])
		if err != nil {
			t.Fatal(err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, want.Batch); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, compact.Bytes()) {
			t.Errorf("%s: written\n%s\nwant\n%s", table, got, compact.Bytes())
		}
	}
}

// plant makes a file with the rows of testdata, and returns them by bucket and key.
func plant(t *testing.T, path string) (rows map[string]map[string]json.RawMessage) {
	t.Helper()
	text, err := os.ReadFile("testdata/released.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for bucket, values := range rows {
			b, err := tx.CreateBucket([]byte(bucket))
			if err != nil {
				return err
			}
			for key, value := range values {
				if err := b.Put([]byte(key), value); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return rows
}
