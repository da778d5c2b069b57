package chaos

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/test/gobuild"
)

// A program that is built with the overlay follows a step of its clock at once, and measured durations are not affected.
func TestClock_StepsUnderARunningProgram(t *testing.T) {
	dir := t.TempDir()
	overlay, err := clockOverlay(dir)
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte(`package main

import (
	"bufio"
	"fmt"
	"os"
	"time"
)

func main() {
	began := time.Now()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(time.Now().Unix(), time.Since(began).Round(time.Hour))
	}
}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := newClock(filepath.Join(dir, "clock"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), gobuild.Build(t, filepath.Join(dir, "program"), source, "-overlay", overlay))
	cmd.Env = []string{c.environment()}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(out)
	for _, by := range []time.Duration{0, 2 * time.Hour, -time.Hour, 0} {
		if err := c.step(by); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(in, "\n"); err != nil {
			t.Fatal(err)
		}
		var unix int64
		var since time.Duration
		var text string
		if _, err := fmt.Fscanln(answers, &unix, &text); err != nil {
			t.Fatal(err)
		}
		if since, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
		if off := time.Unix(unix, 0).Sub(time.Now().Add(by)).Abs(); off > time.Minute || since != 0 {
			t.Errorf("stepped by %v: the program's clock is %v beside it, and %v seem to have passed", by, off, since)
		}
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
