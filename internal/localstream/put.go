package localstream

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
	"unicode/utf8"
)

// putEntry is a record as a producer sends it.
type putEntry struct {
	key         []byte
	explicitKey []byte
	data        []byte
	hasData     bool
}

func (e putEntry) bytes() int { return len(e.key) + len(e.data) }

// hashKey returns the position on the hash ring: the explicit hash key, or else the MD5 of the partition key as a
// big-endian integer.
func (e putEntry) hashKey() (wide, error) {
	if e.explicitKey == nil {
		sum := md5.Sum(e.key)
		return wide{0, binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])}, nil
	}
	key, ok := parseWide(e.explicitKey)
	if !ok || key.compare(maxHashKey) > 0 {
		return wide{}, errorf(codeInvalidArgument, "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1].")
	}
	return key, nil
}

func (e putEntry) validate(maxRecord int) error {
	switch chars := utf8.RuneCount(e.key); {
	case chars == 0 || chars > maxKeyChars:
		return errorf(codeValidation, "PartitionKey has %d characters, must have 1 to %d", chars, maxKeyChars)
	case !utf8.Valid(e.key):
		return errorf(codeSerialization, "PartitionKey is not UTF-8")
	case !e.hasData:
		return errorf(codeValidation, "Data must not be null")
	case e.bytes() > maxRecord:
		return errorf(codeValidation, "Record of %d bytes exceeds the stream's limit of %d bytes for partition key and data", e.bytes(), maxRecord)
	}
	return nil
}

// putRequest is the body of PutRecord and PutRecords. Its slices share memory with the body and with scratch.
type putRequest struct {
	streamRef
	one     putEntry
	entries []putEntry
	scratch []byte // decoded payloads; never grows beyond the body's size, so slices of it stay valid
}

var errNotBase64 = errors.New("the member Data is not base64")

// parse reads the body. scratch must have the body's length as capacity.
func (r *putRequest) parse(body []byte) error {
	s := scanner{text: body}
	err := s.object(func(name []byte) error {
		switch string(name) {
		case "StreamName":
			return takeString(&s, &r.StreamName)
		case "StreamARN":
			return takeString(&s, &r.StreamARN)
		case "Records":
			r.entries = r.entries[:0]
			if s.null() {
				return nil
			}
			return s.array(func() error {
				r.entries = append(r.entries, putEntry{})
				last := &r.entries[len(r.entries)-1]
				return s.object(func(name []byte) error { return r.parseEntry(&s, name, last) })
			})
		}
		return r.parseEntry(&s, name, &r.one)
	})
	if err == nil && !s.end() {
		err = errMalformed
	}
	return err
}

func takeString(s *scanner, value *string) error {
	text, _, err := s.string()
	*value = string(text)
	return err
}

func (r *putRequest) parseEntry(s *scanner, name []byte, e *putEntry) (err error) {
	switch string(name) {
	case "PartitionKey":
		e.key, _, err = s.string()
	case "ExplicitHashKey":
		var given bool
		if e.explicitKey, given, err = s.string(); !given {
			e.explicitKey = nil
		}
	case "Data":
		var text []byte
		e.data = nil
		if text, e.hasData, err = s.string(); err != nil || !e.hasData {
			return err
		}
		start := len(r.scratch)
		if r.scratch, err = base64.StdEncoding.AppendDecode(r.scratch, text); err != nil {
			return errNotBase64
		}
		e.data = r.scratch[start:]
	default:
		return s.skip()
	}
	return err
}

// putResult is the outcome of an entry: a sequence number, or the code and message of an error.
type putResult struct {
	shard    *shard
	sequence wide
	code     string
	message  string
}

// put stores one record, under the shard's rate limit if limited is set. The caller holds the stream's lock for reading,
// and has validated the entry and its key.
func (k *Kinesis) put(s *stream, e putEntry, key wide, now time.Time, limited bool) putResult {
	target := s.route(key)
	target.mu.Lock()
	defer target.mu.Unlock()
	if limited && !target.writes.take(now, e.bytes()) {
		return putResult{code: codeThroughput, message: "Rate exceeded for shard " + target.id +
			" in stream " + s.name + " under account " + k.options.Account + "."}
	}
	if !target.fits(e.bytes()) && !k.grow(target, e.bytes(), now) {
		k.budget.refuse()
		return putResult{code: codeThroughput, message: "No memory left for shard " + target.id +
			" in stream " + s.name + " under account " + k.options.Account + ": it holds records that are not read yet."}
	}
	ordinal := target.append(k.nextOrdinal, now, e.key, e.data)
	return putResult{shard: target, sequence: target.stamp.sequence(ordinal)}
}

// grow makes room for a record in a shard. The caller holds the shard's lock, which is released while memory is freed in
// other shards.
func (k *Kinesis) grow(target *shard, bytes int, now time.Time) bool {
	arena := target.nextArena(bytes, k.budget.maxArena())
	target.mu.Unlock()
	got := k.budget.grow(target, segmentCharge(arena), now)
	target.mu.Lock()
	if target.fits(bytes) {
		if got {
			k.budget.release(segmentCharge(arena))
		}
		return true
	}
	if got {
		target.segments = append(target.segments, newSegment(arena))
	}
	return got
}

func (k *Kinesis) putRecord(c *call) error {
	r, s, err := k.parsePut(c)
	if err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.open == nil || s.statusLocked(c.now) == statusCreating {
		return errorf(codeNotFound, "Stream %s under account %s not found.", s.name, k.options.Account)
	}
	if err := r.one.validate(s.maxRecord); err != nil {
		return err
	}
	key, err := r.one.hashKey()
	if err != nil {
		return err
	}
	result := k.put(s, r.one, key, c.now, k.options.LimitWrites)
	if result.code != "" {
		return errorf(result.code, "%s", result.message)
	}
	c.out = append(c.out, '{')
	c.out = append(result.appendMembers(c.out), '}')
	return nil
}

func (r putResult) appendMembers(dst []byte) []byte {
	dst = append(dst, `"SequenceNumber":"`...)
	dst = r.sequence.append(dst)
	dst = append(dst, `","ShardId":"`...)
	dst = append(dst, r.shard.id...)
	return append(dst, '"')
}

// parsePut reads the body of a put and finds its stream.
func (k *Kinesis) parsePut(c *call) (*putRequest, *stream, error) {
	r := &putRequest{scratch: c.takeScratch(len(c.body))}
	if err := r.parse(c.body); err != nil {
		return nil, nil, errorf(codeSerialization, "%s", err)
	}
	s, err := k.lookup(r.streamRef, c.now)
	return r, s, err
}

func (k *Kinesis) putRecords(c *call) error {
	r, s, err := k.parsePut(c)
	if err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.open == nil || s.statusLocked(c.now) == statusCreating {
		return errorf(codeNotFound, "Stream %s under account %s not found.", s.name, k.options.Account)
	}
	keys, err := r.validate(s.maxRecord)
	if err != nil {
		return err
	}
	failed := 0
	c.out = append(c.out, `{"Records":[`...)
	for i, e := range r.entries {
		if i > 0 {
			c.out = append(c.out, ',')
		}
		result, planted := c.fault.entryFault(i)
		if !planted {
			result = k.put(s, e, keys[i], c.now, k.options.LimitWrites)
		}
		c.out = append(c.out, '{')
		if result.code == "" {
			c.out = result.appendMembers(c.out)
		} else {
			failed++
			c.out = append(c.out, `"ErrorCode":`...)
			c.out = appendQuoted(c.out, []byte(result.code))
			c.out = append(c.out, `,"ErrorMessage":`...)
			c.out = appendQuoted(c.out, []byte(result.message))
		}
		c.out = append(c.out, '}')
	}
	c.out = append(c.out, `],"FailedRecordCount":`...)
	c.out = append(appendInt(c.out, int64(failed)), '}')
	return nil
}

// validate checks the whole request, because nothing is accepted if any part is malformed, and returns the hash keys.
func (r *putRequest) validate(maxRecord int) ([]wide, error) {
	if len(r.entries) == 0 || len(r.entries) > maxEntries {
		return nil, errorf(codeValidation, "Records has %d entries, must have 1 to %d", len(r.entries), maxEntries)
	}
	total := 0
	keys := make([]wide, len(r.entries))
	for i, e := range r.entries {
		if err := e.validate(maxRecord); err != nil {
			return nil, err
		}
		key, err := e.hashKey()
		if err != nil {
			return nil, err
		}
		keys[i] = key
		total += e.bytes()
	}
	if total > maxPutRecordsBytes {
		return nil, errorf(codeInvalidArgument, "Records of %d bytes exceed the limit of %d bytes for a request", total, maxPutRecordsBytes)
	}
	return keys, nil
}
