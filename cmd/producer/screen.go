package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"aws-streaming-pipeline/producer"
)

// screen is standard error: lines, and on a terminal a progress bar below them. It is safe for concurrent use.
type screen struct {
	mu    sync.Mutex
	out   io.Writer
	width func() int // columns of the terminal; nil if it is not a terminal
	bar   string     // as shown now
}

func newScreen(out io.Writer) *screen {
	s := &screen{out: out}
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		s.width = func() int {
			columns, _, err := term.GetSize(int(file.Fd()))
			if err != nil {
				return 80
			}
			return columns
		}
	}
	return s
}

func (s *screen) terminal() bool { return s.width != nil }

// eraseLine goes back to the first column and clears the line (ECMA-48: carriage return, EL).
const eraseLine = "\r\x1b[K"

// Write writes whole lines above the bar.
func (s *screen) Write(lines []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != "" {
		fmt.Fprint(s.out, eraseLine)
	}
	n, err := s.out.Write(lines)
	if s.bar != "" {
		fmt.Fprint(s.out, s.bar)
	}
	return n, err
}

// show replaces the bar; an empty one removes it.
func (s *screen) show(bar string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != "" || bar != "" {
		fmt.Fprint(s.out, eraseLine, bar)
	}
	s.bar = bar
}

const (
	barEvery  = 200 * time.Millisecond
	lineEvery = 5 * time.Second
)

// every is how often progress is shown.
func (s *screen) every() time.Duration {
	if s.terminal() {
		return barEvery
	}
	return lineEvery
}

// progress shows how far a run has come: done is the fraction of all rows that was read, negative if unknown.
func (s *screen) progress(p producer.Progress, done float64) {
	text := progressText(p, done)
	if !s.terminal() {
		fmt.Fprintln(s, text)
		return
	}
	if done >= 0 {
		text = barText(done, s.width()-len(text)-2) + text
	}
	if columns := s.width() - 1; len(text) > columns {
		text = text[:max(0, columns)]
	}
	s.show(text)
}

func progressText(p producer.Progress, done float64) string {
	var b strings.Builder
	if done >= 0 {
		fmt.Fprintf(&b, "%3.0f%%, ", 100*done)
	}
	fmt.Fprintf(&b, "%s records, %s, %s", grouped(p.Records), size(p.Bytes), speed(p))
	if p.Retries > 0 {
		fmt.Fprintf(&b, ", %s sent again", grouped(p.Retries))
	}
	if p.BadRows > 0 {
		fmt.Fprintf(&b, ", %s bad", grouped(p.BadRows))
	}
	if done > 0 && done < 1 && p.Elapsed > time.Second {
		left := time.Duration(float64(p.Elapsed) * (1 - done) / done)
		fmt.Fprintf(&b, ", %s left", left.Round(time.Second))
	}
	return b.String()
}

// barText draws a bar of at most 40 columns, or none without room for it.
func barText(done float64, columns int) string {
	columns = min(columns, 40) - len("[] ")
	if columns < 5 {
		return ""
	}
	filled := min(columns, int(done*float64(columns)))
	return "[" + strings.Repeat("=", filled) + strings.Repeat(" ", columns-filled) + "] "
}

func speed(p producer.Progress) string {
	seconds := max(p.Elapsed.Seconds(), 1e-9)
	return fmt.Sprintf("%s records/s, %s/s", grouped(int64(float64(p.Records)/seconds)), size(int64(float64(p.Bytes)/seconds)))
}

// grouped formats a number with thousands separators.
func grouped(n int64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func size(bytes int64) string {
	switch {
	case bytes < 1<<10:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
	case bytes < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%.2f GiB", float64(bytes)/(1<<30))
}
