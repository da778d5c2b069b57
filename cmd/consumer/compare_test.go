package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/klauspost/compress/gzip"

	"aws-streaming-pipeline/internal/iam"
)

func (s *surroundings) putObject(bucket, key string, body []byte) {
	s.t.Helper()
	if _, err := s.s3.PutObject(s.t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)}); err != nil {
		s.t.Fatal(err)
	}
}

func zip(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What the daemon delivered, in each of its formats, is compared with files as Firehose writes them.
func TestCompare_TellsWhetherTwoHaveDeliveredTheSame(t *testing.T) {
	t.Parallel()
	var payloads []string
	for n := range 200 {
		payloads = append(payloads, fmt.Sprintf(`{"n":%d, "name":"caf\u00e9 %d","way":[[%d.50,1]],"at":"2026-03-14T09:00:00Z"}`, n, n%7, n))
	}
	for _, format := range []string{"jsonl", "firehose", "parquet"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := newSurroundings(t, 2)
			const theirs = "s3://" + bucketName + "/firehose/"
			s.send(payloads...)
			s.send("no JSON at all")
			s.putObject(bucketName, "firehose/2026/03/14/09/trips-1", zip(t, strings.Join(payloads[:120], "")))
			s.putObject(bucketName, "firehose/2026/03/14/09/trips-2", []byte(strings.Join(payloads[120:], "\n")))
			s.putObject(bucketName, "firehose/processing-failed/2026/03/14/09/trips-3", []byte(`{"attemptsMade":1,"rawData":"bm8gSlNPTiBhdCBhbGw="}`))
			more := []string{"FORMAT=" + format}
			raw := []string{}
			if format == "firehose" { // which delivers what is not JSON, too
				more = append(more, "APPEND_DELIMITER=true")
				raw = []string{"--raw"}
				s.putObject(bucketName, "firehose/2026/03/14/09/trips-4", []byte("no JSON at all\n"))
			}
			p := s.start(more...)
			eventually(t, "everything is delivered", func() bool { return s.recordsInManifests() == int64(len(payloads)+1) })
			if err := p.terminate(); err != nil {
				t.Errorf("exit: %v\n%s", err, p.log)
			}
			args := append([]string{"compare", "--theirs", theirs}, raw...)
			s.wantTool(0, []string{"AGREE", "s3://out/data/", "1 error objects"}, args...)

			s.putObject(bucketName, "firehose/2026/03/14/10/trips-5", []byte(payloads[3]+`{"secret":1}`))
			out := s.wantTool(1, []string{"DIFFERENT", "missing-in-ours", "double-in-theirs", "trips-5 record 2"}, args...)
			if strings.Contains(out, "secret") {
				t.Errorf("a payload is shown:\n%s", out)
			}
			s.wantTool(1, []string{`{"secret":1}`}, append(args, "--show")...)
			var report struct {
				Agree    bool
				Findings []struct {
					Kind    string
					Records int
				}
			}
			// The error goes to the same buffer after the report.
			d := json.NewDecoder(strings.NewReader(s.wantTool(1, nil, append(args, "--json", "--examples", "0")...)))
			if err := d.Decode(&report); err != nil || report.Agree || len(report.Findings) != 2 || report.Findings[0].Records != 1 {
				t.Errorf("the report is %+v, %v", report, err)
			}
			s.wantTool(0, []string{"AGREE"}, append(args, "--exclude", "firehose/2026/03/14/10/")...)
			s.wantTool(1, []string{"double-in-theirs"}, append(args, "--ignore", "secret", "--show")...) // {} is missing still
		})
	}
}

func (s *surroundings) recordsInManifests() int64 { return (&border{surroundings: s}).delivered() }

func TestCompare_SaysWhatCouldNotBeChecked(t *testing.T) {
	t.Parallel()
	s := newSurroundings(t, 1)
	s.putObject(bucketName, "firehose/1", []byte(`{"a":1}`))
	s.putObject(bucketName, "broken/1", []byte(`{"a":`))
	theirs := []string{"compare", "--theirs", "s3://" + bucketName + "/firehose/"}
	for _, test := range []struct {
		says string
		args []string
	}{
		{`--theirs="": want s3://bucket/prefix/`, []string{"compare"}},
		{`--ours="/data": want s3://bucket/prefix/`, append(theirs, "--ours", "/data")},
		{"want two deliveries", append(theirs, "--ours", "s3://"+bucketName+"/firehose/")},
		{"want an earlier time", append(theirs, "--to", "30m")},
		{"neither side has a record", append(theirs, "--from", "3h", "--to", "2h")},
		{"want a longer window", append(theirs, "--from", "1h")}, // the margin alone
		{"broken/1, record 1", []string{"compare", "--theirs", "s3://" + bucketName + "/broken/"}},
		{"NoSuchBucket", []string{"compare", "--theirs", "s3://absent/firehose/"}},
		{"memory", append(theirs, "--memory", "1")},
		{"want a size", append(theirs, "--memory", "much")},
		{"only flags", append(theirs, "s3://x/y/")},
	} {
		s.wantTool(2, []string{test.says}, test.args...)
	}
	s.wantTool(1, []string{"missing-in-ours", "ours      s3://out/data/year=: 0 objects"}, theirs...)
	s.wantTool(0, []string{"Usage:\n  consumer compare"}, "compare", "--help")
}

// The policy for operators is enough to compare files of another bucket, and each part of it is needed.
func TestPolicy_IsEnoughToCompare(t *testing.T) {
	t.Parallel()
	b := newBorder(t, "http://127.0.0.1:1")
	const other = "other"
	if _, err := b.s3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(other)}); err != nil {
		t.Fatal(err)
	}
	p := b.start()
	b.send(`{"n":1}`)
	eventually(t, "the record is delivered", func() bool { return b.delivered() == 1 })
	if err := p.terminate(); err != nil {
		t.Errorf("exit: %v\n%s", err, p.log)
	}
	b.putObject(other, "firehose/1", []byte(`{"n":1}`))
	url := "s3://" + other + "/firehose/"
	whole := b.print(nil, "--operator", "--theirs", url)
	without := func(sid string) iam.Policy {
		return iam.Policy{Version: whole.Version, Statement: slices.DeleteFunc(slices.Clone(whole.Statement), func(s iam.Statement) bool { return s.Sid == sid })}
	}
	for _, test := range []struct {
		policy iam.Policy
		code   int
	}{{whole, 0}, {without("ReadTheirs"), 2}, {without("ListTheirs"), 2}, {without("ReadBucket"), 2}, {without("ListBucket"), 2}, {b.print(nil, "--operator"), 2}} {
		b.enforce(test.policy)
		out, code := b.tool(b.environment(b.endpoints...), "compare", "--theirs", url)
		if code != test.code || (len(b.refusals()) > 0) != (code != 0) {
			t.Errorf("exit code %d, want %d; refused: %v\n%s", code, test.code, b.refusals(), out)
		}
	}
}
