package localstream

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options configure a Kinesis. The zero value has AWS's sizes, no rate limits, and 512 MiB for records.
type Options struct {
	// Region and Account appear in ARNs. Defaults: us-east-1 and 123456789012.
	Region, Account string
	// Clock returns the time for arrival, retention, iterators, rate limits, StatusDelay and SubscribeInterval. Default:
	// time.Now. The life, idling and pacing of subscriptions use real time.
	Clock func() time.Time
	// MaxBytes is the maximum memory for records, including keys and bookkeeping. Default 512 MiB, minimum 1 MiB. It must
	// be larger than any record.
	MaxBytes int64
	// WhenFull says what happens to a put that does not fit in MaxBytes. Default: KeepUnread.
	WhenFull Policy
	// LimitReads and LimitWrites apply the limits of the service: per shard, 5 GetRecords and 2 MiB per second for reads,
	// 1000 records and 1 MiB per second for writes; per shard and consumer with enhanced fan-out, one SubscribeToShard
	// and 2 MiB per second, the latter by pacing its events.
	LimitReads, LimitWrites bool
	// StatusDelay is how long a stream stays in CREATING, UPDATING or DELETING. With the default, 0, callers need not
	// wait. Resharding itself takes effect at once.
	StatusDelay time.Duration
	// SubscriptionLife is how long a SubscribeToShard lasts. Default 5 minutes, as in the service.
	SubscriptionLife time.Duration
	// SubscribeInterval is how long after a successful SubscribeToShard another one for the same consumer and shard is
	// refused with ResourceInUseException, whether or not the first is still running; later ones take over. Default 5
	// seconds, as in the service. If SubscriptionLife is shorter, a client that renews its subscription is refused.
	SubscribeInterval time.Duration
	// FanOutIdle is the time without a record after which a subscription gets an empty event. Default 5 seconds.
	FanOutIdle time.Duration
	// Faults are injected into calls by HTTP.
	Faults *Faults
}

// Policy says which records may be dropped before the retention period when memory is short. It never drops more than
// necessary, and drops the oldest first.
type Policy int

const (
	// KeepUnread drops records only after a reader has moved past them: it presented the NextShardIterator of the answer
	// that held them, or received the last answer of a closed shard. A subscription has moved past the records before the
	// sequence number that it began with, and past records after which at least 8 MiB were written, because less may be
	// in flight when a connection breaks. The reader that is furthest ahead counts. Puts that do not fit are throttled,
	// which holds a producer back until the reader catches up. They also end subscriptions that have written everything
	// but still hold records, so that their clients return with a sequence number.
	KeepUnread Policy = iota
	// KeepUnreleased drops only what Release has named, for readers that may return to an earlier position.
	KeepUnreleased
	// TrimOldest drops the oldest records whether read or not, like a shorter retention period. No put is refused.
	TrimOldest
)

const (
	defaultMaxBytes = 512 << 20
	leastMaxBytes   = 1 << 20

	defaultSubscriptionLife  = 5 * time.Minute
	defaultSubscribeInterval = 5 * time.Second
	defaultFanOutIdle        = 5 * time.Second
)

// Kinesis is an http.Handler that answers like the Kinesis API. It is safe for concurrent use.
type Kinesis struct {
	options Options
	budget  *budget
	ordinal atomic.Uint64
	request atomic.Uint64
	done    chan struct{} // closed to give up late answers

	mu       sync.RWMutex
	serial   uint64
	streams  map[string]*stream
	bySerial map[uint64]*stream
}

// New returns a Kinesis without streams.
func New(options Options) (*Kinesis, error) {
	if options.MaxBytes == 0 {
		options.MaxBytes = defaultMaxBytes
	}
	if options.MaxBytes < leastMaxBytes {
		return nil, fmt.Errorf("new local Kinesis: MaxBytes %d: want %d or more", options.MaxBytes, leastMaxBytes)
	}
	if options.Clock == nil {
		options.Clock = time.Now
	}
	options.SubscriptionLife = cmp.Or(options.SubscriptionLife, defaultSubscriptionLife)
	options.SubscribeInterval = cmp.Or(options.SubscribeInterval, defaultSubscribeInterval)
	options.FanOutIdle = cmp.Or(options.FanOutIdle, defaultFanOutIdle)
	if options.Region == "" {
		options.Region = "us-east-1"
	}
	if options.Account == "" {
		options.Account = "123456789012"
	}
	return &Kinesis{
		options:  options,
		budget:   newBudget(options.MaxBytes, options.WhenFull),
		done:     make(chan struct{}),
		streams:  map[string]*stream{},
		bySerial: map[uint64]*stream{},
	}, nil
}

func (k *Kinesis) now() time.Time { return k.options.Clock() }

func (k *Kinesis) nextOrdinal() uint64 { return k.ordinal.Add(1) }

func (k *Kinesis) arn(name string) string {
	return "arn:aws:kinesis:" + k.options.Region + ":" + k.options.Account + ":stream/" + name
}

// streamRef is how requests name a stream: by name, by ARN or by both.
type streamRef struct {
	StreamName string
	StreamARN  string
}

var streamName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)

// name returns the name of the stream.
func (r streamRef) name() (string, error) {
	name := r.StreamName
	if r.StreamARN != "" {
		resource := strings.SplitN(r.StreamARN, ":", 6)
		if len(resource) != 6 || resource[0] != "arn" || resource[2] != "kinesis" || !strings.HasPrefix(resource[5], "stream/") {
			return "", errorf(codeValidation, "StreamARN %q is not the ARN of a stream", r.StreamARN)
		}
		fromARN := strings.TrimPrefix(resource[5], "stream/")
		if name != "" && name != fromARN {
			return "", errorf(codeInvalidArgument, "StreamName %q and StreamARN %q name different streams", name, r.StreamARN)
		}
		name = fromARN
	}
	if name == "" {
		return "", errorf(codeInvalidArgument, "Either StreamName or StreamARN must be provided")
	}
	if !streamName.MatchString(name) {
		return "", errorf(codeValidation, "StreamName %q does not match %s", name, streamName)
	}
	return name, nil
}

// lookup returns the stream that a request names.
func (k *Kinesis) lookup(ref streamRef, now time.Time) (*stream, error) {
	name, err := ref.name()
	if err != nil {
		return nil, err
	}
	k.mu.RLock()
	s := k.streams[name]
	k.mu.RUnlock()
	if s == nil || k.reap(s, now) {
		return nil, errorf(codeNotFound, "Stream %s under account %s not found.", name, k.options.Account)
	}
	return s, nil
}

// reap removes a stream whose deletion is due and reports whether it is gone.
func (k *Kinesis) reap(s *stream, now time.Time) bool {
	s.mu.RLock()
	due := s.status == statusDeleting && !now.Before(s.settled)
	s.mu.RUnlock()
	if !due {
		return false
	}
	k.mu.Lock()
	_, there := k.bySerial[s.serial]
	if there {
		delete(k.bySerial, s.serial)
		delete(k.streams, s.name)
	}
	k.mu.Unlock()
	if there {
		k.forget(s)
	}
	return true
}

// forget releases the memory of a removed stream.
func (k *Kinesis) forget(s *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range s.shards {
		k.budget.forget(sh)
	}
	s.open = nil
}

// all returns the streams that exist, in no order.
func (k *Kinesis) all(now time.Time) []*stream {
	k.mu.RLock()
	streams := make([]*stream, 0, len(k.streams))
	for _, s := range k.streams {
		streams = append(streams, s)
	}
	k.mu.RUnlock()
	kept := streams[:0]
	for _, s := range streams {
		if !k.reap(s, now) {
			kept = append(kept, s)
		}
	}
	return kept
}

// asAPIError returns the API error in err; any other error is a fault of this package and becomes an internal failure.
func asAPIError(err error) *apiError {
	var api *apiError
	if errors.As(err, &api) {
		return api
	}
	return internalFailure(err.Error())
}
