package route

import (
	"fmt"
	"strings"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/record"
)

// explainOpening says what each setting makes of a Kinesis record. It shows sizes and counts, and nothing of payloads.
func explainOpening(raw *record.Record, steps []consumer.Opened) (lines []string) {
	before := []record.Record{*raw}
	for _, s := range steps {
		after := s.Records
		name := s.Setting
		if name == "" {
			name = "KPL"
		}
		switch failed := failures(after) - failures(before); {
		case len(after) == 0:
			lines = append(lines, name+": dropped, because the aggregate belongs to another shard")
		case s.Setting == "" && after[0].Aggregated:
			lines = append(lines, fmt.Sprintf("KPL: an aggregate of %s, %d bytes of payload", count(len(after), "record"), size(after)))
		case len(after) != len(before):
			lines = append(lines, fmt.Sprintf("%s: %s became %d", name, count(len(before), "payload"), len(after)))
		case failed > 0:
			lines = append(lines, fmt.Sprintf("%s: failed for %s", name, count(failed, "payload")))
		case size(after) != size(before):
			lines = append(lines, fmt.Sprintf("%s: %d bytes became %d", name, size(before), size(after)))
		case s.Setting != "":
			lines = append(lines, name+": nothing to do")
		}
		before = after
	}
	return lines
}

func failures(records []record.Record) (n int) {
	for i := range records {
		if records[i].Fault != nil {
			n++
		}
	}
	return n
}

// explainRouting says how one of n records that a transform made of a user record gets to its file. Why it does not is in Routed.
func explainRouting(t Trial, user, r *record.Record, n int, fault *record.Fault) (lines []string) {
	if name := t.Transforms(); name != "" && user.Fault == nil {
		switch {
		case r.Fault != nil:
			lines = append(lines, name+": failed")
		case n > 1:
			lines = append(lines, fmt.Sprintf("%s: made %d records, of which this is number %d", name, n, r.Piece+1))
		case string(r.Data) == string(user.Data):
			lines = append(lines, name+": unchanged")
		default:
			lines = append(lines, fmt.Sprintf("%s: %d bytes became %d", name, len(user.Data), len(r.Data)))
		}
	}
	if r.Fault != nil {
		return lines
	}
	if keys := t.Keys(r); len(keys) > 0 {
		var texts []string
		for _, k := range keys {
			texts = append(texts, k.Name+"="+k.Value)
		}
		lines = append(lines, "partition keys: "+strings.Join(texts, ", "))
	}
	if fault == nil {
		lines = append(lines, t.Destination()+": fits")
	}
	return lines
}

func size(records []record.Record) (n int) {
	for i := range records {
		n += len(records[i].Data)
	}
	return n
}

// count writes a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
