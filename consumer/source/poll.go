package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
)

// poll reads a shard with GetRecords.
type poll struct {
	source    *Source
	place     *place
	iterator  *string   // nil: must be opened, after last or else at from
	notBefore time.Time // earliest time of the next call
	called    time.Time // the last call
	paidAt    time.Time // when the bytes read so far are within the rate
	tipAt     time.Time // when a call last reached the tip; zero while behind
	endings   int       // answers that looked like the shard's end, since the last record
}

func (p *poll) read(ctx context.Context, in *fetched, ahead bool) error {
	if !in.reserve(ctx, p.source.cfg.Budget, p.estimate(time.Now()), ahead) {
		return errNoRoom
	}
	a := in.answer(p.place.count)
	a.wholly = p.place.wholly
	if err := p.call(ctx, a); err != nil {
		return err
	}
	in.asked = asked(a.date, p.called)
	charged, err := p.place.take(ctx, in, a)
	if err != nil {
		return err
	}
	p.pace(charged, in.fetch.Tip)
	if in.fetch.Count > 0 {
		p.endings = 0
	}
	p.iterator = nil
	switch {
	case a.next != "":
		p.iterator = aws.String(a.next)
	case !in.fetch.End:
		return p.doubt(ctx, &in.fetch)
	}
	return nil
}

// doubt handles an answer that has neither an iterator nor child shards. Kinesis names the child shards at the end of a
// shard, but not every service with its protocol does. So the iterator is reopened after the last record; if that leads
// to another such answer without a record in between, a listing decides. What the listing does not confirm is a
// failure, which sets the pace.
func (p *poll) doubt(ctx context.Context, f *Fetch) error {
	if p.endings++; p.endings == 1 {
		p.source.log.InfoContext(ctx, "answer has neither an iterator nor child shards, reading on", logkey.Shard, p.place.id)
		return nil
	}
	if p.source.cfg.Closed == nil {
		return fmt.Errorf("%s: %w", p.place.id, errNoIterator)
	}
	ctx, cancel := context.WithTimeout(ctx, p.source.cfg.CallTimeout)
	defer cancel()
	closed, err := p.source.cfg.Closed(ctx, p.place.id)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w, and it is unknown whether the shard is closed: %w", p.place.id, errNoIterator, err)
	case !closed:
		return fmt.Errorf("%s: %w, but the stream lists the shard as open", p.place.id, errNoIterator)
	}
	f.End = true
	return nil
}

var errNoIterator = errors.New("the answer of GetRecords has neither an iterator nor child shards")

// call makes one call of GetRecords.
func (p *poll) call(ctx context.Context, into *answer) error {
	ctx, cancel := context.WithTimeout(ctx, p.source.cfg.CallTimeout)
	defer cancel()
	if p.iterator == nil {
		if err := p.open(ctx); err != nil {
			return fmt.Errorf("open iterator of %s: %w", p.place.id, err)
		}
	}
	p.called = time.Now()
	p.notBefore = p.called.Add(p.source.cfg.MinInterval)
	format := p.source.format.request()
	_, err := p.source.client.GetRecords(ctx, &kinesis.GetRecordsInput{
		ShardIterator: p.iterator,
		StreamARN:     p.source.cfg.Stream.ByARN(),
		Limit:         aws.Int32(int32(p.source.cfg.MaxRecords)),
	}, once, func(o *kinesis.Options) {
		o.Protocol = protocol{ClientProtocol: o.Protocol, request: format, into: into}
	})
	if err == nil && !into.filled {
		err = errors.New("the client read the answer by itself, want it to apply the options")
	}
	if err != nil {
		return fmt.Errorf("get records of %s: %w", p.place.id, err)
	}
	return nil
}

// once disables the SDK's retries: this package is the layer that retries.
func once(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} }

// open requests an iterator after the last record.
func (p *poll) open(ctx context.Context) error {
	in := &kinesis.GetShardIteratorInput{
		ShardId: &p.place.id, StreamName: p.source.cfg.Stream.ByName(), StreamARN: p.source.cfg.Stream.ByARN(),
	}
	if t, ok := p.place.from.Timestamp(); p.place.last != "" {
		in.ShardIteratorType = types.ShardIteratorTypeAfterSequenceNumber
		in.StartingSequenceNumber = aws.String(p.place.last)
	} else if ok {
		in.ShardIteratorType = types.ShardIteratorTypeAtTimestamp
		in.Timestamp = &t
	} else if p.place.from == checkpoint.TrimHorizon {
		in.ShardIteratorType = types.ShardIteratorTypeTrimHorizon
	} else {
		return p.place.from.Validate()
	}
	out, err := p.source.client.GetShardIterator(ctx, in, once)
	if err != nil {
		return err
	}
	if out.ShardIterator == nil {
		return errors.New("the answer has no iterator")
	}
	p.iterator = out.ShardIterator
	return nil
}

// pace sets the time of the next call after an answer of some bytes. Each answer takes its time at the read rate, and
// no credit builds up while less is read: so an answer of 10 MB forbids calls for 5 s ("Quotas and limits" of Kinesis
// Data Streams). The time counts from the start of the call: network latency affects all calls alike. After an answer
// of more than a second's bytes the service refuses calls that arrive too early, and its time counts from when the call
// arrived, which was now at the latest.
func (p *poll) pace(bytes int, tip bool) {
	cost := time.Duration(float64(bytes) / float64(p.source.cfg.BytesPerSecond) * float64(time.Second))
	from := p.called
	if cost > time.Second {
		from = time.Now()
	}
	p.paidAt = later(p.paidAt, from).Add(cost)
	p.notBefore = later(p.notBefore, p.paidAt)
	p.tipAt = time.Time{}
	if tip {
		p.tipAt = time.Now()
		p.notBefore = later(p.notBefore, p.tipAt.Add(p.source.cfg.Idle))
	}
}

func (p *poll) failed(ctx context.Context, err error, n int) (f failure, quiet bool) {
	if p.source.format.refused(err) {
		p.source.metrics.GetRecords.WithLabelValues(resultError).Inc()
		p.source.log.WarnContext(ctx, "the service does not accept CBOR, continuing in JSON", logkey.Shard, p.place.id, logkey.Error, err)
		return f, true
	}
	f = classify(err)
	p.source.metrics.GetRecords.WithLabelValues(f.result).Inc()
	if f.reopen {
		p.iterator = nil
	}
	// Expected after a long wait; the next call recovers.
	return f, f.result == resultExpired && n == 1
}

func (p *poll) worked() {
	p.source.metrics.GetRecords.WithLabelValues(resultOK).Inc()
	if p.source.format.request() == wireCBOR {
		p.source.format.works.Store(true)
	}
}

func (p *poll) next() time.Time { return p.notBefore }

func (p *poll) restart() { p.iterator, p.endings = nil, 0 }

func (*poll) close() {}

// Bounds on the memory that an answer needs while it is received: what a record needs besides its payload and key, in
// the body and in the list of records, and how much longer a payload is in base64.
const (
	cborRecord = float64(200 + entryBytes + recordBytes)
	jsonRecord = float64(220 + entryBytes + recordBytes)
)

// estimate bounds the memory of the next answer. At the tip that is what producers can have written since then, plus a
// second's worth; elsewhere it is Kinesis's limit.
func (p *poll) estimate(now time.Time) int64 {
	bytes, count := float64(maxAnswerBytes), float64(p.source.cfg.MaxRecords)
	if !p.tipAt.IsZero() {
		seconds := now.Sub(p.tipAt).Seconds() + 1
		bytes = min(bytes, seconds*writeBytesPerSecond)
		count = min(count, seconds*writeRecordsPerSecond)
	}
	perRecord := 0.0
	if p.source.cfg.Raw {
		perRecord = float64(recordBytes)
	}
	if p.source.format.request() == wireJSON {
		return int64(bytes*4/3 + count*(jsonRecord+perRecord))
	}
	return int64(bytes + count*(cborRecord+perRecord))
}
