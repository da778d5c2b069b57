package firehose_test

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/operate/firehose"
)

// Whatever a file holds, it becomes settings or an error.
func FuzzParse_NeverPanics(f *testing.F) {
	entries, err := os.ReadDir("testdata")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() || strings.HasSuffix(e.Name(), ".env") {
			continue
		}
		text, err := os.ReadFile("testdata/" + e.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, resources[e.Name()])
	}
	f.Fuzz(func(t *testing.T, text []byte, resource string) {
		d, err := firehose.Parse(text, resource)
		if err != nil {
			return
		}
		s, err := d.Settings("")
		if err != nil {
			return
		}
		for _, form := range firehose.Forms {
			if _, err := s.Write(io.Discard, form); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Names that refer to themselves, or each twice to the next, have no value.
func TestParse_EndsOnTemplatesWithoutEnd(t *testing.T) {
	var chain strings.Builder
	for c := 'a'; c < 'z'; c++ {
		chain.WriteString(string(c) + ": {Type: AWS::S3::Bucket, Properties: {BucketName: !Sub '${" + string(c+1) + "}${" + string(c+1) + "}'}}\n  ")
	}
	for name, resources := range map[string]string{
		"a circle": "a: {Type: AWS::S3::Bucket, Properties: {BucketName: !Sub 'x${a}'}}",
		"a chain":  chain.String() + "z: {Type: AWS::S3::Bucket, Properties: {BucketName: z}}",
	} {
		began := time.Now()
		_, err := firehose.Parse([]byte("Resources:\n  "+resources+"\n  F: {Type: AWS::KinesisFirehose::DeliveryStream, Properties: {DeliveryStreamName: !Ref a}}\n"), "")
		if err == nil || !strings.Contains(err.Error(), "want at most 100 values within one another") {
			t.Errorf("%s: got %v after %v", name, err, time.Since(began))
		}
	}
}
