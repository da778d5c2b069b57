package localstream_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/internal/localstream"
)

const tripsARN = "arn:aws:kinesis:us-east-1:123456789012:stream/" + trips

func (b *bench) register(name string) (*types.Consumer, error) {
	out, err := b.client.RegisterStreamConsumer(b.ctx(), &kinesis.RegisterStreamConsumerInput{
		StreamARN: aws.String(tripsARN), ConsumerName: &name,
	})
	if err != nil {
		return nil, err
	}
	return out.Consumer, nil
}

func (b *bench) mustRegister(name string) (arn string) {
	b.tb.Helper()
	consumer, err := b.register(name)
	if err != nil {
		b.tb.Fatal(err)
	}
	return *consumer.ConsumerARN
}

func (b *bench) describeConsumer(arn string) (*types.ConsumerDescription, error) {
	out, err := b.client.DescribeStreamConsumer(b.ctx(), &kinesis.DescribeStreamConsumerInput{ConsumerARN: &arn})
	if err != nil {
		return nil, err
	}
	return out.ConsumerDescription, nil
}

func (b *bench) deregister(arn string) error {
	_, err := b.client.DeregisterStreamConsumer(b.ctx(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: &arn})
	return err
}

func TestConsumer_IsCreatingActiveDeletingAndGone(t *testing.T) {
	clock := newClock()
	b := newBench(t, localstream.Options{Clock: clock.Now, StatusDelay: time.Minute}, 1)
	if _, err := b.register("early"); !is[*types.ResourceInUseException](err) {
		t.Errorf("while the stream is creating: %v", err)
	}
	clock.advance(time.Minute)
	consumer, err := b.register("archive")
	if err != nil {
		t.Fatal(err)
	}
	arn := *consumer.ConsumerARN
	if documented := fmt.Sprintf("%s/consumer/archive:%d", tripsARN, clock.Now().Unix()); arn != documented {
		t.Errorf("ARN %s, not %s", arn, documented)
	}
	status := func() types.ConsumerStatus {
		description, err := b.describeConsumer(arn)
		if is[*types.ResourceNotFoundException](err) {
			return "gone"
		}
		if err != nil {
			t.Fatal(err)
		}
		if *description.StreamARN != tripsARN || !description.ConsumerCreationTimestamp.Equal(*consumer.ConsumerCreationTimestamp) {
			t.Errorf("description %+v", description)
		}
		return description.ConsumerStatus
	}
	met := []types.ConsumerStatus{consumer.ConsumerStatus, status()}
	if _, err := b.register("archive"); !is[*types.ResourceInUseException](err) {
		t.Errorf("a name that is there: %v", err)
	}
	clock.advance(time.Minute)
	met = append(met, status())
	if err := b.deregister(arn); err != nil {
		t.Fatal(err)
	}
	met = append(met, status())
	clock.advance(time.Minute)
	met = append(met, status())
	if text := fmt.Sprint(met); text != "[CREATING CREATING ACTIVE DELETING gone]" {
		t.Error(text)
	}
	if err := b.deregister(arn); !is[*types.ResourceNotFoundException](err) {
		t.Errorf("deregistered twice: %v", err)
	}
}

func TestConsumer_OfTheSameNameHasAnotherARN(t *testing.T) {
	clock := newClock()
	b := newBench(t, localstream.Options{Clock: clock.Now}, 1)
	first := b.mustRegister("archive")
	if err := b.deregister(first); err != nil {
		t.Fatal(err)
	}
	second := b.mustRegister("archive")
	if first == second {
		t.Errorf("both have %s", first)
	}
	if _, err := b.describeConsumer(first); !is[*types.ResourceNotFoundException](err) {
		t.Errorf("the first is found: %v", err)
	}
}

func TestConsumers_AreTwentyAStreamAndFiveCreating(t *testing.T) {
	clock := newClock()
	b := newBench(t, localstream.Options{Clock: clock.Now, StatusDelay: time.Minute}, 1)
	for i := range 20 {
		if i%5 == 0 {
			clock.advance(time.Minute)
		}
		b.mustRegister(fmt.Sprintf("c%02d", i))
		if i%5 < 4 {
			continue
		}
		if _, err := b.register("creating"); !is[*types.LimitExceededException](err) {
			t.Errorf("a sixth in CREATING: %v", err)
		}
	}
	clock.advance(time.Minute)
	if _, err := b.register("more"); !is[*types.LimitExceededException](err) {
		t.Errorf("the 21st: %v", err)
	}

	in := kinesis.ListStreamConsumersInput{StreamARN: aws.String(tripsARN), MaxResults: aws.Int32(8)}
	var pages []string
	for {
		out, err := b.client.ListStreamConsumers(t.Context(), &in)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, fmt.Sprintf("%d from %s %s", len(out.Consumers), *out.Consumers[0].ConsumerName, out.Consumers[0].ConsumerStatus))
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	if met := strings.Join(pages, ", "); met != "8 from c00 ACTIVE, 8 from c08 ACTIVE, 4 from c16 ACTIVE" {
		t.Error(met)
	}
	out, err := b.client.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String(trips)})
	if err != nil || *out.StreamDescriptionSummary.ConsumerCount != 20 {
		t.Errorf("%d consumers in the summary, %v", *out.StreamDescriptionSummary.ConsumerCount, err)
	}
}

func TestListStreamConsumers_TokenExpiresAfterFiveMinutes(t *testing.T) {
	clock := newClock()
	b := newBench(t, localstream.Options{Clock: clock.Now}, 1)
	b.mustRegister("a")
	b.mustRegister("b")
	in := kinesis.ListStreamConsumersInput{StreamARN: aws.String(tripsARN), MaxResults: aws.Int32(1)}
	out, err := b.client.ListStreamConsumers(t.Context(), &in)
	if err != nil {
		t.Fatal(err)
	}
	in.NextToken = out.NextToken
	clock.advance(5*time.Minute + time.Millisecond)
	if _, err = b.client.ListStreamConsumers(t.Context(), &in); !is[*types.ExpiredNextTokenException](err) {
		t.Errorf("after five minutes: %v", err)
	}
	in.NextToken = aws.String("AAAA")
	if _, err = b.client.ListStreamConsumers(t.Context(), &in); !is[*types.InvalidArgumentException](err) {
		t.Errorf("a token of nobody: %v", err)
	}
}

func TestConsumer_IsNamedByARNOrNameOrBoth(t *testing.T) {
	b := newBench(t, localstream.Options{}, 1)
	arn := b.mustRegister("archive")
	b.mustRegister("other")
	none := func(err error) bool { return err == nil }
	tests := []struct {
		name string
		in   kinesis.DescribeStreamConsumerInput
		met  func(error) bool
	}{
		{"by ARN", kinesis.DescribeStreamConsumerInput{ConsumerARN: &arn}, none},
		{"by name", kinesis.DescribeStreamConsumerInput{StreamARN: aws.String(tripsARN), ConsumerName: aws.String("archive")}, none},
		{"by all", kinesis.DescribeStreamConsumerInput{StreamARN: aws.String(tripsARN), ConsumerName: aws.String("archive"), ConsumerARN: &arn}, none},
		{"by name and another's ARN", kinesis.DescribeStreamConsumerInput{StreamARN: aws.String(tripsARN), ConsumerName: aws.String("other"), ConsumerARN: &arn}, is[*types.InvalidArgumentException]},
		{"by a name alone", kinesis.DescribeStreamConsumerInput{ConsumerName: aws.String("archive")}, is[*types.InvalidArgumentException]},
		{"by nothing", kinesis.DescribeStreamConsumerInput{}, is[*types.InvalidArgumentException]},
		{"unknown name", kinesis.DescribeStreamConsumerInput{StreamARN: aws.String(tripsARN), ConsumerName: aws.String("nobody")}, is[*types.ResourceNotFoundException]},
		{"unknown stream", kinesis.DescribeStreamConsumerInput{StreamARN: aws.String(tripsARN + "x"), ConsumerName: aws.String("archive")}, is[*types.ResourceNotFoundException]},
		{"a stream's ARN", kinesis.DescribeStreamConsumerInput{ConsumerARN: aws.String(tripsARN)}, func(err error) bool {
			return err != nil && strings.Contains(err.Error(), "ValidationException")
		}},
	}
	for _, test := range tests {
		if _, err := b.client.DescribeStreamConsumer(t.Context(), &test.in); !test.met(err) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestDeleteStream_SparesConsumersUnlessTold(t *testing.T) {
	b := newBench(t, localstream.Options{}, 1)
	arn := b.mustRegister("archive")
	in := kinesis.DeleteStreamInput{StreamName: aws.String(trips)}
	if _, err := b.client.DeleteStream(t.Context(), &in); !is[*types.ResourceInUseException](err) {
		t.Errorf("with a consumer: %v", err)
	}
	if _, err := b.describeConsumer(arn); err != nil {
		t.Error(err)
	}
	in.EnforceConsumerDeletion = aws.Bool(true)
	if _, err := b.client.DeleteStream(t.Context(), &in); err != nil {
		t.Error(err)
	}
	if _, err := b.describeConsumer(arn); !is[*types.ResourceNotFoundException](err) {
		t.Errorf("after the stream: %v", err)
	}
}
