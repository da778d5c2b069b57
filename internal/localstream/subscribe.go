package localstream

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// deliveryLagBytes is how many bytes must follow on a connection before KeepUnread assumes that a written byte was
// received. Until then it may be in the buffers of two sockets: Linux lets the sender's grow to 4 MiB and the receiver's
// to 6 MiB, half of that for payload.
const deliveryLagBytes = 8 << 20

// endGrace is how long a subscription that has ended may take to say so to a client that does not read.
const endGrace = time.Second

// seat is the place of a consumer at a shard: one subscription at a time. The consumer's lock guards it.
type seat struct {
	holder *subscription // the last, which may have left; nil if there was none, or it was ended
	taken  time.Time     // when the last subscription began
	called time.Time     // last call that the rate limit allowed
	paid   time.Time     // when the rate has made up for all bytes delivered; real time, because pacing sleeps
}

// vacate ends the subscription with an exception if it still runs.
func (s *seat) vacate(cause *apiError) {
	if s.holder == nil {
		return
	}
	s.holder.cause = cause
	close(s.holder.stop)
	s.holder = nil
}

// subscription is a running SubscribeToShard.
type subscription struct {
	consumer *consumer
	shard    *shard
	seat     *seat
	stop     chan struct{} // closed to end the subscription with cause
	cause    *apiError     // set before stop is closed

	began uint64 // ordinal at which the first event began
	next  uint64 // ordinal at which the following event begins
	// Records below consumed have been received: at least deliveryLagBytes were written after them. mark is the next such
	// ordinal, reached when as many bytes are written after markAt.
	written, markAt int64
	mark, consumed  uint64
}

// delivered records that an event was written, and the ordinal at which the next one begins.
func (s *subscription) delivered(bytes int, next uint64) {
	s.next = next
	s.written += int64(bytes)
	if s.written-s.markAt >= deliveryLagBytes {
		s.consumed, s.mark, s.markAt = s.mark, next, s.written
	}
}

type subscribeToShardRequest struct {
	ConsumerARN      string
	ShardID          string `json:"ShardId"`
	StartingPosition *struct {
		Type           string
		SequenceNumber string
		Timestamp      *epoch
	}
}

// subscribeToShard begins a subscription and leaves it in the call; push then serves it.
func (k *Kinesis) subscribeToShard(c *call) error {
	var r subscribeToShardRequest
	if err := c.decode(&r); err != nil {
		return err
	}
	if r.ConsumerARN == "" || r.ShardID == "" || r.StartingPosition == nil {
		return errorf(codeValidation, "ConsumerARN, ShardId and StartingPosition must be given")
	}
	from := getShardIteratorRequest{
		ShardIteratorType:      r.StartingPosition.Type,
		StartingSequenceNumber: r.StartingPosition.SequenceNumber,
		Timestamp:              r.StartingPosition.Timestamp,
	}
	return k.lookupConsumer(consumerRef{ConsumerARN: r.ConsumerARN}, c.now, func(s *stream, subscriber *consumer) error {
		if status := subscriber.statusAt(c.now); status != statusActive {
			return errorf(codeInUse, "Consumer %s not ACTIVE, instead in state %s", r.ConsumerARN, status)
		}
		sh, ok := s.find(r.ShardID, c.now)
		if !ok {
			return errorf(codeNotFound, "Shard %s in stream %s under account %s does not exist", r.ShardID, s.name, k.options.Account)
		}
		next, err := k.startingOrdinal(from, s, sh, c.now)
		if err != nil {
			return err
		}
		begun := &subscription{consumer: subscriber, shard: sh, stop: make(chan struct{}), began: next, next: next, mark: next}
		if err := k.takeSeat(begun, r.ConsumerARN, c.now); err != nil {
			return err
		}
		bySequence := from.ShardIteratorType == atSequenceNumber || from.ShardIteratorType == afterSequenceNumber
		if bySequence && k.options.WhenFull == KeepUnread {
			sh.mu.Lock()
			sh.consume(next)
			sh.mu.Unlock()
		}
		c.subscription = begun
		return nil
	})
}

// takeSeat gives a subscription its seat. It may end the one that holds it.
func (k *Kinesis) takeSeat(begun *subscription, arn string, now time.Time) error {
	begun.consumer.mu.Lock()
	defer begun.consumer.mu.Unlock()
	taken := begun.consumer.seats[begun.shard]
	if taken == nil {
		taken = &seat{}
		begun.consumer.seats[begun.shard] = taken
	}
	if k.options.LimitReads {
		if now.Sub(taken.called) < time.Second {
			return errorf(codeLimitExceeded, "Rate exceeded for consumer %s and shard %s.", arn, begun.shard.id)
		}
		taken.called = now
	}
	if now.Sub(taken.taken) < k.options.SubscribeInterval {
		return errorf(codeInUse, "Another active subscription exists for this consumer: %s and shard %s, begun less than %s ago.",
			arn, begun.shard.id, k.options.SubscribeInterval)
	}
	taken.vacate(errorf(codeInUse, "Another subscription of consumer %s to shard %s has taken over.", arn, begun.shard.id))
	taken.holder, taken.taken = begun, now
	begun.seat = taken
	return nil
}

// feed writes a subscription's events to its client.
type feed struct {
	k      *Kinesis
	c      *call
	sub    *subscription
	w      http.ResponseWriter
	writer *http.ResponseController
	client context.Context // ends when the client is gone
	ctx    context.Context // ends when the subscription must end
	idle   *time.Timer
	events int // written
	// watched is closed when watch has seen the end of ctx.
	watched chan struct{}
}

// push serves the subscription of a call until it is over.
func (k *Kinesis) push(w http.ResponseWriter, r *http.Request, c *call) {
	ctx, cancel := context.WithTimeout(r.Context(), k.options.SubscriptionLife)
	f := &feed{
		k: k, c: c, sub: c.subscription, w: w, writer: http.NewResponseController(w),
		client: r.Context(), ctx: ctx,
		idle:    time.NewTimer(k.options.FanOutIdle),
		watched: make(chan struct{}),
	}
	go func() {
		defer close(f.watched)
		f.watch(cancel)
	}()
	defer func() {
		cancel()
		<-f.watched
		// The connection may serve further calls.
		_ = f.writer.SetWriteDeadline(time.Time{})
		f.idle.Stop()
	}()
	k.writeHeader(w, contentTypeEvents, http.StatusOK)
	f.run()
}

// watch ends the subscription on demand, even while it waits for a client that does not read.
func (f *feed) watch(cancel func()) {
	select {
	case <-f.sub.stop:
	case <-f.k.done:
	case <-f.ctx.Done():
	}
	cancel()
	// A writer without deadlines is not on a network.
	_ = f.writer.SetWriteDeadline(time.Now().Add(endGrace))
}

func (f *feed) run() {
	f.c.out = append(beginFrame(f.c.out[:0], initialHeaders), `{}`...)
	if !f.send(endFrame(f.c.out)) {
		return
	}
	for {
		if f.faultBetween() {
			return
		}
		p, ok := f.nextPage()
		if !ok {
			f.tellCause()
			return
		}
		frame := f.k.appendEvent(f.c, f.sub.shard, p)
		f.faultWithin(frame)
		if !f.send(frame) {
			return
		}
		f.events++
		f.sub.delivered(len(frame), p.next)
		f.pay(p.bytes)
		if p.end {
			f.consumeEnd(p)
			return
		}
	}
}

// send writes a frame through to the client.
func (f *feed) send(frame []byte) bool {
	if _, err := f.w.Write(frame); err != nil {
		return false
	}
	err := f.writer.Flush()
	return err == nil || errors.Is(err, http.ErrNotSupported)
}

// tellCause writes why the subscription ends, unless its life or its client ended.
func (f *feed) tellCause() {
	select {
	case <-f.sub.stop:
		f.sendException(f.sub.cause)
	default:
	}
}

func (f *feed) sendException(e *apiError) {
	f.c.out = beginFrame(f.c.out[:0], exceptionHeaders(e.code))
	f.c.out = appendJSON(f.c.out, struct {
		Message string `json:"message"`
	}{e.message})
	_ = f.send(endFrame(f.c.out)) // a client that does not receive it loses the connection
}

// nextPage waits for the page of the next event: records, the end of the shard, or nothing for a while. It reports false
// when the subscription is over.
func (f *feed) nextPage() (page, bool) {
	f.idle.Reset(f.k.options.FanOutIdle)
	if !f.pace() {
		return page{}, false
	}
	for f.ctx.Err() == nil {
		pressure := f.k.budget.pressure()
		p, more := f.takePage()
		if more == nil {
			return p, true
		}
		select {
		case <-more:
		case <-pressure:
			if f.holdsMemory() {
				return page{}, false
			}
		case <-f.idle.C:
			return p, true
		case <-f.ctx.Done():
		}
	}
	return page{}, false
}

// holdsMemory reports whether the subscription keeps records that its client may have received long ago from being
// dropped: everything is written, so nothing will follow that frees them. If such a subscription ends, the position of
// the client's next one shows what it has received. Within the interval, that one would be refused.
func (f *feed) holdsMemory() bool {
	if f.k.options.WhenFull != KeepUnread || f.sub.next <= max(f.sub.began, f.sub.consumed) {
		return false
	}
	f.sub.consumer.mu.Lock()
	defer f.sub.consumer.mu.Unlock()
	return f.k.now().Sub(f.sub.seat.taken) >= f.k.options.SubscribeInterval
}

// takePage returns the shard's next event, or a channel that is closed when there is one.
func (f *feed) takePage() (page, <-chan struct{}) {
	now := f.k.now()
	sh := f.sub.shard
	sh.mu.Lock()
	defer sh.mu.Unlock()
	f.k.budget.release(sh.expire(now))
	if f.k.options.WhenFull == KeepUnread {
		sh.consume(f.sub.consumed)
	}
	p := sh.read(f.sub.next, maxGetRecords, maxEventBytes, now)
	if p.records > 0 || p.end {
		return p, nil
	}
	return p, sh.more()
}

// consumeEnd records that the last event of a shard is written: its reader returns only for the children.
func (f *feed) consumeEnd(p page) {
	if f.k.options.WhenFull != KeepUnread || f.c.faultHit {
		return
	}
	f.sub.shard.mu.Lock()
	defer f.sub.shard.mu.Unlock()
	f.sub.shard.consume(p.next)
}

// pay counts the bytes of an event against the rate of the seat.
func (f *feed) pay(bytes int) {
	if !f.k.options.LimitReads {
		return
	}
	f.sub.consumer.mu.Lock()
	defer f.sub.consumer.mu.Unlock()
	now := time.Now()
	if f.sub.seat.paid.Before(now) {
		f.sub.seat.paid = now
	}
	f.sub.seat.paid = f.sub.seat.paid.Add(time.Duration(bytes) * time.Second / consumerReadBytes)
}

// pace waits until the rate has made up for what was delivered. It reports false when the subscription is over.
func (f *feed) pace() bool {
	if !f.k.options.LimitReads {
		return true
	}
	f.sub.consumer.mu.Lock()
	owed := time.Until(f.sub.seat.paid)
	f.sub.consumer.mu.Unlock()
	if owed <= 0 {
		return true
	}
	timer := time.NewTimer(owed)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-f.ctx.Done():
		return false
	}
}

// appendEvent writes the frame of an event.
func (k *Kinesis) appendEvent(c *call, sh *shard, p page) []byte {
	c.out = c.out[:0]
	c.reserve(base64.StdEncoding.EncodedLen(p.bytes) + (p.records+8)*recordOverhead)
	out := append(beginFrame(c.out, eventsHeaders), `{"Records":[`...)
	out = appendRecords(out, sh, p)
	out = strconv.AppendInt(append(out, `],"MillisBehindLatest":`...), p.behind, 10)
	if p.end {
		out = appendJSON(append(out, `,"ChildShards":`...), sh.childShards())
	} else {
		// Records before the next one were delivered or belong to other shards, so the number is right even for a page
		// without records.
		out = sh.stamp.sequence(p.next - 1).append(append(out, `,"ContinuationSequenceNumber":"`...))
		out = append(out, '"')
	}
	c.out = endFrame(append(out, '}'))
	return c.out
}
