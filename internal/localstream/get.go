package localstream

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"
)

// Values of ShardIteratorType.
const (
	atSequenceNumber    = "AT_SEQUENCE_NUMBER"
	afterSequenceNumber = "AFTER_SEQUENCE_NUMBER"
	trimHorizon         = "TRIM_HORIZON"
	latest              = "LATEST"
	atTimestamp         = "AT_TIMESTAMP"
)

type getShardIteratorRequest struct {
	streamRef
	ShardID                string `json:"ShardId"`
	ShardIteratorType      string
	StartingSequenceNumber string
	Timestamp              *epoch
}

func (k *Kinesis) getShardIterator(c *call) error {
	var r getShardIteratorRequest
	if err := c.decode(&r); err != nil {
		return err
	}
	s, err := k.lookup(r.streamRef, c.now)
	if err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	sh, ok := s.find(r.ShardID, c.now)
	if !ok || s.statusLocked(c.now) == statusCreating {
		return errorf(codeNotFound, "Shard %s in stream %s under account %s does not exist", r.ShardID, s.name, k.options.Account)
	}
	next, err := k.startingOrdinal(r, s, sh, c.now)
	if err != nil {
		return err
	}
	it := iterator{stream: s.serial, shard: sh.stamp.index, next: next, issued: c.now.UnixMilli()}
	c.out = append(c.out, `{"ShardIterator":"`...)
	c.out = append(it.append(c.out), `"}`...)
	return nil
}

// startingOrdinal resolves the position that a request describes.
func (k *Kinesis) startingOrdinal(r getShardIteratorRequest, s *stream, sh *shard, now time.Time) (uint64, error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	k.budget.release(sh.expire(now))
	switch r.ShardIteratorType {
	case trimHorizon:
		return sh.horizon, nil
	case latest:
		return sh.newest + 1, nil
	case atTimestamp:
		if r.Timestamp == nil {
			return 0, errorf(codeInvalidArgument, "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP.")
		}
		if r.Timestamp.After(now) {
			return 0, errorf(codeInvalidArgument, "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis.")
		}
		return sh.position(r.Timestamp.Time), nil
	case atSequenceNumber, afterSequenceNumber:
		return sh.ordinalOf(r, s.name)
	}
	return 0, errorf(codeValidation, "ShardIteratorType %q is not one of AT_SEQUENCE_NUMBER, AFTER_SEQUENCE_NUMBER, TRIM_HORIZON, LATEST, AT_TIMESTAMP", r.ShardIteratorType)
}

// ordinalOf resolves a position by sequence number, which must be one that this shard can have issued.
func (s *shard) ordinalOf(r getShardIteratorRequest, stream string) (uint64, error) {
	number, ok := parseWide(r.StartingSequenceNumber)
	if !ok {
		return 0, errorf(codeInvalidArgument, "StartingSequenceNumber %q is not a sequence number", r.StartingSequenceNumber)
	}
	stamp, ordinal, ok := splitSequence(number)
	if !ok || stamp != s.stamp || ordinal < s.startsAt || ordinal > max(s.newest, s.endsAt) {
		return 0, errorf(codeInvalidArgument, "StartingSequenceNumber %s used in GetShardIterator on shard %s in stream %s is invalid because it did not come from this stream.",
			r.StartingSequenceNumber, s.id, stream)
	}
	if r.ShardIteratorType == afterSequenceNumber {
		ordinal++
	}
	return ordinal, nil
}

type getRecordsRequest struct {
	ShardIterator string
	StreamARN     string
	Limit         *int
}

func (k *Kinesis) getRecords(c *call) error {
	var r getRecordsRequest
	if err := r.decode(c); err != nil {
		return err
	}
	limit := maxGetRecords
	if r.Limit != nil {
		limit = *r.Limit
	}
	if limit < 1 {
		return errorf(codeValidation, "Limit is %d, must be 1 to %d", limit, maxGetRecords)
	}
	if limit > maxGetRecords {
		return errorf(codeInvalidArgument, "Limit is %d, must be 1 to %d", limit, maxGetRecords)
	}
	it, ok := parseIterator(r.ShardIterator)
	if !ok {
		return errorf(codeInvalidArgument, "Invalid ShardIterator.")
	}
	if it.expired(c.now) {
		return errorf(codeExpiredIterator, "Iterator expired. The iterator was created at time %s while right now it is %s which is further in the future than the tolerated delay of %d milliseconds.",
			time.UnixMilli(it.issued).UTC().Format(time.RFC3339Nano), c.now.UTC().Format(time.RFC3339Nano), iteratorLife.Milliseconds())
	}
	sh, err := k.shardOf(it, c.now)
	if err != nil {
		return err
	}
	p, err := k.readPage(sh, it, limit, c.now)
	if err != nil {
		return err
	}
	if c.cbor {
		k.appendPageCBOR(c, sh, it, p)
	} else {
		k.appendPage(c, sh, it, p)
	}
	return nil
}

func (r *getRecordsRequest) decode(c *call) error {
	if c.cbor {
		return r.decodeCBOR(c.body)
	}
	return c.decode(r)
}

// shardOf returns the shard that an iterator points into.
func (k *Kinesis) shardOf(it iterator, now time.Time) (*shard, error) {
	k.mu.RLock()
	s := k.bySerial[it.stream]
	k.mu.RUnlock()
	if s == nil || k.reap(s, now) {
		return nil, errorf(codeNotFound, "The stream of the ShardIterator does not exist under account %s.", k.options.Account)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if int(it.shard) >= len(s.shards) || s.expired(s.shards[it.shard], now) {
		return nil, errorf(codeNotFound, "Shard %s in stream %s under account %s does not exist", shardID(int(it.shard)), s.name, k.options.Account)
	}
	return s.shards[it.shard], nil
}

// readPage reads the records of an answer, within the shard's limits.
func (k *Kinesis) readPage(sh *shard, it iterator, limit int, now time.Time) (page, error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if k.options.LimitReads && !sh.reads.allow(now) {
		return page{}, errorf(codeThroughput, "Rate exceeded for shard %s under account %s.", sh.id, k.options.Account)
	}
	k.budget.release(sh.expire(now))
	p := sh.read(it.next, limit, maxGetRecordsBytes, now)
	sh.reads.answered(now, p.bytes)
	if k.options.WhenFull == KeepUnread {
		if it.continued {
			sh.consume(it.next)
		}
		if p.end {
			sh.consume(p.next)
		}
	}
	return p, nil
}

// recordOverhead is the size of a record in the JSON of GetRecords without its key and its data in base64, rounded up.
const recordOverhead = 192

// appendPage writes the answer of GetRecords.
func (k *Kinesis) appendPage(c *call, sh *shard, it iterator, p page) {
	c.reserve(base64.StdEncoding.EncodedLen(p.bytes) + p.records*recordOverhead)
	out := append(c.out, `{"Records":[`...)
	out = appendRecords(out, sh, p)
	out = append(out, `],"MillisBehindLatest":`...)
	out = appendInt(out, p.behind)
	if p.end {
		out = append(out, `,"ChildShards":`...)
		out = appendJSON(out, sh.childShards())
	} else {
		out = append(out, `,"NextShardIterator":"`...)
		out = append(it.after(p, c.now).append(out), '"')
	}
	c.out = append(out, '}')
}

// appendRecords appends the elements of an answer's Records.
func appendRecords(dst []byte, sh *shard, p page) []byte {
	first := true
	for _, run := range p.runs {
		for _, e := range run.entries {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(dst, `{"ApproximateArrivalTimestamp":`...)
			dst = appendMillis(dst, e.arrival)
			dst = append(dst, `,"Data":"`...)
			dst = base64.StdEncoding.AppendEncode(dst, run.data(e))
			dst = append(dst, `","PartitionKey":`...)
			dst = appendQuoted(dst, run.key(e))
			dst = append(dst, `,"SequenceNumber":"`...)
			dst = sh.stamp.sequence(e.ordinal).append(dst)
			dst = append(dst, `"}`...)
		}
	}
	return dst
}

type childShard struct {
	ShardID      string `json:"ShardId"`
	ParentShards []string
	HashKeyRange hashKeyRange
}

func (s *shard) childShards() []childShard {
	s.mu.Lock()
	defer s.mu.Unlock()
	children := []childShard{}
	for _, child := range s.children {
		parents := make([]string, len(child.parents))
		for i, parent := range child.parents {
			parents[i] = parent.id
		}
		children = append(children, childShard{ShardID: child.id, ParentShards: parents, HashKeyRange: child.hashKeyRange()})
	}
	return children
}

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }

// appendMillis appends Unix milliseconds as a timestamp of the protocol: seconds with a fraction.
func appendMillis(dst []byte, millis int64) []byte {
	dst = strconv.AppendInt(dst, millis/1000, 10)
	rest := millis % 1000
	return append(dst, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
}

// epoch is a timestamp of the protocol, with millisecond precision.
type epoch struct{ time.Time }

func (e epoch) MarshalJSON() ([]byte, error) { return appendMillis(nil, e.UnixMilli()), nil }

func (e *epoch) UnmarshalJSON(text []byte) error {
	var seconds json.Number
	if err := json.Unmarshal(text, &seconds); err != nil {
		return err
	}
	value, err := seconds.Float64()
	if err != nil {
		return err
	}
	// A float64 of today's seconds is exact to a quarter of a microsecond, so rounding gives the intended millisecond.
	e.Time = time.UnixMilli(int64(value*1000 + 0.5))
	return nil
}
