package iceberg

import (
	"testing"

	"aws-streaming-pipeline/loader/loadertest"
)

func TestTable_KeepsTheContract(t *testing.T) {
	s := newSite(t)
	loadertest.Test(t, func(t *testing.T) loadertest.Table {
		r := s.table()
		r.load() // creates it
		return r
	})
}
