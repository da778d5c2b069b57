package main

import (
	"errors"
	"fmt"
	"testing"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/command"
)

// The exit code tells a run that another start would complete from one that has lost records to the retention time.
func TestExitWith_TellsALossFromOtherErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{fmt.Errorf("%w: 1 shard", consumer.ErrIncomplete), 3},
		{consumer.ErrInterrupted, 130},
		{errors.New("another"), 1},
	} {
		if got := command.ExitCode(exitWith(c.err)); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
	}
	if err := exitWith(nil); err != nil {
		t.Errorf("a complete run ends with %v", err)
	}
}
