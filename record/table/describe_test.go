package table

import (
	"testing"
	"time"
)

func TestTransform_WritesItsResultsForPeople(t *testing.T) {
	at := time.Date(2026, 11, 29, 2, 30, 0, 123_000_000, time.UTC)
	micros := appendLong(nil, at.UnixMicro())
	days := appendInt(nil, int32(at.Unix()/86400))
	for _, c := range []struct {
		transform Transform
		typ       string
		value     []byte
		want      string
	}{
		{Transform{Name: Year}, TimestampTZ, micros, "2026"},
		{Transform{Name: Month}, Timestamp, micros, "2026-11"},
		{Transform{Name: Day}, TimestampTZ, micros, "2026-11-29"},
		{Transform{Name: Hour}, TimestampTZ, micros, "2026-11-29-02"},
		{Transform{Name: Month}, Date, days, "2026-11"},
		{Transform{Name: Year}, Date, appendInt(nil, -1), "1969"},
		{Transform{Name: Identity}, Date, days, "2026-11-29"},
		{Transform{Name: Identity}, TimestampTZ, micros, "2026-11-29T02:30:00.123Z"},
		{Transform{Name: Identity}, Timestamp, micros, "2026-11-29T02:30:00.123"},
		{Transform{Name: Identity}, String, []byte("a/b"), "a/b"},
		{Transform{Name: Identity}, Boolean, []byte{1}, "true"},
		{Transform{Name: Identity}, Int, appendInt(nil, -7), "-7"},
		{Transform{Name: Truncate, Width: 10}, Long, appendLong(nil, 37), "30"},
		{Transform{Name: Identity}, "decimal(9, 2)", []byte{0xff, 0x85}, "-1.23"},
		{Transform{Name: Identity}, Binary, []byte{0xca, 0xfe}, "cafe"},
	} {
		typ, err := ParseType(c.typ)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.transform.text(c.transform.Append(nil, c.value, typ), typ); got != c.want {
			t.Errorf("%s of %s: %s, want %s", c.transform, c.typ, got, c.want)
		}
	}
}
