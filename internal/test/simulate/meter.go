package simulate

import (
	"maps"
	"strings"
	"sync"
)

// Tally is what calls of one kind cost.
type Tally struct {
	Calls       int64
	Refused     int64 // throttled
	Read, Write float64
}

func (t Tally) plus(o Tally, sign int64) Tally {
	return Tally{
		Calls: t.Calls + sign*o.Calls, Refused: t.Refused + sign*o.Refused,
		Read: t.Read + float64(sign)*o.Read, Write: t.Write + float64(sign)*o.Write,
	}
}

// Counts are tallies by operation and kind of item, such as "PutItem #worker".
type Counts map[string]Tally

// since returns what was counted after an earlier time.
func (c Counts) since(before Counts) Counts {
	d := make(Counts)
	for kind, t := range c {
		if t = t.plus(before[kind], -1); t.Calls > 0 {
			d[kind] = t
		}
	}
	return d
}

// delivers reports whether calls of a kind deliver records, rather than share the shards: commits, and what happens to the
// batches that they put into the outbox.
func delivers(kind string) bool {
	return strings.HasPrefix(kind, "TransactWriteItems") || strings.HasSuffix(kind, " #batch")
}

// sum adds up the calls of the table, without those that deliver records, or only those.
func (c Counts) sum(delivering bool) (sum Tally) {
	for kind, t := range c {
		if delivers(kind) == delivering && !strings.HasPrefix(kind, streamCalls) {
			sum = sum.plus(t, 1)
		}
	}
	return sum
}

// streamCalls begins the kinds of the calls of Kinesis.
const streamCalls = "Kinesis "

// meter counts calls.
type meter struct {
	mu     sync.Mutex
	counts Counts
}

func (m *meter) add(kind string, t Tally) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counts == nil {
		m.counts = make(Counts)
	}
	m.counts[kind] = m.counts[kind].plus(t, 1)
}

// read returns the counts so far.
func (m *meter) read() Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.counts)
}
