package layout_test

import (
	"testing"

	"aws-streaming-pipeline/writers/layout"
)

func TestMarker_TakesApartItsSiblings(t *testing.T) {
	for _, object := range append(names, "errors/a.json/000000000.json") {
		for _, line := range []int{0, 500, 123456789, 1234567890} {
			m := layout.Marker{Folder: layout.RedriveFolder, Stream: "trips", Object: object, Line: line}
			if got, ok := (layout.Marker{Folder: m.Folder, Stream: m.Stream, Object: object}).Sibling(m.Key()); !ok || got != m {
				t.Errorf("%q: got %+v, %v, want %+v", m.Key(), got, ok, m)
			}
		}
	}
	m := layout.Marker{Folder: "redriven/", Stream: "trips", Object: "errors/a", Line: 500}
	if want := "redriven/trips/errors/a/000000500.json"; m.Key() != want {
		t.Errorf("got %s, want %s", m.Key(), want)
	}
	for _, other := range []string{
		"redriven/trips/errors/a/500.json", "redriven/trips/errors/a/000000500", "redriven/trips/errors/a/-00000500.json", "redriven/trips/errors/a/+00000500.json",
		"redriven/trips/errors/a/b/000000500.json", "redriven/other/errors/a/000000500.json", "redriven/trips/errors/a/.json", "redriven/trips/errors/a/notes.json",
	} {
		if got, ok := m.Sibling(other); ok {
			t.Errorf("%q is taken for %+v", other, got)
		}
	}
}
