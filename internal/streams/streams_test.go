package streams_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"aws-streaming-pipeline/internal/streams"
)

const arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/trips"

func TestID_NamesAStreamInOneWay(t *testing.T) {
	for _, test := range []struct {
		id                  streams.ID
		name, byName, byARN string
		valid               bool
	}{
		{"trips", "trips", "trips", "", true},
		{"a_b.c-D9", "a_b.c-D9", "a_b.c-D9", "", true},
		{arn, "trips", "", arn, true},
		{"arn:aws-cn:kinesis:cn-north-1:123456789012:stream/trips", "trips", "", "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/trips", true},
		{streams.ID(strings.Repeat("x", 128)), strings.Repeat("x", 128), strings.Repeat("x", 128), "", true},
		{streams.ID(strings.Repeat("x", 129)), strings.Repeat("x", 129), strings.Repeat("x", 129), "", false},
		{"", "", "", "", false},
		{"two words", "two words", "two words", "", false},
		{"trips/", "trips/", "trips/", "", false},
		{"arn:aws:s3:::trips", "", "", "arn:aws:s3:::trips", false},
		{arn + "/consumer/files:1", "trips/consumer/files:1", "", arn + "/consumer/files:1", false},
	} {
		if got := test.id.Name(); got != test.name {
			t.Errorf("%q: name %q, want %q", test.id, got, test.name)
		}
		byName, byARN := test.id.ByName(), test.id.ByARN()
		if aws.ToString(byName) != test.byName || aws.ToString(byARN) != test.byARN || (byName == nil) == (byARN == nil) {
			t.Errorf("%q: asked for by name %q and ARN %q, want %q and %q", test.id, aws.ToString(byName), aws.ToString(byARN), test.byName, test.byARN)
		}
		if got := test.id.Valid(); got != test.valid {
			t.Errorf("%q: valid %v", test.id, got)
		}
	}
}

func TestConsumerID_TellsWhoseConsumerItIs(t *testing.T) {
	for id, want := range map[streams.ConsumerID]struct{ isARN, of bool }{
		"files":                                {false, false},
		arn + "/consumer/files:1700000000":     {true, true},
		arn + "-old/consumer/files:1700000000": {true, false},
	} {
		if id.IsARN() != want.isARN || id.Of(arn) != want.of {
			t.Errorf("%q: an ARN: %v, of the stream: %v", id, id.IsARN(), id.Of(arn))
		}
	}
}
