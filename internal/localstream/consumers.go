package localstream

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// consumer is a registered consumer with enhanced fan-out. Its status is guarded by its stream's lock.
type consumer struct {
	name    string
	second  int64 // of its registration, Unix; part of its ARN
	status  string
	settled time.Time // until when it is CREATING or DELETING

	mu    sync.Mutex
	seats map[*shard]*seat
}

// statusAt returns the ConsumerStatus, or an empty string for a consumer that is gone. The caller holds the stream's lock
// for reading at least.
func (c *consumer) statusAt(now time.Time) string {
	switch {
	case now.Before(c.settled):
		return c.status
	case c.status == statusDeleting:
		return ""
	}
	return statusActive
}

// deregister ends the consumer and its subscriptions. The caller holds the stream's lock.
func (c *consumer) deregister(now time.Time, delay time.Duration, cause *apiError) {
	if c.status != statusDeleting {
		c.status, c.settled = statusDeleting, now.Add(delay)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, held := range c.seats {
		held.vacate(cause)
	}
}

// present returns the consumers of a stream that still exist, by name. The caller holds the lock for reading at least.
func (s *stream) present(now time.Time) []*consumer {
	consumers := slices.Collect(maps.Values(s.consumers))
	consumers = slices.DeleteFunc(consumers, func(c *consumer) bool { return c.statusAt(now) == "" })
	slices.SortFunc(consumers, func(a, b *consumer) int { return strings.Compare(a.name, b.name) })
	return consumers
}

func (k *Kinesis) consumerARN(s *stream, c *consumer) string {
	return k.arn(s.name) + "/consumer/" + c.name + ":" + strconv.FormatInt(c.second, 10)
}

type consumerSummary struct {
	ConsumerName              string
	ConsumerARN               string
	ConsumerStatus            string
	ConsumerCreationTimestamp epoch
}

// summary describes a consumer. The caller holds the stream's lock for reading at least.
func (k *Kinesis) summary(s *stream, c *consumer, now time.Time) consumerSummary {
	return consumerSummary{
		ConsumerName:              c.name,
		ConsumerARN:               k.consumerARN(s, c),
		ConsumerStatus:            c.statusAt(now),
		ConsumerCreationTimestamp: epoch{time.Unix(c.second, 0)},
	}
}

type registerStreamConsumerRequest struct {
	StreamARN    string
	ConsumerName string
}

func (k *Kinesis) registerStreamConsumer(c *call) error {
	var r registerStreamConsumerRequest
	if err := c.decode(&r); err != nil {
		return err
	}
	if !streamName.MatchString(r.ConsumerName) {
		return errorf(codeValidation, "ConsumerName %q does not match %s", r.ConsumerName, streamName)
	}
	s, err := k.lookup(streamRef{StreamARN: r.StreamARN}, c.now)
	if err != nil {
		return err
	}
	if k.creatingConsumers(c.now) >= maxCreatingConsumers {
		return errorf(codeLimitExceeded, "%d consumers under account %s are being created, no more are allowed at a time", maxCreatingConsumers, k.options.Account)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if status := s.statusLocked(c.now); status != statusActive {
		return errorf(codeInUse, "Stream %s under account %s not ACTIVE, instead in state %s", s.name, k.options.Account, status)
	}
	// A reused name must not give a reused ARN, even within a second.
	second := c.now.Unix()
	if old := s.consumers[r.ConsumerName]; old != nil {
		if old.statusAt(c.now) != "" {
			return errorf(codeInUse, "Consumer %s of stream %s under account %s already exists.", old.name, s.name, k.options.Account)
		}
		second = max(second, old.second+1)
	}
	if len(s.present(c.now)) >= maxConsumers {
		return errorf(codeLimitExceeded, "Stream %s under account %s has %d consumers, no more are allowed", s.name, k.options.Account, maxConsumers)
	}
	added := &consumer{
		name: r.ConsumerName, second: second,
		status: statusCreating, settled: c.now.Add(k.options.StatusDelay),
		seats: map[*shard]*seat{},
	}
	if s.consumers == nil {
		s.consumers = map[string]*consumer{}
	}
	s.consumers[added.name] = added
	c.out = appendJSON(c.out, map[string]any{"Consumer": k.summary(s, added, c.now)})
	return nil
}

// creatingConsumers counts the consumers of all streams that are in CREATING.
func (k *Kinesis) creatingConsumers(now time.Time) int {
	count := 0
	for _, s := range k.all(now) {
		s.mu.RLock()
		for _, c := range s.consumers {
			if c.statusAt(now) == statusCreating {
				count++
			}
		}
		s.mu.RUnlock()
	}
	return count
}

// consumerRef is how requests name a consumer: by its ARN, by its name and its stream's ARN, or by all three.
type consumerRef struct {
	StreamARN    string
	ConsumerName string
	ConsumerARN  string
}

// parse returns the stream's ARN and the consumer's name. second is the time in the consumer's ARN, or 0 without one.
func (r consumerRef) parse() (streamARN, name string, second int64, err error) {
	if r.ConsumerARN == "" {
		if r.StreamARN == "" || r.ConsumerName == "" {
			return "", "", 0, errorf(codeInvalidArgument, "Either ConsumerARN, or StreamARN and ConsumerName must be provided")
		}
		return r.StreamARN, r.ConsumerName, 0, nil
	}
	streamARN, rest, ok := strings.Cut(r.ConsumerARN, "/consumer/")
	name, stamp, stamped := strings.Cut(rest, ":")
	second, err = strconv.ParseInt(stamp, 10, 64)
	if !ok || !stamped || err != nil || second <= 0 {
		return "", "", 0, errorf(codeValidation, "ConsumerARN %q is not the ARN of a consumer", r.ConsumerARN)
	}
	if r.StreamARN != "" && r.StreamARN != streamARN || r.ConsumerName != "" && r.ConsumerName != name {
		return "", "", 0, errorf(codeInvalidArgument, "ConsumerARN %s does not agree with StreamARN %q and ConsumerName %q", r.ConsumerARN, r.StreamARN, r.ConsumerName)
	}
	return streamARN, name, second, nil
}

// lookupConsumer calls use with the consumer that a request names, under its stream's lock.
func (k *Kinesis) lookupConsumer(ref consumerRef, now time.Time, use func(*stream, *consumer) error) error {
	streamARN, name, second, err := ref.parse()
	if err != nil {
		return err
	}
	s, err := k.lookup(streamRef{StreamARN: streamARN}, now)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.consumers[name]
	if found == nil || found.statusAt(now) == "" || second != 0 && second != found.second {
		return errorf(codeNotFound, "Consumer %s of stream %s under account %s not found.", name, s.name, k.options.Account)
	}
	return use(s, found)
}

func (k *Kinesis) describeStreamConsumer(c *call) error {
	var r consumerRef
	if err := c.decode(&r); err != nil {
		return err
	}
	return k.lookupConsumer(r, c.now, func(s *stream, found *consumer) error {
		description := struct {
			consumerSummary
			StreamARN string
		}{k.summary(s, found, c.now), k.arn(s.name)}
		c.out = appendJSON(c.out, map[string]any{"ConsumerDescription": description})
		return nil
	})
}

func (k *Kinesis) deregisterStreamConsumer(c *call) error {
	var r consumerRef
	if err := c.decode(&r); err != nil {
		return err
	}
	return k.lookupConsumer(r, c.now, func(s *stream, found *consumer) error {
		found.deregister(c.now, k.options.StatusDelay,
			errorf(codeNotFound, "Consumer %s of stream %s under account %s is deregistered.", found.name, s.name, k.options.Account))
		return nil
	})
}

type listStreamConsumersRequest struct {
	StreamARN               string
	MaxResults              *int
	NextToken               string
	StreamCreationTimestamp *epoch
}

// consumersToken is the content of a NextToken of ListStreamConsumers.
type consumersToken struct {
	Stream        uint64
	AfterConsumer string
	Issued        int64 // Unix milliseconds
}

func (k *Kinesis) listStreamConsumers(c *call) error {
	var r listStreamConsumersRequest
	if err := c.decode(&r); err != nil {
		return err
	}
	size := maxListedConsumers
	if r.MaxResults != nil {
		if *r.MaxResults < 1 || *r.MaxResults > 10_000 {
			return errorf(codeValidation, "MaxResults is %d, must be 1 to 10000", *r.MaxResults)
		}
		size = min(size, *r.MaxResults)
	}
	s, err := k.lookup(streamRef{StreamARN: r.StreamARN}, c.now)
	if err != nil {
		return err
	}
	if r.StreamCreationTimestamp != nil && r.StreamCreationTimestamp.Unix() != s.created.Unix() {
		return errorf(codeNotFound, "Stream %s under account %s created at that time not found.", s.name, k.options.Account)
	}
	from := consumersToken{Stream: s.serial}
	if r.NextToken != "" {
		if from, err = r.continued(s, c.now); err != nil {
			return err
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	answer := struct {
		Consumers []consumerSummary
		NextToken string `json:",omitempty"`
	}{Consumers: []consumerSummary{}}
	for _, listed := range s.present(c.now) {
		if listed.name <= from.AfterConsumer {
			continue
		}
		if len(answer.Consumers) == size {
			from.AfterConsumer, from.Issued = answer.Consumers[size-1].ConsumerName, c.now.UnixMilli()
			answer.NextToken = base64.StdEncoding.EncodeToString(appendJSON(nil, from))
			break
		}
		answer.Consumers = append(answer.Consumers, k.summary(s, listed, c.now))
	}
	c.out = appendJSON(c.out, answer)
	return nil
}

// continued returns the content of the request's token.
func (r listStreamConsumersRequest) continued(s *stream, now time.Time) (consumersToken, error) {
	if r.StreamCreationTimestamp != nil {
		return consumersToken{}, errorf(codeInvalidArgument, "NextToken cannot be provided together with StreamCreationTimestamp.")
	}
	var token consumersToken
	raw, err := base64.StdEncoding.DecodeString(r.NextToken)
	if err != nil || json.Unmarshal(raw, &token) != nil || token.AfterConsumer == "" || token.Stream != s.serial {
		return consumersToken{}, errorf(codeInvalidArgument, "NextToken is invalid.")
	}
	if now.Sub(time.UnixMilli(token.Issued)) > tokenLife {
		return consumersToken{}, errorf(codeExpiredNextToken, "NextToken is older than %d seconds.", int(tokenLife.Seconds()))
	}
	return token, nil
}
