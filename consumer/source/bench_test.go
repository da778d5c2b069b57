package source

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/record"
)

// BenchmarkReader_Take turns answers of 5,000 records of 1 kB into Fetches, with the decoder of the daemon. A shard can
// not bring more than 2 MB a second.
func BenchmarkReader_Take(b *testing.B) {
	decoder, err := record.NewDecoder(record.DecoderOptions{})
	if err != nil {
		b.Fatal(err)
	}
	s := newSource(nil, func(c *Config) { c.Decoder = func(string) Decoder { return decoder } })
	r := s.Open("shard", checkpoint.TrimHorizon)
	out := &kinesis.GetRecordsOutput{
		Records: newShard(5000, 1000).records, NextShardIterator: aws.String("next"), MillisBehindLatest: aws.Int64(1),
	}
	b.SetBytes(5000 * 1000)
	b.ReportAllocs()
	body := encodeCBOR(out)
	for b.Loop() {
		r.shard.last = ""
		in := &intake{answer: answer{body: bodies.get(len(body))}}
		in.answer.body.s = append(in.answer.body.s, body...)
		if err := in.answer.decode(wireCBOR); err != nil {
			b.Fatal(err)
		}
		if r.shard.take(in); in.fetch.Count != 5000 {
			b.Fatal(in.fetch.Count)
		}
		in.release(nil)
	}
}
