package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
)

// Limits of enhanced fan-out per consumer and shard (AWS, API reference of SubscribeToShard).
const (
	// subscribeEvery is the minimum time between two calls.
	subscribeEvery = time.Second
	// subscribeAgain is how long after a successful call the next one is refused.
	subscribeAgain = 5 * time.Second
)

// renewal is how fast subscriptions may follow one another.
type renewal struct{ every, again time.Duration }

const (
	// defaultSilence is how long a subscription may send nothing. Kinesis sends an event without records every few
	// seconds.
	defaultSilence = 35 * time.Second
	// gatherFor and gatherBytes bound what a fetch gathers. An event comes as soon as there is a record, and is then
	// small; the caller is better served by up to five fetches per second.
	gatherFor   = 200 * time.Millisecond
	gatherBytes = 4 << 20
	// inUsePatience is how many refusals in a row because a subscription is in use are no trouble: another worker may
	// have held the shard until a moment ago.
	inUsePatience = 8
)

// push reads a shard with SubscribeToShard (enhanced fan-out): the service sends what is written, at a rate that is not
// shared with the shard's other readers. A subscription ends after five minutes, or at any time, and the next one
// begins where it ended.
type push struct {
	source *Source
	place  *place
	stream *subscription // nil if none is open
	// resume is where the last event ended, which may be after the last record.
	resume string
	called time.Time // the last call
	opened time.Time // the last call that succeeded
	asked  time.Time // the same by the service's clock; zero if it did not say
}

// read gathers the events that arrive within gatherFor of the first one with records.
func (p *push) read(ctx context.Context, in *fetched, ahead bool) error {
	if p.stream == nil {
		if err := p.subscribe(ctx); err != nil {
			return err
		}
	}
	b, f := p.source.cfg.Budget, &in.fetch
	deadline := time.Now().Add(p.source.cfg.Silence)
	for {
		gathered := f.Count > 0
		begun, err := p.stream.await(ctx, deadline)
		switch {
		case gathered && (err != nil || !begun):
			return nil // the error stays for the next read
		case errors.Is(err, io.EOF) && p.stream.events > 0:
			p.close()
			if err := p.subscribe(ctx); err != nil {
				return err
			}
			deadline = time.Now().Add(p.source.cfg.Silence)
			continue
		case errors.Is(err, io.EOF):
			return p.failure(errors.New("ended before its first event"))
		case err != nil:
			return p.failure(err)
		case !begun:
			return p.failure(fmt.Errorf("no event for %v", p.source.cfg.Silence))
		}
		if !in.reserve(ctx, b, p.stream.memory(), ahead || gathered) {
			if gathered {
				return nil
			}
			return errNoRoom
		}
		a := in.answer(p.place.count)
		known, err := p.stream.event(a)
		if err != nil || !known {
			in.drop()
			in.settle(b)
			if err != nil && !gathered {
				return p.failure(err)
			}
			if !gathered {
				deadline = time.Now().Add(p.source.cfg.Silence) // the wait for room may have been long
			}
			continue
		}
		in.asked = p.asked
		if _, err := p.place.take(ctx, in, a); err != nil {
			return err
		}
		p.resume = a.next
		if p.outdated(f) {
			p.close()
			return nil
		}
		if f.Count == 0 || f.End || f.Bytes >= gatherBytes {
			return nil
		}
		if !gathered {
			deadline = time.Now().Add(gatherFor)
		}
	}
}

func (p *push) failure(err error) error {
	return fmt.Errorf("subscription to %s: %w", p.place.id, err)
}

// subscribe opens a subscription after what was read.
func (p *push) subscribe(ctx context.Context) error {
	at := p.called.Add(p.source.renewal.every)
	if !p.opened.IsZero() {
		at = later(at, p.opened.Add(p.source.renewal.again))
	}
	if !sleepUntil(ctx, at) {
		return ctx.Err()
	}
	consumer, err := p.source.consumer.active(ctx)
	if err != nil {
		return err
	}
	from, err := p.start()
	if err != nil {
		return err
	}
	p.called = time.Now()
	// The call's context is also the context of the stream that it opens, so the call is bounded by a timer.
	ctx, cancel := context.WithCancel(ctx)
	bound := time.AfterFunc(p.source.cfg.CallTimeout, cancel)
	var body io.ReadCloser
	var answered time.Time
	_, err = p.source.client.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
		ConsumerARN: &consumer, ShardId: &p.place.id, StartingPosition: from,
	}, once, func(o *kinesis.Options) {
		o.Protocol = eventProtocol{ClientProtocol: o.Protocol, into: &body, date: &answered}
	})
	switch late := !bound.Stop(); {
	case err != nil && late:
		err = fmt.Errorf("no answer within %v: %w", p.source.cfg.CallTimeout, err)
	case err == nil && late:
		err = fmt.Errorf("no answer within %v", p.source.cfg.CallTimeout)
	case err == nil && body == nil:
		err = errors.New("the client read the events by itself, want it to apply the options")
	}
	if err != nil {
		cancel()
		if body != nil {
			body.Close()
		}
		p.source.consumer.refused(consumer, err)
		return fmt.Errorf("subscribe to %s: %w", p.place.id, err)
	}
	p.opened, p.asked = p.called, asked(answered, p.called)
	p.stream = openSubscription(body, cancel)
	p.source.metrics.Subscriptions.WithLabelValues(resultOK).Inc()
	return nil
}

// start returns the position after what was read.
func (p *push) start() (*types.StartingPosition, error) {
	after := p.place.last
	if p.resume != "" {
		after = p.resume
	}
	if after != "" {
		return &types.StartingPosition{Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: aws.String(after)}, nil
	}
	if t, ok := p.place.from.Timestamp(); ok {
		return &types.StartingPosition{Type: types.ShardIteratorTypeAtTimestamp, Timestamp: &t}, nil
	}
	if p.place.from == checkpoint.TrimHorizon {
		return &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon}, nil
	}
	return nil, p.place.from.Validate()
}

func (p *push) failed(ctx context.Context, err error, n int) (f failure, quiet bool) {
	p.close()
	f = classify(err)
	p.source.metrics.Subscriptions.WithLabelValues(f.result).Inc()
	if f.result != resultInUse || n > inUsePatience {
		return f, false
	}
	p.source.log.DebugContext(ctx, "another subscription to the shard is in use", logkey.Shard, p.place.id, logkey.Attempt, n)
	return f, true
}

// next allows any time: subscribe keeps its own pace.
func (*push) next() time.Time { return time.Time{} }

func (*push) worked() {}

// restart begins with a new subscription.
func (p *push) restart() {
	p.close()
	p.resume = ""
}

// outdated reports whether a new subscription may end the reading of a shard that is read to its tip: all that is known
// of the service's clock is when it accepted the present one.
func (p *push) outdated(f *Fetch) bool {
	s := p.place.stop
	return s != nil && f.Tip && !p.asked.IsZero() && !s.due(p.asked) && s.due(p.asked.Add(time.Since(p.opened)))
}

// close ends the subscription; the next read opens another one.
func (p *push) close() {
	if p.stream != nil {
		p.stream.close()
		p.stream = nil
	}
}
