package localstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/emulator"
)

// rule is one fact that the Kinesis API reference (of the operation in its name) or the page "Quotas and limits"
// documents, and a check of it. A check returns what it met instead.
type rule struct {
	name  string
	check func(*stand) error
}

// deviation is a rule that an emulator is known to break. The suite asserts that it still breaks it in this way, so that
// the list stays true.
type deviation struct {
	emulator string
	rule     string
	// meets is part of what the check reports.
	meets string
}

// Where the emulators differ from what AWS documents, which is the rule's name. This package has no entry here.
var deviations = []deviation{
	{"kinesalite", "CreateStream on demand opens four shards", "ValidationException"},
	{"kinesalite", "DescribeStream pages by Limit and ExclusiveStartShardId", "shardId-000000000002 false shardId-000000000000"},
	{"kinesalite", "Calls name the stream by ARN", "ValidationException"},
	{"kinesalite", "PutRecord takes a key and data of 1 MiB and refuses more", "accepted"},
	{"kinesalite", "PutRecords takes a request of 6 MiB", "StatusCode: 413"},
	{"kinesalite", "PutRecords refuses a request of more than 10 MiB", "refused with UnknownError"},
	{"kinesalite", "GetRecords gives at most 10 MiB", "answered with 11 MiB"},
	{"kinesalite", "GetRecords tells MillisBehindLatest", "behind in the middle false"},
	{"kinesalite", "ListShards pages by MaxResults and NextToken", "no token behind 0,1,2"},
	{"kinesalite", "ListShards refuses NextToken with StreamName: InvalidArgumentException", "no token behind 0,1,2"},
	{"kinesalite", "ListShards AFTER_SHARD_ID", `met "0,1,2,3,4"`},
	{"kinesalite", "ListShards AT_LATEST", `met "0,1,2,3,4"`},
	{"kinesalite", "ListShards AT_TRIM_HORIZON", `met "0,1,2,3,4"`},
	{"kinesalite", "ListShards AT_TIMESTAMP before a split", `met "0,1,2,3,4"`},
	{"kinesalite", "ListShards AT_TIMESTAMP after a split", `met "0,1,2,3,4"`},
	{"kinesalite", "ListShards FROM_TIMESTAMP after a split", `met "0,1,2,3,4"`},
	{"kinesalite", "SplitShard refuses a closed shard", "accepted"},
	{"kinesalite", "The end of a shard names its ChildShards", `met ""`},
	{"kinesalite", "UpdateShardCount doubles", "UnknownOperationException"},
	{"kinesalite", "UpdateShardCount halves", "UnknownOperationException"},
	{"kinesalite", "UpdateShardCount refuses more than double", "UnknownOperationException"},
	{"kinesalite", "GetRecords answers in CBOR what it answers in JSON", `met "MA== key`},
	{"kinesalite", "RegisterStreamConsumer makes a consumer that becomes ACTIVE", "UnknownOperationException"},
	{"kinesalite", "RegisterStreamConsumer of a name that is there: ResourceInUseException", "UnknownOperationException"},
	{"kinesalite", "RegisterStreamConsumer for an unknown stream: ResourceNotFoundException", "UnknownOperationException"},
	{"kinesalite", "DescribeStreamConsumer finds by ARN and by name", "UnknownOperationException"},
	{"kinesalite", "Unknown consumer: ResourceNotFoundException", "UnknownOperationException"},
	{"kinesalite", "ListStreamConsumers pages by MaxResults and NextToken", "UnknownOperationException"},
	{"kinesalite", "DeregisterStreamConsumer: ResourceNotFoundException for later calls", "UnknownOperationException"},
	{"kinesalite", "DescribeStreamSummary counts the consumers", "UnknownOperationException"},
	{"kinesalite", "DeleteStream refuses a stream with consumers: ResourceInUseException", "UnknownOperationException"},
	{"kinesalite", "SubscribeToShard pushes what is there and what comes", "UnknownOperationException"},
	{"kinesalite", "SubscribeToShard continues after ContinuationSequenceNumber", "UnknownOperationException"},
	{"kinesalite", "SubscribeToShard tells the ChildShards at the end of a shard", "UnknownOperationException"},
	{"kinesalite", "SubscribeToShard twice within five seconds: ResourceInUseException", "UnknownOperationException"},
	{"kinesalite", "SubscribeToShard of an unknown shard: ResourceNotFoundException", "UnknownOperationException"},

	{"kinesis-local", "PutRecord takes a key and data of 1 MiB and refuses more", "accepted"},
	{"kinesis-local", "PutRecord refuses a partition key of 257 characters: ValidationException", "InvalidArgumentException"},
	{"kinesis-local", "PutRecords refuses 501 records: ValidationException", "accepted"},
	{"kinesis-local", "PutRecords refuses a request of more than 10 MiB", "accepted"},
	{"kinesis-local", "GetShardIterator refuses a time in the future: InvalidArgumentException", "accepted"},
	{"kinesis-local", "GetShardIterator refuses a sequence number of another shard: InvalidArgumentException", "accepted"},
	{"kinesis-local", "GetRecords refuses a malformed iterator: InvalidArgumentException", "UnknownError"},
	{"kinesis-local", "ListShards AT_TRIM_HORIZON", `met "0,1,2,3,4"`},
	{"kinesis-local", "SplitShard opens two children behind the parent", "the parent ends at 9223372036854775807"},
	{"kinesis-local", "GetRecords answers in CBOR what it answers in JSON", `met "MA== key`},
	{"kinesis-local", "ListStreamConsumers pages by MaxResults and NextToken", `met "2, 2 names"`},
	{"kinesis-local", "DeregisterStreamConsumer: ResourceNotFoundException for later calls", "still described"},
	{"kinesis-local", "SubscribeToShard pushes what is there and what comes", "expected initial-response, got SubscribeToShardEvent"},
	{"kinesis-local", "SubscribeToShard continues after ContinuationSequenceNumber", "expected initial-response, got SubscribeToShardEvent"},
	{"kinesis-local", "SubscribeToShard tells the ChildShards at the end of a shard", "expected initial-response, got SubscribeToShardEvent"},
	{"kinesis-local", "SubscribeToShard twice within five seconds: ResourceInUseException", "expected initial-response, got SubscribeToShardEvent"},
	{"kinesis-local", "SubscribeToShard of an unknown shard: ResourceNotFoundException", "expected initial-response, got SubscribeToShardEvent"},

	{"moto", "DescribeStream pages by Limit and ExclusiveStartShardId", "true shardId-000000000000"},
	{"moto", "PutRecord refuses a partition key of 257 characters: ValidationException", "InvalidArgumentException"},
	{"moto", "PutRecord routes by ExplicitHashKey", "StatusCode: 500"},
	{"moto", "PutRecord gives increasing sequence numbers within a shard", "1 has 1 digits"},
	{"moto", "PutRecord takes a key and data of 1 MiB and refuses more", "accepted"},
	{"moto", "PutRecords takes a request of 6 MiB", "exceeds 5 MB limit"},
	{"moto", "GetShardIterator refuses a time in the future: InvalidArgumentException", "accepted"},
	{"moto", "GetShardIterator refuses a sequence number of another shard: InvalidArgumentException", "accepted"},
	{"moto", "GetRecords refuses a Limit above 10000", "accepted"},
	{"moto", "GetRecords gives at most 10 MiB", "answered with 11 MiB"},
	{"moto", "GetRecords refuses a malformed iterator: InvalidArgumentException", "StatusCode: 500"},
	{"moto", "ListShards pages by MaxResults and NextToken", "inconsistent with page token"},
	{"moto", "ListShards refuses NextToken with StreamName: InvalidArgumentException", "accepted"},
	{"moto", "ListShards begins after ExclusiveStartShardId", `met "0,1,2"`},
	{"moto", "ListShards AFTER_SHARD_ID", `met "0,1,2,3,4"`},
	{"moto", "ListShards AT_LATEST", `met "0,1,2,3,4"`},
	{"moto", "ListShards AT_TRIM_HORIZON", `met "0,1,2,3,4"`},
	{"moto", "ListShards AT_TIMESTAMP before a split", `met "0,1,2,3,4"`},
	{"moto", "ListShards AT_TIMESTAMP after a split", `met "0,1,2,3,4"`},
	{"moto", "ListShards FROM_TIMESTAMP after a split", `met "0,1,2,3,4"`},
	{"moto", "SplitShard opens two children behind the parent", "begins at 0, before the parent's end"},
	{"moto", "The end of a shard has no NextShardIterator", "NextShardIterator in each"},
	{"moto", "The end of a shard names its ChildShards", "NextShardIterator in each"},
	{"moto", "UpdateShardCount refuses more than double", "accepted"},
	{"moto", "GetRecords answers in CBOR what it answers in JSON", "answered 500 in text/html"},
	{"moto", "RegisterStreamConsumer makes a consumer that becomes ACTIVE", `/consumer/archive"`},
	{"moto", "RegisterStreamConsumer of a name that is there: ResourceInUseException", "accepted"},
	{"moto", "RegisterStreamConsumer for an unknown stream: ResourceNotFoundException", "StatusCode: 500"},
	{"moto", "DescribeStreamSummary counts the consumers", `met "0"`},
	{"moto", "DeleteStream refuses a stream with consumers: ResourceInUseException", "accepted"},
	{"moto", "SubscribeToShard pushes what is there and what comes", "StatusCode: 500"},
	{"moto", "SubscribeToShard continues after ContinuationSequenceNumber", "StatusCode: 500"},
	{"moto", "SubscribeToShard tells the ChildShards at the end of a shard", "StatusCode: 500"},
	{"moto", "SubscribeToShard twice within five seconds: ResourceInUseException", "StatusCode: 500"},
	{"moto", "SubscribeToShard of an unknown shard: ResourceNotFoundException", "StatusCode: 500"},
}

// stand is what a check works with: a client and streams of its own.
type stand struct {
	ctx    context.Context
	client *kinesis.Client
}

// checkBound limits a check. An emulator that accepts half a megabyte per second on a quiet machine needs minutes for the
// largest check on a busy one.
const checkBound = 4 * time.Minute

var streamCount atomic.Int64

func clientOptions(url string) kinesis.Options {
	return kinesis.Options{
		BaseEndpoint: aws.String(url),
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("local", "localsecret", ""),
		Retryer:      aws.NopRetryer{},
		HTTPClient:   awshttp.Keep(nil),
	}
}

func newClient(url string) *kinesis.Client {
	return kinesis.New(clientOptions(url))
}

// TestConformance applies one list of rules to this package and three independent emulators.
func TestConformance(t *testing.T) {
	endpoints := []struct {
		name  string
		start func(*testing.T) string
	}{
		{"localstream", func(t *testing.T) string {
			return startServer(t, localstream.Options{StatusDelay: 20 * time.Millisecond}).URL()
		}},
		{"kinesalite", func(t *testing.T) string { return emulator.Kinesalite(t).URL }},
		{"kinesis-local", func(t *testing.T) string { return emulator.KinesisLocal(t).URL }},
		{"moto", func(t *testing.T) string { return emulator.Moto(t).URL }},
	}
	for _, endpoint := range endpoints {
		t.Run(endpoint.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(endpoint.start(t))
			for _, r := range rules {
				t.Run(r.name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), checkBound)
					defer cancel()
					judge(t, endpoint.name, r, r.check(&stand{ctx: ctx, client: client}))
				})
			}
		})
	}
}

// unsteady are deviations that come and go with the load of the machine: the emulator's times of shards differ from those
// of records.
var unsteady = []deviation{
	{"kinesis-local", "ListShards AT_TIMESTAMP before a split", `met "0,1,2,3,4"`},
	{"kinesis-local", "ListShards AT_TIMESTAMP after a split", `met "0,1,2,3,4"`},
	{"kinesis-local", "ListShards FROM_TIMESTAMP after a split", `met "0,1,2,3,4"`},
}

// judge compares the outcome of a check with the list of deviations.
func judge(t *testing.T, emulator string, r rule, met error) {
	t.Helper()
	known := func(d deviation) bool { return d.emulator == emulator && d.rule == r.name }
	if i := slices.IndexFunc(unsteady, known); i >= 0 && (met == nil || strings.Contains(met.Error(), unsteady[i].meets)) {
		return
	}
	i := slices.IndexFunc(deviations, known)
	switch {
	case i < 0 && met != nil:
		t.Errorf("%s: %v", emulator, met)
	case i >= 0 && met == nil:
		t.Errorf("%s keeps the rule now: take it off the list of deviations", emulator)
	case i >= 0 && !strings.Contains(met.Error(), deviations[i].meets):
		t.Errorf("%s breaks the rule in another way than %q: %v", emulator, deviations[i].meets, met)
	}
}

// TestConformance_ListsDeviationsOfKnownRules keeps a misspelt rule from passing as a deviation that never occurs.
func TestConformance_ListsDeviationsOfKnownRules(t *testing.T) {
	for _, d := range slices.Concat(deviations, unsteady) {
		if !slices.ContainsFunc(rules, func(r rule) bool { return r.name == d.rule }) {
			t.Errorf("the deviation of %s names no rule: %q", d.emulator, d.rule)
		}
		if d.emulator == "localstream" {
			t.Errorf("localstream must not deviate: %q", d.rule)
		}
	}
}

var rules = []rule{
	{"CreateStream opens shards that divide the hash ring", checkCreate},
	{"CreateStream on demand opens four shards", checkOnDemand},
	{"CreateStream of a stream that is there: ResourceInUseException", checkCreateTwice},
	{"DeleteStream: ResourceNotFoundException for later calls", checkDelete},
	{"DescribeStreamSummary tells creation time, retention, ARN and open shards", checkSummary},
	{"DescribeStream pages by Limit and ExclusiveStartShardId", checkDescribePages},
	{"ListStreams pages by Limit and ExclusiveStartStreamName", checkListStreams},
	{"Unknown stream: ResourceNotFoundException", checkUnknownStream},
	{"Unknown shard: ResourceNotFoundException", checkUnknownShard},
	{"Calls name the stream by ARN", checkARN},
	{"PutRecord routes by the MD5 of the partition key", checkRouting},
	{"PutRecord routes by ExplicitHashKey", checkExplicitRouting},
	{"PutRecord refuses a hash key beyond 2^128-1: InvalidArgumentException", checkHashKeyRange},
	{"PutRecord gives increasing sequence numbers within a shard", checkSequence},
	{"PutRecord takes a key and data of 1 MiB and refuses more", checkRecordSize},
	{"PutRecord refuses a partition key of 257 characters: ValidationException", checkKeyLength},
	{"PutRecords takes 500 records", checkPut500},
	{"PutRecords refuses 501 records: ValidationException", checkPut501},
	{"PutRecords takes a request of 6 MiB", checkPut6MiB},
	{"PutRecords refuses a request of more than 10 MiB", checkPut11MiB},
	{"GetShardIterator TRIM_HORIZON begins with the oldest record", checkTrimHorizon},
	{"GetShardIterator LATEST begins after the newest record", checkLatest},
	{"GetShardIterator AT_SEQUENCE_NUMBER and AFTER_SEQUENCE_NUMBER", checkBySequence},
	{"GetShardIterator AT_TIMESTAMP begins with the first record from then on", checkByTime},
	{"GetShardIterator refuses a time in the future: InvalidArgumentException", checkFuture},
	{"GetShardIterator refuses a sequence number of another shard: InvalidArgumentException", checkForeignSequence},
	{"GetRecords honours Limit and continues after it", checkLimit},
	{"GetRecords refuses a Limit above 10000", checkLimitAbove},
	{"GetRecords gives at most 10 MiB", checkAnswerSize},
	{"GetRecords tells MillisBehindLatest", checkBehind},
	{"GetRecords takes an iterator twice", checkIteratorTwice},
	{"GetRecords refuses a malformed iterator: InvalidArgumentException", checkMalformedIterator},
	{"GetRecords returns data and keys unchanged", checkFidelity},
	{"ListShards pages by MaxResults and NextToken", checkListPages},
	{"ListShards refuses NextToken with StreamName: InvalidArgumentException", checkTokenAndName},
	{"ListShards begins after ExclusiveStartShardId", checkExclusiveStart},
	{"ListShards AFTER_SHARD_ID", filterCheck(types.ShardFilterTypeAfterShardId, noTime, "3,4")},
	{"ListShards AT_LATEST", filterCheck(types.ShardFilterTypeAtLatest, noTime, "1,2,3,4")},
	{"ListShards AT_TRIM_HORIZON", filterCheck(types.ShardFilterTypeAtTrimHorizon, noTime, "0,1,2")},
	{"ListShards FROM_TRIM_HORIZON", filterCheck(types.ShardFilterTypeFromTrimHorizon, noTime, "0,1,2,3,4")},
	{"ListShards AT_TIMESTAMP before a split", filterCheck(types.ShardFilterTypeAtTimestamp, beforeSplit, "0,1,2")},
	{"ListShards AT_TIMESTAMP after a split", filterCheck(types.ShardFilterTypeAtTimestamp, afterSplit, "1,2,3,4")},
	{"ListShards FROM_TIMESTAMP before a split", filterCheck(types.ShardFilterTypeFromTimestamp, beforeSplit, "0,1,2,3,4")},
	{"ListShards FROM_TIMESTAMP after a split", filterCheck(types.ShardFilterTypeFromTimestamp, afterSplit, "1,2,3,4")},
	{"SplitShard opens two children behind the parent", checkSplit},
	{"SplitShard refuses a closed shard", checkSplitClosed},
	{"MergeShards opens one child of two parents", checkMerge},
	{"MergeShards refuses shards that are not adjacent: InvalidArgumentException", checkMergeApart},
	{"The end of a shard has no NextShardIterator", checkShardEnd},
	{"The end of a shard names its ChildShards", checkChildShards},
	{"UpdateShardCount doubles", checkDouble},
	{"UpdateShardCount halves", checkHalve},
	{"UpdateShardCount refuses more than double", checkMoreThanDouble},
	{"GetRecords answers in CBOR what it answers in JSON", checkCBOR},
	{"RegisterStreamConsumer makes a consumer that becomes ACTIVE", checkRegister},
	{"RegisterStreamConsumer of a name that is there: ResourceInUseException", checkRegisterTwice},
	{"RegisterStreamConsumer for an unknown stream: ResourceNotFoundException", checkRegisterNowhere},
	{"DescribeStreamConsumer finds by ARN and by name", checkDescribeConsumer},
	{"Unknown consumer: ResourceNotFoundException", checkUnknownConsumer},
	{"ListStreamConsumers pages by MaxResults and NextToken", checkConsumerPages},
	{"DeregisterStreamConsumer: ResourceNotFoundException for later calls", checkDeregister},
	{"DescribeStreamSummary counts the consumers", checkConsumerCount},
	{"DeleteStream refuses a stream with consumers: ResourceInUseException", checkDeleteWithConsumer},
	{"SubscribeToShard pushes what is there and what comes", checkSubscribe},
	{"SubscribeToShard continues after ContinuationSequenceNumber", checkSubscribeContinued},
	{"SubscribeToShard tells the ChildShards at the end of a shard", checkSubscribeEnd},
	{"SubscribeToShard twice within five seconds: ResourceInUseException", checkSubscribeTwice},
	{"SubscribeToShard of an unknown shard: ResourceNotFoundException", checkSubscribeNowhere},
}

// unlike is what a check returns.
func unlike(format string, args ...any) error { return fmt.Errorf(format, args...) }

// refused checks that a call failed with one of these codes.
func refused(err error, codes ...string) error {
	if err == nil {
		return unlike("accepted")
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return unlike("failed without a code: %v", err)
	}
	if !slices.Contains(codes, api.ErrorCode()) {
		return unlike("refused with %s: %s", api.ErrorCode(), api.ErrorMessage())
	}
	return nil
}

func (s *stand) stream(shards int32) (string, error) {
	name := fmt.Sprintf("stream-%04d", streamCount.Add(1))
	_, err := s.client.CreateStream(s.ctx, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: &shards})
	if err != nil {
		return "", err
	}
	return name, s.settle(name)
}

// settle waits until a stream is active.
func (s *stand) settle(name string) error {
	for {
		out, err := s.client.DescribeStreamSummary(s.ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
		if err != nil {
			return err
		}
		if out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return nil
		}
		if err := pause(s.ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (s *stand) shards(name string) ([]types.Shard, error) {
	out, err := s.client.ListShards(s.ctx, &kinesis.ListShardsInput{StreamName: &name})
	if err != nil {
		return nil, err
	}
	return out.Shards, nil
}

func (s *stand) put(name, key string, data []byte) (*kinesis.PutRecordOutput, error) {
	return s.client.PutRecord(s.ctx, &kinesis.PutRecordInput{StreamName: &name, PartitionKey: &key, Data: data})
}

// filled returns a stream of one shard with records "0", "1", ... and their sequence numbers.
func (s *stand) filled(records int) (name string, sequences []string, err error) {
	if name, err = s.stream(1); err != nil {
		return "", nil, err
	}
	for i := range records {
		out, err := s.put(name, "key", []byte(strconv.Itoa(i)))
		if err != nil {
			return "", nil, err
		}
		sequences = append(sequences, *out.SequenceNumber)
	}
	return name, sequences, nil
}

func shardAt(index int) string { return fmt.Sprintf("shardId-%012d", index) }

func (s *stand) iterator(name string, in kinesis.GetShardIteratorInput) (*string, error) {
	in.StreamName = &name
	if in.ShardId == nil {
		in.ShardId = aws.String(shardAt(0))
	}
	out, err := s.client.GetShardIterator(s.ctx, &in)
	if err != nil {
		return nil, err
	}
	return out.ShardIterator, nil
}

// page reads once from a position.
func (s *stand) page(name string, in kinesis.GetShardIteratorInput, limit int32) (*kinesis.GetRecordsOutput, error) {
	iterator, err := s.iterator(name, in)
	if err != nil {
		return nil, err
	}
	return s.client.GetRecords(s.ctx, &kinesis.GetRecordsInput{ShardIterator: iterator, Limit: &limit})
}

func payloads(records []types.Record) string {
	texts := make([]string, len(records))
	for i, r := range records {
		texts[i] = string(r.Data)
	}
	return strings.Join(texts, ",")
}

func want(met, documented string) error {
	if met != documented {
		return unlike("met %q, documented %q", met, documented)
	}
	return nil
}

func number(text *string) *big.Int {
	n, ok := new(big.Int).SetString(aws.ToString(text), 10)
	if !ok {
		return big.NewInt(-1)
	}
	return n
}

// ring checks that shards cover the hash ring in order.
func ring(shards []types.Shard) error {
	next := big.NewInt(0)
	for _, sh := range shards {
		if number(sh.HashKeyRange.StartingHashKey).Cmp(next) != 0 {
			return unlike("%s begins at %s, not at %s", *sh.ShardId, *sh.HashKeyRange.StartingHashKey, next)
		}
		next = new(big.Int).Add(number(sh.HashKeyRange.EndingHashKey), big.NewInt(1))
	}
	if next.Cmp(new(big.Int).Lsh(big.NewInt(1), 128)) != 0 {
		return unlike("the ring ends before %s", next)
	}
	return nil
}

func open(shards []types.Shard) []types.Shard {
	shards = slices.DeleteFunc(slices.Clone(shards), func(sh types.Shard) bool {
		return sh.SequenceNumberRange.EndingSequenceNumber != nil
	})
	slices.SortFunc(shards, func(a, b types.Shard) int {
		return number(a.HashKeyRange.StartingHashKey).Cmp(number(b.HashKeyRange.StartingHashKey))
	})
	return shards
}

func checkCreate(s *stand) error {
	name, err := s.stream(3)
	if err != nil {
		return err
	}
	shards, err := s.shards(name)
	if err != nil {
		return err
	}
	for i, sh := range shards {
		if *sh.ShardId != shardAt(i) {
			return unlike("shard %d is called %s", i, *sh.ShardId)
		}
	}
	if len(shards) != 3 {
		return unlike("%d shards", len(shards))
	}
	return ring(shards)
}

func checkOnDemand(s *stand) error {
	name := fmt.Sprintf("stream-%04d", streamCount.Add(1))
	_, err := s.client.CreateStream(s.ctx, &kinesis.CreateStreamInput{
		StreamName: &name, StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand},
	})
	if err != nil {
		return err
	}
	if err := s.settle(name); err != nil {
		return err
	}
	shards, err := s.shards(name)
	if err != nil {
		return err
	}
	return want(strconv.Itoa(len(shards)), "4")
}

func checkCreateTwice(s *stand) error {
	name, err := s.stream(1)
	if err != nil {
		return err
	}
	_, err = s.client.CreateStream(s.ctx, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(1)})
	return refused(err, "ResourceInUseException")
}

func checkDelete(s *stand) error {
	name, err := s.stream(1)
	if err != nil {
		return err
	}
	if _, err := s.client.DeleteStream(s.ctx, &kinesis.DeleteStreamInput{StreamName: &name}); err != nil {
		return err
	}
	for {
		_, err := s.client.DescribeStreamSummary(s.ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
		if err != nil {
			return refused(err, "ResourceNotFoundException")
		}
		if err := pause(s.ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

func checkSummary(s *stand) error {
	begun := time.Now()
	name, err := s.stream(2)
	if err != nil {
		return err
	}
	out, err := s.client.DescribeStreamSummary(s.ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
	if err != nil {
		return err
	}
	d := out.StreamDescriptionSummary
	if d.StreamCreationTimestamp == nil || d.StreamCreationTimestamp.Sub(begun).Abs() > time.Minute {
		return unlike("created at %v", d.StreamCreationTimestamp)
	}
	if !strings.HasSuffix(aws.ToString(d.StreamARN), ":stream/"+name) {
		return unlike("ARN %q", aws.ToString(d.StreamARN))
	}
	return want(fmt.Sprintf("%d hours, %d shards", aws.ToInt32(d.RetentionPeriodHours), aws.ToInt32(d.OpenShardCount)), "24 hours, 2 shards")
}

func checkDescribePages(s *stand) error {
	name, err := s.stream(3)
	if err != nil {
		return err
	}
	var ids []string
	in := kinesis.DescribeStreamInput{StreamName: &name, Limit: aws.Int32(2)}
	for range 2 {
		out, err := s.client.DescribeStream(s.ctx, &in)
		if err != nil {
			return err
		}
		for _, sh := range out.StreamDescription.Shards {
			ids = append(ids, *sh.ShardId)
			in.ExclusiveStartShardId = sh.ShardId
		}
		ids = append(ids, strconv.FormatBool(*out.StreamDescription.HasMoreShards))
	}
	return want(strings.Join(ids, " "), strings.Join([]string{shardAt(0), shardAt(1), "true", shardAt(2), "false"}, " "))
}

func checkListStreams(s *stand) error {
	first, err := s.stream(1)
	if err != nil {
		return err
	}
	if _, err := s.stream(1); err != nil {
		return err
	}
	// The names of other checks may be between the two: only the step after the first is checked.
	in := kinesis.ListStreamsInput{Limit: aws.Int32(1), ExclusiveStartStreamName: &first}
	out, err := s.client.ListStreams(s.ctx, &in)
	if err != nil {
		return err
	}
	if len(out.StreamNames) != 1 || out.StreamNames[0] <= first {
		return unlike("behind %s: %v", first, out.StreamNames)
	}
	return nil
}

func checkUnknownStream(s *stand) error {
	name := "no-such-stream"
	_, summary := s.client.DescribeStreamSummary(s.ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
	_, put := s.put(name, "key", []byte("x"))
	_, list := s.shards(name)
	_, iterator := s.iterator(name, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeLatest})
	for call, err := range map[string]error{"summary": summary, "put": put, "list": list, "iterator": iterator} {
		if err := refused(err, "ResourceNotFoundException"); err != nil {
			return fmt.Errorf("%s %w", call, err)
		}
	}
	return nil
}

func checkUnknownShard(s *stand) error {
	name, err := s.stream(1)
	if err != nil {
		return err
	}
	_, err = s.iterator(name, kinesis.GetShardIteratorInput{ShardId: aws.String(shardAt(7)), ShardIteratorType: types.ShardIteratorTypeLatest})
	return refused(err, "ResourceNotFoundException")
}

func checkARN(s *stand) error {
	name, err := s.stream(1)
	if err != nil {
		return err
	}
	out, err := s.client.DescribeStreamSummary(s.ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
	if err != nil {
		return err
	}
	arn := out.StreamDescriptionSummary.StreamARN
	if _, err := s.client.PutRecord(s.ctx, &kinesis.PutRecordInput{StreamARN: arn, PartitionKey: aws.String("k"), Data: []byte("by arn")}); err != nil {
		return err
	}
	listed, err := s.client.ListShards(s.ctx, &kinesis.ListShardsInput{StreamARN: arn})
	if err != nil {
		return err
	}
	iterator, err := s.client.GetShardIterator(s.ctx, &kinesis.GetShardIteratorInput{
		StreamARN: arn, ShardId: listed.Shards[0].ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		return err
	}
	records, err := s.client.GetRecords(s.ctx, &kinesis.GetRecordsInput{StreamARN: arn, ShardIterator: iterator.ShardIterator})
	if err != nil {
		return err
	}
	return want(payloads(records.Records), "by arn")
}

func checkRouting(s *stand) error {
	name, err := s.stream(4)
	if err != nil {
		return err
	}
	// The MD5 of these keys begin with 0c, 92, 4a, 82 and e1, which decides among four shards.
	for key, index := range map[string]int{"a": 0, "b": 2, "c": 1, "d": 2, "e": 3} {
		out, err := s.put(name, key, []byte("x"))
		if err != nil {
			return err
		}
		if err := want(key+" in "+*out.ShardId, key+" in "+shardAt(index)); err != nil {
			return err
		}
	}
	return nil
}

func checkExplicitRouting(s *stand) error {
	name, err := s.stream(2)
	if err != nil {
		return err
	}
	shards, err := s.shards(name)
	if err != nil {
		return err
	}
	for _, sh := range shards {
		for _, hashKey := range []*string{sh.HashKeyRange.StartingHashKey, sh.HashKeyRange.EndingHashKey} {
			out, err := s.client.PutRecord(s.ctx, &kinesis.PutRecordInput{
				StreamName: &name, PartitionKey: aws.String("k"), ExplicitHashKey: hashKey, Data: []byte("x"),
			})
			if err != nil {
				return err
			}
			if err := want(*hashKey+" in "+*out.ShardId, *hashKey+" in "+*sh.ShardId); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkHashKeyRange(s *stand) error {
	name, err := s.stream(1)
	if err != nil {
		return err
	}
	_, err = s.client.PutRecord(s.ctx, &kinesis.PutRecordInput{
		StreamName: &name, PartitionKey: aws.String("k"), Data: []byte("x"),
		ExplicitHashKey: aws.String("340282366920938463463374607431768211456"),
	})
	return refused(err, "InvalidArgumentException")
}

func checkSequence(s *stand) error {
	name, sequences, err := s.filled(20)
	if err != nil {
		return err
	}
	shards, err := s.shards(name)
	if err != nil {
		return err
	}
	before := number(shards[0].SequenceNumberRange.StartingSequenceNumber)
	for _, text := range sequences {
		if len(text) != 56 {
			return unlike("%s has %d digits", text, len(text))
		}
		if n := number(&text); n.Cmp(before) <= 0 {
			return unlike("%s follows %s", n, before)
		}
		before = number(&text)
	}
	return nil
}

func checkRecordSize(s *stand) error {
	name, err := s.stream(1)
	if err != nil {
		return err
	}
	if _, err := s.put(name, "key", make([]byte, 1<<20-3)); err != nil {
		return err
	}
	_, err = s.put(name, "key", make([]byte, 1<<20-2))
	return refused(err, "ValidationException", "InvalidArgumentException")
}

func checkKeyLength(s *stand) error {
	name, err := s.stream(1)
	if err != nil {
		return err
	}
	if _, err := s.put(name, strings.Repeat("ü", 256), []byte("x")); err != nil {
		return err
	}
	_, err = s.put(name, strings.Repeat("k", 257), []byte("x"))
	return refused(err, "ValidationException")
}

// putMany sends records of equal size in one request.
func (s *stand) putMany(records, bytes int) (*kinesis.PutRecordsOutput, error) {
	name, err := s.stream(4)
	if err != nil {
		return nil, err
	}
	entries := make([]types.PutRecordsRequestEntry, records)
	for i := range entries {
		entries[i] = types.PutRecordsRequestEntry{PartitionKey: aws.String(strconv.Itoa(i)), Data: make([]byte, bytes)}
	}
	return s.client.PutRecords(s.ctx, &kinesis.PutRecordsInput{StreamName: &name, Records: entries})
}

func checkPut500(s *stand) error {
	out, err := s.putMany(500, 100)
	if err != nil {
		return err
	}
	return want(fmt.Sprintf("%d, %d failed", len(out.Records), *out.FailedRecordCount), "500, 0 failed")
}

func checkPut501(s *stand) error {
	_, err := s.putMany(501, 100)
	return refused(err, "ValidationException")
}

func checkPut6MiB(s *stand) error {
	_, err := s.putMany(12, 512<<10)
	return err
}

func checkPut11MiB(s *stand) error {
	_, err := s.putMany(11, 1<<20-8)
	return refused(err, "InvalidArgumentException", "ValidationException")
}

func checkTrimHorizon(s *stand) error {
	name, _, err := s.filled(3)
	if err != nil {
		return err
	}
	out, err := s.page(name, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon}, 100)
	if err != nil {
		return err
	}
	return want(payloads(out.Records), "0,1,2")
}

func checkLatest(s *stand) error {
	name, _, err := s.filled(3)
	if err != nil {
		return err
	}
	iterator, err := s.iterator(name, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeLatest})
	if err != nil {
		return err
	}
	if _, err := s.put(name, "key", []byte("after")); err != nil {
		return err
	}
	out, err := s.client.GetRecords(s.ctx, &kinesis.GetRecordsInput{ShardIterator: iterator})
	if err != nil {
		return err
	}
	return want(payloads(out.Records), "after")
}

func checkBySequence(s *stand) error {
	name, sequences, err := s.filled(3)
	if err != nil {
		return err
	}
	at, err := s.page(name, kinesis.GetShardIteratorInput{
		ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: &sequences[1],
	}, 100)
	if err != nil {
		return err
	}
	after, err := s.page(name, kinesis.GetShardIteratorInput{
		ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: &sequences[1],
	}, 100)
	if err != nil {
		return err
	}
	return want(payloads(at.Records)+" "+payloads(after.Records), "1,2 2")
}

func checkByTime(s *stand) error {
	name, _, err := s.filled(2)
	if err != nil {
		return err
	}
	// Arrival has millisecond precision, and the emulator's clock is this machine's.
	if err := pause(s.ctx, 20*time.Millisecond); err != nil {
		return err
	}
	middle := time.Now()
	if err := pause(s.ctx, 20*time.Millisecond); err != nil {
		return err
	}
	if _, err := s.put(name, "key", []byte("later")); err != nil {
		return err
	}
	out, err := s.page(name, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: &middle}, 100)
	if err != nil {
		return err
	}
	return want(payloads(out.Records), "later")
}

func checkFuture(s *stand) error {
	name, err := s.stream(1)
	if err != nil {
		return err
	}
	_, err = s.iterator(name, kinesis.GetShardIteratorInput{
		ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(time.Now().Add(time.Hour)),
	})
	return refused(err, "InvalidArgumentException")
}

func checkForeignSequence(s *stand) error {
	name, err := s.stream(2)
	if err != nil {
		return err
	}
	// By TestConformance's routing rule, "a" is in the first shard of two.
	out, err := s.put(name, "a", []byte("x"))
	if err != nil {
		return err
	}
	_, err = s.iterator(name, kinesis.GetShardIteratorInput{
		ShardId: aws.String(shardAt(1)), ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: out.SequenceNumber,
	})
	return refused(err, "InvalidArgumentException")
}

func checkLimit(s *stand) error {
	name, _, err := s.filled(5)
	if err != nil {
		return err
	}
	out, err := s.page(name, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon}, 2)
	if err != nil {
		return err
	}
	rest, err := s.client.GetRecords(s.ctx, &kinesis.GetRecordsInput{ShardIterator: out.NextShardIterator})
	if err != nil {
		return err
	}
	return want(payloads(out.Records)+" "+payloads(rest.Records), "0,1 2,3,4")
}

func checkLimitAbove(s *stand) error {
	name, err := s.stream(1)
	if err != nil {
		return err
	}
	_, err = s.page(name, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon}, 10_001)
	return refused(err, "InvalidArgumentException", "ValidationException")
}

func checkAnswerSize(s *stand) error {
	name, err := s.stream(1)
	if err != nil {
		return err
	}
	const records, size = 12, 1<<20 - 8
	for range records {
		if _, err := s.put(name, "key", make([]byte, size)); err != nil {
			return err
		}
	}
	out, err := s.page(name, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon}, 10_000)
	if err != nil {
		return err
	}
	if bytes := len(out.Records) * size; bytes == 0 || bytes > 10<<20 {
		return unlike("answered with %d MiB", bytes>>20)
	}
	return nil
}

func checkBehind(s *stand) error {
	name, _, err := s.filled(3)
	if err != nil {
		return err
	}
	if err := pause(s.ctx, 20*time.Millisecond); err != nil {
		return err
	}
	out, err := s.page(name, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon}, 1)
	if err != nil {
		return err
	}
	tip, err := s.client.GetRecords(s.ctx, &kinesis.GetRecordsInput{ShardIterator: out.NextShardIterator})
	if err != nil {
		return err
	}
	return want(fmt.Sprintf("behind in the middle %t, at the tip %t", *out.MillisBehindLatest > 0, *tip.MillisBehindLatest > 0),
		"behind in the middle true, at the tip false")
}

func checkIteratorTwice(s *stand) error {
	name, _, err := s.filled(2)
	if err != nil {
		return err
	}
	iterator, err := s.iterator(name, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	if err != nil {
		return err
	}
	for range 2 {
		out, err := s.client.GetRecords(s.ctx, &kinesis.GetRecordsInput{ShardIterator: iterator})
		if err != nil {
			return err
		}
		if err := want(payloads(out.Records), "0,1"); err != nil {
			return err
		}
	}
	return nil
}

func checkMalformedIterator(s *stand) error {
	_, err := s.client.GetRecords(s.ctx, &kinesis.GetRecordsInput{ShardIterator: aws.String("AAAA")})
	return refused(err, "InvalidArgumentException")
}

func checkFidelity(s *stand) error {
	name, err := s.stream(1)
	if err != nil {
		return err
	}
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	keys := []string{`quo"te\back`, "tab\tand\nline", "ключ", "<&>\u2028", "🚕"}
	for _, key := range keys {
		if _, err := s.put(name, key, every); err != nil {
			return err
		}
	}
	out, err := s.page(name, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon}, 100)
	if err != nil {
		return err
	}
	for i, r := range out.Records {
		if err := want(*r.PartitionKey, keys[i]); err != nil {
			return err
		}
		if !bytes.Equal(r.Data, every) {
			return unlike("data came back as %q", r.Data)
		}
		if r.ApproximateArrivalTimestamp == nil || time.Since(*r.ApproximateArrivalTimestamp).Abs() > time.Minute {
			return unlike("arrived at %v", r.ApproximateArrivalTimestamp)
		}
	}
	return want(strconv.Itoa(len(out.Records)), strconv.Itoa(len(keys)))
}

func ids(shards []types.Shard) string {
	texts := make([]string, len(shards))
	for i, sh := range shards {
		texts[i] = strings.TrimLeft(strings.TrimPrefix(*sh.ShardId, "shardId-"), "0")
		if texts[i] == "" {
			texts[i] = "0"
		}
	}
	return strings.Join(texts, ",")
}

func checkListPages(s *stand) error {
	name, err := s.stream(3)
	if err != nil {
		return err
	}
	first, err := s.client.ListShards(s.ctx, &kinesis.ListShardsInput{StreamName: &name, MaxResults: aws.Int32(2)})
	if err != nil {
		return err
	}
	if first.NextToken == nil {
		return unlike("no token behind %s", ids(first.Shards))
	}
	second, err := s.client.ListShards(s.ctx, &kinesis.ListShardsInput{NextToken: first.NextToken})
	if err != nil {
		return err
	}
	return want(ids(first.Shards)+" "+ids(second.Shards)+" "+aws.ToString(second.NextToken), "0,1 2 ")
}

func checkTokenAndName(s *stand) error {
	name, err := s.stream(3)
	if err != nil {
		return err
	}
	first, err := s.client.ListShards(s.ctx, &kinesis.ListShardsInput{StreamName: &name, MaxResults: aws.Int32(2)})
	if err != nil {
		return err
	}
	if first.NextToken == nil {
		return unlike("no token behind %s", ids(first.Shards))
	}
	_, err = s.client.ListShards(s.ctx, &kinesis.ListShardsInput{StreamName: &name, NextToken: first.NextToken})
	return refused(err, "InvalidArgumentException")
}

func checkExclusiveStart(s *stand) error {
	name, err := s.stream(3)
	if err != nil {
		return err
	}
	out, err := s.client.ListShards(s.ctx, &kinesis.ListShardsInput{StreamName: &name, ExclusiveStartShardId: aws.String(shardAt(0))})
	if err != nil {
		return err
	}
	return want(ids(out.Shards), "1,2")
}

// resharded returns a stream of the shards 0, 1 and 2 of which 0 was split into 3 and 4, and a time before and after
// the split.
func (s *stand) resharded() (name string, before, after time.Time, err error) {
	if name, err = s.stream(3); err != nil {
		return "", before, after, err
	}
	shards, err := s.shards(name)
	if err != nil {
		return "", before, after, err
	}
	// Timestamps have millisecond precision.
	const gap = 20 * time.Millisecond
	if err := pause(s.ctx, gap); err != nil {
		return "", before, after, err
	}
	before = time.Now()
	if err := pause(s.ctx, gap); err != nil {
		return "", before, after, err
	}
	if err := s.split(name, shards[0]); err != nil {
		return "", before, after, err
	}
	err = pause(s.ctx, gap)
	return name, before, time.Now(), err
}

// split divides a shard in the middle and waits until the stream is active.
func (s *stand) split(name string, sh types.Shard) error {
	middle := new(big.Int).Add(number(sh.HashKeyRange.StartingHashKey), number(sh.HashKeyRange.EndingHashKey))
	middle.Rsh(middle, 1)
	_, err := s.client.SplitShard(s.ctx, &kinesis.SplitShardInput{
		StreamName: &name, ShardToSplit: sh.ShardId, NewStartingHashKey: aws.String(middle.String()),
	})
	if err != nil {
		return err
	}
	return s.settle(name)
}

// moment is a time in the history of resharded that a filter names.
type moment int

const (
	noTime moment = iota
	beforeSplit
	afterSplit
)

func filterCheck(filter types.ShardFilterType, when moment, documented string) func(*stand) error {
	return func(s *stand) error {
		name, before, after, err := s.resharded()
		if err != nil {
			return err
		}
		in := types.ShardFilter{Type: filter}
		switch when {
		case beforeSplit:
			in.Timestamp = &before
		case afterSplit:
			in.Timestamp = &after
		}
		if filter == types.ShardFilterTypeAfterShardId {
			in.ShardId = aws.String(shardAt(2))
		}
		out, err := s.client.ListShards(s.ctx, &kinesis.ListShardsInput{StreamName: &name, ShardFilter: &in})
		if err != nil {
			return err
		}
		return want(ids(out.Shards), documented)
	}
}

func checkSplit(s *stand) error {
	name, sequences, err := s.filled(2)
	if err != nil {
		return err
	}
	shards, err := s.shards(name)
	if err != nil {
		return err
	}
	if err := s.split(name, shards[0]); err != nil {
		return err
	}
	if shards, err = s.shards(name); err != nil {
		return err
	}
	end := number(shards[0].SequenceNumberRange.EndingSequenceNumber)
	if end.Cmp(number(&sequences[1])) < 0 {
		return unlike("the parent ends at %s, before its last record %s", end, sequences[1])
	}
	for _, child := range shards[1:] {
		if aws.ToString(child.ParentShardId) != shardAt(0) || child.AdjacentParentShardId != nil {
			return unlike("%s has the parents %v", *child.ShardId, child.ParentShardId)
		}
		if start := number(child.SequenceNumberRange.StartingSequenceNumber); start.Cmp(end) <= 0 {
			return unlike("%s begins at %s, before the parent's end %s", *child.ShardId, start, end)
		}
	}
	if err := want(ids(shards), "0,1,2"); err != nil {
		return err
	}
	return ring(open(shards))
}

func checkSplitClosed(s *stand) error {
	name, err := s.stream(1)
	if err != nil {
		return err
	}
	shards, err := s.shards(name)
	if err != nil {
		return err
	}
	if err := s.split(name, shards[0]); err != nil {
		return err
	}
	return refused(s.split(name, shards[0]), "ResourceNotFoundException", "InvalidArgumentException", "ResourceInUseException")
}

func (s *stand) merge(name string, shard, adjacent int) error {
	_, err := s.client.MergeShards(s.ctx, &kinesis.MergeShardsInput{
		StreamName: &name, ShardToMerge: aws.String(shardAt(shard)), AdjacentShardToMerge: aws.String(shardAt(adjacent)),
	})
	if err != nil {
		return err
	}
	return s.settle(name)
}

func checkMerge(s *stand) error {
	name, err := s.stream(2)
	if err != nil {
		return err
	}
	if err := s.merge(name, 0, 1); err != nil {
		return err
	}
	shards, err := s.shards(name)
	if err != nil {
		return err
	}
	if err := want(ids(shards), "0,1,2"); err != nil {
		return err
	}
	child := shards[2]
	if err := want(aws.ToString(child.ParentShardId)+" "+aws.ToString(child.AdjacentParentShardId), shardAt(0)+" "+shardAt(1)); err != nil {
		return err
	}
	return ring(open(shards))
}

func checkMergeApart(s *stand) error {
	name, err := s.stream(3)
	if err != nil {
		return err
	}
	return refused(s.merge(name, 0, 2), "InvalidArgumentException")
}

// lastPage reads a closed shard to its end. The service may report the end with the last records or in a separate answer.
func (s *stand) lastPage() (*kinesis.GetRecordsOutput, error) {
	name, _, err := s.filled(2)
	if err != nil {
		return nil, err
	}
	shards, err := s.shards(name)
	if err != nil {
		return nil, err
	}
	if err := s.split(name, shards[0]); err != nil {
		return nil, err
	}
	iterator, err := s.iterator(name, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	if err != nil {
		return nil, err
	}
	const patience = 5
	for range patience {
		out, err := s.client.GetRecords(s.ctx, &kinesis.GetRecordsInput{ShardIterator: iterator})
		if err != nil || out.NextShardIterator == nil {
			return out, err
		}
		iterator = out.NextShardIterator
	}
	return nil, unlike("NextShardIterator in each of %d answers", patience)
}

func checkShardEnd(s *stand) error {
	_, err := s.lastPage()
	return err
}

func checkChildShards(s *stand) error {
	out, err := s.lastPage()
	if err != nil {
		return err
	}
	texts := make([]string, len(out.ChildShards))
	for i, child := range out.ChildShards {
		texts[i] = *child.ShardId + " of " + strings.Join(child.ParentShards, "+")
	}
	return want(strings.Join(texts, ", "), shardAt(1)+" of "+shardAt(0)+", "+shardAt(2)+" of "+shardAt(0))
}

// scale changes the shard count of a new stream and returns its open shards.
func (s *stand) scale(from, to int32) ([]types.Shard, error) {
	name, err := s.stream(from)
	if err != nil {
		return nil, err
	}
	_, err = s.client.UpdateShardCount(s.ctx, &kinesis.UpdateShardCountInput{
		StreamName: &name, TargetShardCount: &to, ScalingType: types.ScalingTypeUniformScaling,
	})
	if err != nil {
		return nil, err
	}
	if err := s.settle(name); err != nil {
		return nil, err
	}
	shards, err := s.shards(name)
	return open(shards), err
}

func checkScaled(s *stand, from, to int32) error {
	shards, err := s.scale(from, to)
	if err != nil {
		return err
	}
	if err := want(strconv.Itoa(len(shards)), strconv.Itoa(int(to))); err != nil {
		return err
	}
	return ring(shards)
}

func checkDouble(s *stand) error { return checkScaled(s, 3, 6) }

func checkHalve(s *stand) error { return checkScaled(s, 4, 2) }

func checkMoreThanDouble(s *stand) error {
	_, err := s.scale(2, 5)
	return refused(err, "InvalidArgumentException", "LimitExceededException")
}
