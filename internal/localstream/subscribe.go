package localstream

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// deliveryLagBytes is how many bytes must follow on a connection before KeepUnread takes what was written for received.
// A written byte may still lie in the buffers of two sockets, of which Linux lets the sender's grow to 4 MiB and the
// receiver's to 6, half of that for payload.
const deliveryLagBytes = 8 << 20

// endGrace is how long a subscription that is over may take to tell so to a client that does not read.
const endGrace = time.Second

// seat is what a consumer has at a shard: one subscription at a time. It is guarded by the consumer's lock.
type seat struct {
	holder *subscription // the last, which may have left; nil if there was none, or it was ended
	taken  time.Time     // when the last subscription began
	called time.Time     // last call that the rate of calls let pass
	paid   time.Time     // when the rate has made up for all bytes delivered; the real time, as pacing sleeps
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
	stop     chan struct{} // closed when the subscription has to end with cause
	cause    *apiError     // set before stop is closed

	began uint64 // ordinal at which the first event began
	next  uint64 // ordinal at which the following event begins
	// What is below consumed has been received: deliveryLagBytes and more were written after it. mark is the ordinal
	// that follows, when as many bytes are written behind markAt.
	written, markAt int64
	mark, consumed  uint64
}

// delivered notes that an event was written, and that the next one begins at an ordinal.
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

// takeSeat gives a subscription its place, from which it may drive another.
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
	ctx    context.Context // ends when the subscription has to
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

// watch ends the subscription when somebody else wants it ended, also when it waits for a client that does not read.
func (f *feed) watch(cancel func()) {
	select {
	case <-f.sub.stop:
	case <-f.k.done:
	case <-f.ctx.Done():
	}
	cancel()
	// A writer that knows no deadlines is one without a network.
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

// tellCause writes why the subscription ends, if there is more to it than its life or its client's.
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
	_ = f.send(endFrame(f.c.out)) // who does not hear it loses the connection
}

// nextPage waits for the page of the following event: records, the end of the shard, or nothing for a while. It reports
// false when the subscription is over.
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

// holdsMemory reports whether the subscription keeps records from being forgotten that its client may long have
// received: all is written, so nothing will follow behind which they are let go. If such a subscription ends, its client
// says by the position of the next one what it has. That one is refused within the interval.
func (f *feed) holdsMemory() bool {
	if f.k.options.WhenFull != KeepUnread || f.sub.next <= max(f.sub.began, f.sub.consumed) {
		return false
	}
	f.sub.consumer.mu.Lock()
	defer f.sub.consumer.mu.Unlock()
	return f.k.now().Sub(f.sub.seat.taken) >= f.k.options.SubscribeInterval
}

// takePage returns what the shard has for an event, or a channel that is closed when there is something.
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

// consumeEnd notes that the last event of a shard is written: its reader comes back for the children only.
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

// appendEvent makes the frame of an event.
func (k *Kinesis) appendEvent(c *call, sh *shard, p page) []byte {
	c.out = c.out[:0]
	c.reserve(base64.StdEncoding.EncodedLen(p.bytes) + (p.records+8)*recordOverhead)
	out := append(beginFrame(c.out, eventsHeaders), `{"Records":[`...)
	out = appendRecords(out, sh, p)
	out = strconv.AppendInt(append(out, `],"MillisBehindLatest":`...), p.behind, 10)
	if p.end {
		out = appendJSON(append(out, `,"ChildShards":`...), sh.childShards())
	} else {
		// What lies before the next record was delivered or is none of this shard's, so the number serves a stretch without
		// records too.
		out = sh.stamp.sequence(p.next - 1).append(append(out, `,"ContinuationSequenceNumber":"`...))
		out = append(out, '"')
	}
	c.out = endFrame(append(out, '}'))
	return c.out
}
