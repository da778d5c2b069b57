package redrive

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"golang.org/x/time/rate"

	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/internal/streams"
)

const (
	// requestBytes limits a request of several records. Kinesis accepts 10 MiB, and accepted 5 MiB before it accepted
	// records over 1 MiB.
	requestBytes = 4 << 20
	// callTimeout limits a call that gets no answer.
	callTimeout = 30 * time.Second
	// maxTries is how often in a row a request is sent without any record being accepted. With the backoff it takes about
	// two minutes.
	maxTries = 20
	// maxKeyChars is the limit of Kinesis for partition keys.
	maxKeyChars = 256
)

// refusals sets the waits after calls in a row that accepted no record.
var refusals = backoff.Policy{First: 200 * time.Millisecond, Longest: 20 * time.Second}

// errLostAnswer means that Kinesis may or may not have accepted some records. They are in doubt, and the run ends, so
// that an outage does not leave all lines in doubt.
var errLostAnswer = errors.New("the answer from Kinesis was lost")

// sender puts lines into the stream.
type sender struct {
	client  Kinesis
	stream  streams.ID
	limiter *rate.Limiter
	log     *slog.Logger
}

// outcome is the result of sending lines. Lines in none of its sets were not sent.
type outcome struct {
	sent    lineSet
	unknown lineSet
	refused []refusal
	err     error // why it ended early
}

type refusal struct {
	line   int
	reason string
}

func (o *outcome) add(p outcome) {
	o.sent = o.sent.union(p.sent)
	o.unknown = o.unknown.union(p.unknown)
	o.refused = append(o.refused, p.refused...)
	o.err = p.err
}

// send puts lines in order, except that throttled lines follow later.
func (s *sender) send(ctx context.Context, lines []line) (o outcome) {
	for len(lines) > 0 && o.err == nil {
		n, size := 1, lineBytes(lines[0])
		for n < len(lines) && n < chunkLines && size+lineBytes(lines[n]) <= requestBytes {
			size += lineBytes(lines[n])
			n++
		}
		o.add(s.request(ctx, lines[:n]))
		lines = lines[n:]
	}
	return o
}

func lineBytes(l line) int { return len(l.record.Data) + len(l.record.PartitionKey) }

// request puts lines until each is sent, refused or in doubt, or ctx ends.
func (s *sender) request(ctx context.Context, lines []line) (o outcome) {
	lines, o.refused = sendable(lines)
	for tries := 0; len(lines) > 0; tries++ {
		if tries == maxTries {
			o.err = fmt.Errorf("put %d records: Kinesis accepted none of them in %d attempts", len(lines), maxTries)
			return o
		}
		if o.err = s.wait(ctx, tries, len(lines)); o.err != nil {
			return o
		}
		rest, err := s.call(ctx, lines)
		if err == nil {
			o.sent = o.sent.union(numbers(lines).without(numbers(rest)))
			if len(rest) < len(lines) {
				tries = 0
			}
			lines = rest
			continue
		}
		switch classify(err) {
		case throttled:
			s.log.Debug("put refused for now", logkey.Error, err)
		case invalid:
			if len(lines) == 1 {
				o.refused = append(o.refused, refusal{lines[0].number, err.Error()})
				return o
			}
			// One of them is invalid and none was accepted: send them one at a time to find out which.
			for _, l := range lines {
				o.add(s.request(ctx, []line{l}))
				if o.err != nil {
					return o
				}
			}
			return o
		case denied:
			o.err = fmt.Errorf("put %d records: %w", len(lines), err)
			return o
		case lost:
			o.unknown = numbers(lines)
			o.err = fmt.Errorf("put %d records: %w: %w", len(lines), errLostAnswer, err)
			return o
		}
	}
	return o
}

// sendable separates lines that cannot be Kinesis records.
func sendable(lines []line) (good []line, bad []refusal) {
	for _, l := range lines {
		if n := utf8.RuneCountInString(l.record.PartitionKey); n > maxKeyChars {
			bad = append(bad, refusal{l.number, fmt.Sprintf("its partition key has %d characters: Kinesis accepts up to %d", n, maxKeyChars)})
			continue
		}
		good = append(good, l)
	}
	return good, bad
}

// wait enforces the rate, and backs off after failed attempts.
func (s *sender) wait(ctx context.Context, tries, records int) error {
	if err := s.limiter.WaitN(ctx, records); err != nil {
		return stopped(ctx, err)
	}
	if tries == 0 {
		return nil
	}
	return refusals.Pause(ctx, tries)
}

func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// call makes one call and returns the lines that Kinesis did not accept. It continues after ctx ends, to learn what was
// sent. The SDK must not retry, since a call whose answer was lost may have taken effect.
func (s *sender) call(ctx context.Context, lines []line) (rest []line, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	in := &kinesis.PutRecordsInput{StreamName: s.stream.ByName(), StreamARN: s.stream.ByARN()}
	for _, l := range lines {
		in.Records = append(in.Records, entry(l))
	}
	out, err := s.client.PutRecords(ctx, in, func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} })
	if err != nil {
		return nil, err
	}
	if len(out.Records) != len(lines) {
		return nil, fmt.Errorf("got results for %d of %d records", len(out.Records), len(lines))
	}
	for i, result := range out.Records {
		if aws.ToString(result.ErrorCode) != "" || result.SequenceNumber == nil {
			rest = append(rest, lines[i])
		}
	}
	return rest, nil
}

// entry converts a line to a record. Firehose's own lines have no partition key, and user records of an aggregate may
// have an empty one, which Kinesis rejects: the digest of the payload replaces it.
func entry(l line) types.PutRecordsRequestEntry {
	e := types.PutRecordsRequestEntry{Data: l.record.Data, PartitionKey: &l.record.PartitionKey}
	if e.Data == nil {
		e.Data = []byte{}
	}
	if l.record.PartitionKey == "" {
		sum := md5.Sum(l.record.Data)
		e.PartitionKey = aws.String(hex.EncodeToString(sum[:]))
	}
	if l.record.ExplicitHashKey != "" {
		e.ExplicitHashKey = &l.record.ExplicitHashKey
	}
	return e
}

// verdict is what an error of a call means for its records.
type verdict int

const (
	throttled verdict = iota // none was accepted; may succeed later
	invalid                  // none was accepted, because one is invalid
	denied                   // none was accepted, for a reason that somebody has to fix
	lost                     // they may have been accepted
)

func classify(err error) verdict {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return throttled // no connection was made, so nothing was sent
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return lost
	}
	switch api.ErrorCode() {
	case "ProvisionedThroughputExceededException", "LimitExceededException", "KMSThrottlingException",
		"ThrottlingException", "Throttling", "RequestLimitExceeded":
		return throttled
	case "ValidationException", "InvalidArgumentException", "SerializationException":
		return invalid
	}
	// A 4xx status means that the call was refused as a whole.
	if answer, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && answer.HTTPStatusCode() < http.StatusInternalServerError {
		return denied
	}
	return lost
}
