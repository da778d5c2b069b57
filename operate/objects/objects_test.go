package objects_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"aws-streaming-pipeline/operate/objects"
)

func gzipped(t *testing.T, parts ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, p := range parts {
		z := gzip.NewWriter(&b)
		_, err := io.WriteString(z, p)
		if err = errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func zstandard(t *testing.T, parts ...string) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for _, p := range parts {
		b = e.EncodeAll([]byte(p), b)
	}
	return b
}

func read(b []byte) (lines []string, err error) {
	err = objects.Lines(bytes.NewReader(b), func(n int, line []byte) error {
		if n != len(lines) {
			return fmt.Errorf("line %d is called %d", len(lines), n)
		}
		lines = append(lines, string(line))
		return nil
	})
	return lines, err
}

func TestLines_ReadsThemHoweverTheyAreCompressed(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, test := range map[string]struct {
		body []byte
		want []string
	}{
		"nothing":                    {nil, nil},
		"one byte":                   {[]byte("a"), []string{"a"}},
		"plain":                      {[]byte("a\nb\n"), []string{"a", "b"}},
		"without the last line feed": {[]byte("a\nb"), []string{"a", "b"}},
		"blank lines":                {[]byte("\na\n\n"), []string{"", "a", ""}},
		"a long line":                {[]byte("a\n" + long + "\nb\n"), []string{"a", long, "b"}},
		"gzip in members":            {gzipped(t, "a\nb\n", "c\n"), []string{"a", "b", "c"}},
		"Zstandard in frames":        {zstandard(t, "a\nb\n", "c\n"), []string{"a", "b", "c"}},
		"long lines in gzip":         {gzipped(t, long+"\n"+long+"y\n"), []string{long, long + "y"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(test.body)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("%d lines, %v; want %d", len(got), err, len(test.want))
			}
		})
	}
}

func TestLines_TellsOfDamageBehindTheLinesThatAreWhole(t *testing.T) {
	text := strings.Repeat("some text that is long enough\n", 50_000)
	for name, body := range map[string][]byte{"gzip": gzipped(t, text), "Zstandard": zstandard(t, text)} {
		if _, err := read(body[:len(body)-7]); err == nil {
			t.Errorf("%s that is cut off is read without an error", name)
		}
	}
}

func TestLines_StopsAtTheFirstErrorOfTheCaller(t *testing.T) {
	stop := errors.New("stop")
	calls := 0
	err := objects.Lines(strings.NewReader("a\nb\nc\n"), func(n int, _ []byte) error {
		if calls++; n == 1 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || calls != 2 {
		t.Errorf("error %v after %d calls", err, calls)
	}
}
