package redrive_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/operate/redrive"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/recordtest"
)

func TestRun_PutsABackupIntoAStreamAgain(t *testing.T) {
	s := newSite(t)
	aggregate := recordtest.AppendAggregate(nil, []record.Record{
		{PartitionKey: "x", ExplicitHashKey: "340282366920938463463374607431768211455", Data: []byte("1")}, {PartitionKey: "y", Data: []byte("2")},
	})
	var lines []byte
	payloads := []string{string(aggregate), "\x1f\x8b\x00 not text\n", "", `{"a":1}`}
	for n, data := range payloads {
		kept := failed(n)
		kept.PartitionKey, kept.Fault, kept.Data = fmt.Sprint("key-", n), nil, []byte(data)
		lines = record.AppendBackupLine(lines, &kept)
	}
	s.put("backup/a.jsonl.gz", append(lines, errorLines(failed(9))...))
	fromBackup := func(c *redrive.Config) { c.Prefix, c.Backup = "backup/", true }

	r := s.redrive(func(c *redrive.Config) { c.Prefix = "backup/" })
	want(t, "lines sent as error records", r.Sent, 1)
	want(t, "unreadable lines", r.Unreadable, 4)
	s = newSite(t)
	s.put("backup/a.jsonl.gz", append(lines, errorLines(failed(9))...))
	r = s.redrive(fromBackup)
	want(t, "sent", r.Sent, 4)
	want(t, "counted as of a backup", r.Codes["backup"].Sent, 4)
	want(t, "error records in a backup", r.Unreadable, 1)
	want(t, "sent by another run", s.redrive(fromBackup).Sent, 0)

	keys := make(map[string]string)
	for _, r := range s.records() {
		keys[string(r.Data)] = r.PartitionKey
	}
	for n, data := range payloads {
		want(t, fmt.Sprintf("key of %q", data), keys[data], fmt.Sprint("key-", n))
	}
	shards, err := s.stream.Shards(streamName)
	must(t, err)
	inSecond := slices.Collect(s.stream.Records(streamName, shards[1].ID))
	want(t, "the aggregate is in the shard of its first user record",
		slices.ContainsFunc(inSecond, func(r localstream.Record) bool { return string(r.Data) == string(aggregate) }), true)
}

func TestConfig_RefusesErrorCodesOfABackup(t *testing.T) {
	c := newSite(t).config()
	c.Backup, c.Codes = true, []string{record.CodeJSONEmpty}
	if _, err := redrive.Run(t.Context(), nil, nil, c); err == nil || !strings.Contains(err.Error(), `error codes ["Json.Empty"]: a backup has none`) {
		t.Errorf("got %v", err)
	}
}
