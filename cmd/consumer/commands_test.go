package main

import (
	"testing"

	"aws-streaming-pipeline/internal/command/commandtest"
)

func TestCommands_ExplainThemselvesAndRefuseWhatIsWrong(t *testing.T) {
	commandtest.Check(t, root)
}

func TestTexts_ShowCommandLinesOfTheProgram(t *testing.T) {
	commandtest.CheckTexts(t, root, "../..", 60)
}
