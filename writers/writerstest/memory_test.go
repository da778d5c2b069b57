package writerstest_test

import (
	"errors"
	"testing"

	"aws-streaming-pipeline/writers/writerstest"
)

func TestSink_OnMemory(t *testing.T) {
	writerstest.TestSink(t, func(t *testing.T) writerstest.Bucket {
		m := writerstest.NewMemory()
		missing := writerstest.NewMemory()
		missing.Fault = func(string, string) error { return errors.New("no such bucket") }
		return writerstest.Bucket{
			Sink: m, Other: m, Missing: missing,
			Get: func(_ *testing.T, key string) *writerstest.Object { return m.Object(key) },
		}
	})
}
