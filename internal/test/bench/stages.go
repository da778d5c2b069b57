package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// stage is a step of the daemon's work and the functions that identify it. The time of a stack counts toward the first stage, in
// the order of stages, that has a function in it.
type stage struct {
	name      string
	functions []string
}

var stages = []stage{
	{"garbage collection", []string{"runtime.gcBgMarkWorker", "runtime.gcAssistAlloc", "runtime.bgsweep", "runtime.bgscavenge", "runtime.gcStart"}},
	{"compress lines, pages of numbers", []string{"github.com/golang/snappy.", "github.com/klauspost/compress/"}},
	{"parse into columns", []string{"schema/shred.(*Shredder)"}},
	{"encode and compress pages", []string{"aws-streaming-pipeline/writers/parquet."}},
	{"make lines", []string{"aws-streaming-pipeline/record.AppendJSONLine"}},
	{"upload", []string{"writers/s3sink.", "service/s3.", "net/http.(*persistConn).writeLoop"}},
	{"receive", []string{"consumer/source.", "service/kinesis.", "net/http.(*persistConn).readLoop", "net/http.(*http2", "net/http.http2"}},
	{"open, route and append", []string{"consumer/batch.", "aws-streaming-pipeline/writers.", "aws-streaming-pipeline/record"}},
}

// share is a stage's part of a profile.
type share struct {
	stage string
	part  float64
}

// profileShares returns how a CPU profile divides into stages, with the rest last.
func profileShares(ctx context.Context, binary, profile string) ([]share, error) {
	out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-traces", binary, profile).Output()
	if err != nil {
		return nil, fmt.Errorf("read profile: %w", err)
	}
	spent, sum := make(map[string]time.Duration), time.Duration(0)
	_, samples, _ := strings.Cut(string(out), "-----------+")
	for _, sample := range strings.Split(samples, "-----------+") {
		_, stack, _ := strings.Cut(sample, "\n") // the rest of the line of dashes
		took, err := time.ParseDuration(firstField(stack))
		if err != nil {
			continue // the text after the last line of dashes
		}
		sum += took
		spent[stageOf(stack)] += took
	}
	if sum == 0 {
		return nil, fmt.Errorf("profile %s is empty", profile)
	}
	var shares []share
	for _, s := range append(stages, stage{name: rest}) {
		shares = append(shares, share{s.name, float64(spent[s.name]) / float64(sum)})
	}
	return shares, nil
}

const rest = "the rest"

func stageOf(stack string) string {
	for _, s := range stages {
		for _, f := range s.functions {
			if strings.Contains(stack, f) {
				return s.name
			}
		}
	}
	return rest
}

func firstField(text string) string {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return ""
	}
	return fields[0]
}
