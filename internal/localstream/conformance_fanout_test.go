package localstream_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/encoding/cbor"
)

// The checks of TestConformance for enhanced fan-out, and for CBOR.

func (s *stand) streamARN(name string) (*string, error) {
	out, err := s.client.DescribeStreamSummary(s.ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
	if err != nil {
		return nil, err
	}
	return out.StreamDescriptionSummary.StreamARN, nil
}

// register adds a consumer and waits until it is active.
func (s *stand) register(streamARN *string, name string) (*types.ConsumerDescription, error) {
	registered, err := s.client.RegisterStreamConsumer(s.ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: streamARN, ConsumerName: &name})
	if err != nil {
		return nil, err
	}
	for {
		out, err := s.client.DescribeStreamConsumer(s.ctx, &kinesis.DescribeStreamConsumerInput{ConsumerARN: registered.Consumer.ConsumerARN})
		if err != nil {
			return nil, err
		}
		if out.ConsumerDescription.ConsumerStatus == types.ConsumerStatusActive {
			return out.ConsumerDescription, nil
		}
		if err := pause(s.ctx, 10*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// consumed returns a new stream of one shard with records "0", "1", ... and a consumer.
func (s *stand) consumed(records int) (name string, consumer *types.ConsumerDescription, err error) {
	if name, _, err = s.filled(records); err != nil {
		return "", nil, err
	}
	arn, err := s.streamARN(name)
	if err != nil {
		return "", nil, err
	}
	consumer, err = s.register(arn, "archive")
	return name, consumer, err
}

func checkRegister(s *stand) error {
	name, consumer, err := s.consumed(0)
	if err != nil {
		return err
	}
	form := regexp.MustCompile(`^arn:aws:kinesis:us-east-1:[0-9]{12}:stream/` + name + `/consumer/archive:[0-9]+$`)
	if !form.MatchString(aws.ToString(consumer.ConsumerARN)) {
		return unlike("ARN %q", aws.ToString(consumer.ConsumerARN))
	}
	if at := consumer.ConsumerCreationTimestamp; at == nil || time.Since(*at).Abs() > time.Minute {
		return unlike("created at %v", at)
	}
	return want(aws.ToString(consumer.ConsumerName), "archive")
}

func checkRegisterTwice(s *stand) error {
	_, consumer, err := s.consumed(0)
	if err != nil {
		return err
	}
	_, err = s.register(consumer.StreamARN, "archive")
	return refused(err, "ResourceInUseException")
}

func checkRegisterNowhere(s *stand) error {
	_, err := s.register(aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/no-such-stream"), "archive")
	return refused(err, "ResourceNotFoundException")
}

func checkDescribeConsumer(s *stand) error {
	_, consumer, err := s.consumed(0)
	if err != nil {
		return err
	}
	out, err := s.client.DescribeStreamConsumer(s.ctx, &kinesis.DescribeStreamConsumerInput{
		StreamARN: consumer.StreamARN, ConsumerName: consumer.ConsumerName,
	})
	if err != nil {
		return err
	}
	return want(aws.ToString(out.ConsumerDescription.ConsumerARN), *consumer.ConsumerARN)
}

func checkUnknownConsumer(s *stand) error {
	_, consumer, err := s.consumed(0)
	if err != nil {
		return err
	}
	_, err = s.client.DescribeStreamConsumer(s.ctx, &kinesis.DescribeStreamConsumerInput{
		StreamARN: consumer.StreamARN, ConsumerName: aws.String("nobody"),
	})
	return refused(err, "ResourceNotFoundException")
}

func checkConsumerPages(s *stand) error {
	_, consumer, err := s.consumed(0)
	if err != nil {
		return err
	}
	for _, name := range []string{"billing", "canary"} {
		if _, err := s.register(consumer.StreamARN, name); err != nil {
			return err
		}
	}
	var sizes []string
	seen := map[string]bool{}
	in := kinesis.ListStreamConsumersInput{StreamARN: consumer.StreamARN, MaxResults: aws.Int32(2)}
	for {
		out, err := s.client.ListStreamConsumers(s.ctx, &in)
		if err != nil {
			return err
		}
		for _, listed := range out.Consumers {
			seen[aws.ToString(listed.ConsumerName)] = true
		}
		sizes = append(sizes, fmt.Sprint(len(out.Consumers)))
		if in.NextToken = out.NextToken; in.NextToken == nil || len(sizes) == 4 {
			return want(fmt.Sprintf("%s, %d names", strings.Join(sizes, "+"), len(seen)), "2+1, 3 names")
		}
	}
}

func checkDeregister(s *stand) error {
	_, consumer, err := s.consumed(0)
	if err != nil {
		return err
	}
	_, err = s.client.DeregisterStreamConsumer(s.ctx, &kinesis.DeregisterStreamConsumerInput{ConsumerARN: consumer.ConsumerARN})
	if err != nil {
		return err
	}
	const patience = 3 * time.Second
	for begun := time.Now(); ; {
		out, err := s.client.DescribeStreamConsumer(s.ctx, &kinesis.DescribeStreamConsumerInput{ConsumerARN: consumer.ConsumerARN})
		if err != nil {
			return refused(err, "ResourceNotFoundException")
		}
		if time.Since(begun) > patience {
			return unlike("still described as %s after %s", out.ConsumerDescription.ConsumerStatus, patience)
		}
		if err := pause(s.ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

func checkConsumerCount(s *stand) error {
	name, _, err := s.consumed(0)
	if err != nil {
		return err
	}
	out, err := s.client.DescribeStreamSummary(s.ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
	if err != nil {
		return err
	}
	return want(fmt.Sprint(aws.ToInt32(out.StreamDescriptionSummary.ConsumerCount)), "1")
}

func checkDeleteWithConsumer(s *stand) error {
	name, _, err := s.consumed(0)
	if err != nil {
		return err
	}
	_, err = s.client.DeleteStream(s.ctx, &kinesis.DeleteStreamInput{StreamName: &name})
	return refused(err, "ResourceInUseException")
}

// subscribe begins a subscription, with a client of its own for the reason at fan.subscribe.
func (s *stand) subscribe(consumer *types.ConsumerDescription, shard int, from types.StartingPosition) (*kinesis.SubscribeToShardEventStream, error) {
	client := newClient(*s.client.Options().BaseEndpoint)
	out, err := client.SubscribeToShard(s.ctx, &kinesis.SubscribeToShardInput{
		ConsumerARN: consumer.ConsumerARN, ShardId: aws.String(shardAt(shard)), StartingPosition: &from,
	})
	if err != nil {
		return nil, err
	}
	return out.GetStream(), nil
}

// pushed waits for a number of records and returns them with the event that brought the last.
func (s *stand) pushed(stream *kinesis.SubscribeToShardEventStream, records int) ([]types.Record, types.SubscribeToShardEvent, error) {
	var all []types.Record
	for {
		select {
		case e, ok := <-stream.Events():
			if !ok {
				return nil, types.SubscribeToShardEvent{}, unlike("the stream ends after %s: %v", payloads(all), stream.Err())
			}
			value := e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
			if all = append(all, value.Records...); len(all) >= records {
				return all, value, nil
			}
		case <-s.ctx.Done():
			return nil, types.SubscribeToShardEvent{}, s.ctx.Err()
		}
	}
}

func checkSubscribe(s *stand) error {
	name, consumer, err := s.consumed(2)
	if err != nil {
		return err
	}
	stream, err := s.subscribe(consumer, 0, fromHorizon)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	there, _, err := s.pushed(stream, 2)
	if err != nil {
		return err
	}
	if _, err := s.put(name, "key", []byte("comes")); err != nil {
		return err
	}
	comes, tip, err := s.pushed(stream, 1)
	if err != nil {
		return err
	}
	return want(fmt.Sprintf("%s %s, %d behind", payloads(there), payloads(comes), aws.ToInt64(tip.MillisBehindLatest)), "0,1 comes, 0 behind")
}

func checkSubscribeContinued(s *stand) error {
	name, consumer, err := s.consumed(2)
	if err != nil {
		return err
	}
	other, err := s.register(consumer.StreamARN, "other")
	if err != nil {
		return err
	}
	first, err := s.subscribe(consumer, 0, fromHorizon)
	if err != nil {
		return err
	}
	defer func() { _ = first.Close() }()
	_, last, err := s.pushed(first, 2)
	if err != nil {
		return err
	}
	if _, err := s.put(name, "key", []byte("next")); err != nil {
		return err
	}
	second, err := s.subscribe(other, 0, after(last.ContinuationSequenceNumber))
	if err != nil {
		return err
	}
	defer func() { _ = second.Close() }()
	records, _, err := s.pushed(second, 1)
	if err != nil {
		return err
	}
	return want(payloads(records), "next")
}

func checkSubscribeEnd(s *stand) error {
	name, consumer, err := s.consumed(1)
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
	stream, err := s.subscribe(consumer, 0, fromHorizon)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	var last types.SubscribeToShardEvent
	for {
		_, e, err := s.pushed(stream, 0)
		if err != nil {
			break // the end, as what came before shows
		}
		last = e
	}
	texts := make([]string, len(last.ChildShards))
	for i, child := range last.ChildShards {
		texts[i] = *child.ShardId + " of " + strings.Join(child.ParentShards, "+")
	}
	return want(fmt.Sprintf("%s, continued %t, %v", strings.Join(texts, ", "), last.ContinuationSequenceNumber != nil, stream.Err()),
		shardAt(1)+" of "+shardAt(0)+", "+shardAt(2)+" of "+shardAt(0)+", continued false, <nil>")
}

func checkSubscribeTwice(s *stand) error {
	_, consumer, err := s.consumed(1)
	if err != nil {
		return err
	}
	stream, err := s.subscribe(consumer, 0, fromHorizon)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	again, err := s.subscribe(consumer, 0, fromHorizon)
	if err == nil {
		_ = again.Close()
	}
	return refused(err, "ResourceInUseException")
}

func checkSubscribeNowhere(s *stand) error {
	_, consumer, err := s.consumed(1)
	if err != nil {
		return err
	}
	stream, err := s.subscribe(consumer, 7, fromHorizon)
	if err == nil {
		_ = stream.Close()
	}
	return refused(err, "ResourceNotFoundException")
}

// checkCBOR reads with one iterator in both forms. No reference describes the CBOR form; the rule is what the AWS SDK for
// Java accepts: data as byte strings, times as whole milliseconds. The SDK for Go does not support it, so the call is
// made by hand.
func checkCBOR(s *stand) error {
	name, _, err := s.filled(3)
	if err != nil {
		return err
	}
	iterator, err := s.iterator(name, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	if err != nil {
		return err
	}
	inJSON, err := s.client.GetRecords(s.ctx, &kinesis.GetRecordsInput{ShardIterator: iterator})
	if err != nil {
		return err
	}
	inCBOR, err := s.callCBOR("GetRecords", cbor.Map{"ShardIterator": cbor.String(*iterator), "Limit": cbor.Uint(100)})
	if err != nil {
		return err
	}
	if next, ok := inCBOR["NextShardIterator"].(cbor.String); !ok || len(next) == 0 {
		return unlike("the NextShardIterator %v", inCBOR["NextShardIterator"])
	}
	records, _ := inCBOR["Records"].(cbor.List)
	var met, documented []string
	for _, value := range records {
		r, _ := value.(cbor.Map)
		arrival := r["ApproximateArrivalTimestamp"]
		if tag, ok := arrival.(*cbor.Tag); ok {
			arrival = tag.Value
		}
		met = append(met, fmt.Sprintf("%s %s %v %v", r["Data"], r["PartitionKey"], r["SequenceNumber"], arrival))
	}
	for _, r := range inJSON.Records {
		documented = append(documented, fmt.Sprintf("%s %s %v %v", r.Data, *r.PartitionKey, *r.SequenceNumber, r.ApproximateArrivalTimestamp.UnixMilli()))
	}
	met = append(met, fmt.Sprint("behind ", inCBOR["MillisBehindLatest"]))
	documented = append(documented, fmt.Sprint("behind ", *inJSON.MillisBehindLatest))
	return want(strings.Join(met, ", "), strings.Join(documented, ", "))
}

func (s *stand) callCBOR(operation string, request cbor.Map) (cbor.Map, error) {
	body := cbor.Encode(request)
	options := s.client.Options()
	r, err := http.NewRequestWithContext(s.ctx, http.MethodPost, *options.BaseEndpoint+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-amz-cbor-1.1")
	r.Header.Set("X-Amz-Target", "Kinesis_20131202."+operation)
	credentials, err := options.Credentials.Retrieve(s.ctx)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(s.ctx, credentials, r, hex.EncodeToString(sum[:]), "kinesis", options.Region, time.Now()); err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if form := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || form != "application/x-amz-cbor-1.1" {
		return nil, unlike("answered %d in %s: %q", response.StatusCode, form, answer)
	}
	value, err := cbor.Decode(answer)
	if err != nil {
		return nil, unlike("the answer is not CBOR: %v", err)
	}
	members, ok := value.(cbor.Map)
	if !ok {
		return nil, unlike("answered with %T", value)
	}
	return members, nil
}
