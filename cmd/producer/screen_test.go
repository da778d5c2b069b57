package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/producer"
)

var halfway = producer.Progress{Rows: 5000, Records: 5000, Bytes: 6 << 20, Elapsed: 2 * time.Second}

func TestScreen_WritesLinesWhereThereIsNoTerminal(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out)
	s.progress(halfway, 0.5)
	s.progress(halfway, -1)
	s.show("")
	want := " 50%, 5,000 records, 6.0 MiB, 2,500 records/s, 3.0 MiB/s, 2s left\n" +
		"5,000 records, 6.0 MiB, 2,500 records/s, 3.0 MiB/s\n"
	if got := out.String(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if s.every() != lineEvery {
		t.Errorf("a line every %s", s.every())
	}
}

func TestScreen_KeepsTheBarBelowTheLines(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out)
	s.width = func() int { return 100 }
	s.progress(halfway, 0.5)
	bar := s.bar
	if !strings.HasPrefix(bar, "[==") || !strings.Contains(bar, "50%") {
		t.Errorf("bar %q", bar)
	}
	out.Reset()
	fmt.Fprintln(s, "a bad row")
	if want := eraseLine + "a bad row\n" + bar; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	out.Reset()
	s.show("")
	s.show("")
	if out.String() != eraseLine {
		t.Errorf("%q: want the bar removed once", out.String())
	}
}

func TestScreen_TheBarNeverWraps(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out)
	for width := range 150 {
		s.width = func() int { return width }
		for _, done := range []float64{-1, 0, 0.3, 1} {
			p := halfway
			p.Retries, p.BadRows = 12, 1234
			s.progress(p, done)
			if len(s.bar) >= max(1, width) {
				t.Fatalf("%d columns in a terminal of %d", len(s.bar), width)
			}
		}
	}
}

func TestSize_AndGrouped(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 20: "5.0 MiB", 3 << 30: "3.00 GiB"} {
		if got := size(bytes); got != want {
			t.Errorf("%d: %s, want %s", bytes, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestBadRows_AreToldOneByOneUpToABound(t *testing.T) {
	var out bytes.Buffer
	b := badRows{file: "trips.csv", out: &out}
	for i := range 1000 {
		b.report(&producer.BadRow{Line: int64(i + 2), Reason: "odd"})
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != maxReported+1 || lines[0] != "trips.csv:2: odd: skipped" {
		t.Errorf("%d lines, the first %q", len(lines), lines[0])
	}
}
