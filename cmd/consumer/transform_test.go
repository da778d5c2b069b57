package main_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/record"
)

// transformQuery drops, fails, splits and redacts.
const transformQuery = `TRANSFORM_QUERY=
	if .kind == "noise" then empty
	elif .kind == "bad" then error(.card)
	elif .kind == "many" then .n as $n | .items[] | {n: $n, item: .}
	else del(.card) | .double = .n * 2 end`

// transformed returns a payload, and what is delivered of it: data, or an error record.
func transformed(n int) (payload string, data []string, bad bool) {
	switch n % 4 {
	case 0:
		return fmt.Sprintf(`{"n":%d,"kind":"noise","card":"4111"}`, n), nil, false
	case 1:
		return fmt.Sprintf(`{"n":%d,"kind":"bad","card":"4111"}`, n), nil, true
	case 2:
		return fmt.Sprintf(`{"n":%d,"kind":"many","items":["a","b"]}`, n), []string{fmt.Sprintf(`{"n":%d,"item":"a"`, n), fmt.Sprintf(`{"n":%d,"item":"b"`, n)}, false
	}
	return fmt.Sprintf(`{"n":%d,"kind":"good","card":"4111"}`, n), []string{fmt.Sprintf(`{"n":%d,"kind":"good","double":%d`, n, 2*n)}, false
}

// A worker dies after its commit, another one at any moment. What the transform makes of each record is delivered once.
func TestConsumer_DeliversWhatATransformMakesExactlyOnce(t *testing.T) {
	t.Parallel()
	const records = 400
	s := newSurroundings(t, 1)
	want, errs := make(map[string]int), 0
	send := func(from, to int) {
		var payloads []string
		for n := from; n < to; n++ {
			payload, data, bad := transformed(n)
			payloads = append(payloads, payload)
			for _, line := range data {
				want[line]++
			}
			if bad {
				errs++
			}
		}
		s.send(payloads...)
	}
	send(0, 100)
	s.crash(transformQuery)
	for n := 100; n < records-100; n += 50 {
		worker := s.start(transformQuery, "COMMIT_INTERVAL=1s")
		send(n, n+50)
		time.Sleep(time.Duration(800+6*n) * time.Millisecond) // before, during and after its commit
		worker.kill()
	}
	send(records-100, records)
	worker := s.start(transformQuery)
	eventually(t, "everything is delivered", func() bool { return len(s.lines("data/")) >= records*3/4 && len(s.lines("errors/")) >= errs })
	if err := worker.terminate(); err != nil {
		t.Errorf("exit: %v\n%s", err, worker.log)
	}

	got, ids := make(map[string]int), make(map[string]bool)
	for _, line := range s.lines("data/") {
		text, rest, _ := strings.Cut(string(line), `,"event_id":`)
		got[text]++
		if ids[rest] {
			t.Errorf("the event id %s is delivered twice", rest)
		}
		ids[rest] = true
		if strings.Contains(text, "4111") {
			t.Errorf("delivered although it was to be removed: %s", line)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d lines of %d kinds are delivered, want %d kinds", len(s.lines("data/")), len(got), len(want))
	}
	seen := make(map[string]bool)
	for _, line := range s.lines("errors/processing-failed/") {
		e, err := record.ParseErrorLine(line)
		if err != nil {
			t.Fatal(err)
		}
		var payload struct {
			N    int
			Kind string
		}
		if err := json.Unmarshal(e.Record.Data, &payload); err != nil || payload.Kind != "bad" || e.Record.Fault.Code != "Transform.QueryFailed" || strings.Contains(e.Record.Fault.Message, "4111") {
			t.Errorf("error record %s of %s: %v", e.Record.Fault, e.Record.Data, err)
		}
		seen[string(e.Record.Data)] = true
	}
	if n := len(s.lines("errors/")); n != errs || len(seen) != errs {
		t.Errorf("%d error records of %d payloads, want %d", n, len(seen), errs)
	}
	if strings.Contains(worker.log.String(), "4111") {
		t.Error("the log shows a payload")
	}
	s.wantTool(0, []string{"sound"}, "audit", "--deep", "--strict")
}
