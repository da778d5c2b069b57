package main

import (
	"testing"

	"aws-streaming-pipeline/internal/command/commandtest"
)

func TestCommands_ExplainThemselvesAndRefuseWhatIsWrong(t *testing.T) {
	commandtest.Check(t, root)
}
