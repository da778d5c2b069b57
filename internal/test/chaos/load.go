package chaos

import (
	"context"
	"crypto/md5"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/recordtest"
)

// place is where a user record belongs.
type place string

const (
	inData  place = "data"
	inError place = "error"
)

// idPattern finds the id of a record in a payload of any form.
var idPattern = regexp.MustCompile(`chaos-\d{9}`)

// load sends numbered records and records which of them the stream has accepted.
type load struct {
	client *kinesis.Client
	stream string
	rate   int  // Kinesis records per second
	tidy   bool // no undeliverable records
	dice   *dice
	grows  time.Duration // records get another member each time it has passed; 0 for never
	began  time.Time

	mu       sync.Mutex
	next     int
	accepted map[string]place
	entries  int // Kinesis records accepted
	refused  int // answers that refused an entry
}

// parcel is one Kinesis record with the user records in it.
type parcel struct {
	entry types.PutRecordsRequestEntry
	holds map[string]place
}

// run sends until ctx ends, and resends refused entries. An error means that it is unknown what was accepted, so the run proves
// nothing.
func (l *load) run(ctx context.Context) error {
	const every = 100 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	l.began = time.Now()
	sent := 0
	var waiting []parcel
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		due := int(time.Since(l.began).Seconds()*float64(l.rate)) - sent
		for range min(due, 200) {
			waiting = append(waiting, l.parcel())
			sent++
		}
		var err error
		if waiting, err = l.put(waiting); err != nil {
			return err
		}
	}
}

// put sends up to 500 parcels and returns those that are still to be sent.
func (l *load) put(parcels []parcel) ([]parcel, error) {
	if len(parcels) == 0 {
		return nil, nil
	}
	batch, rest := parcels[:min(len(parcels), 500)], parcels[min(len(parcels), 500):]
	in := &kinesis.PutRecordsInput{StreamName: aws.String(l.stream)}
	for _, p := range batch {
		in.Records = append(in.Records, p.entry)
	}
	// Not cancelled when sending ends: the answer must not be lost, and the request must not be repeated.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := l.client.PutRecords(ctx, in, func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} })
	if err != nil {
		return nil, fmt.Errorf("send records: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var again []parcel
	for i, result := range out.Records {
		if result.ErrorCode != nil {
			l.refused++
			again = append(again, batch[i])
			continue
		}
		l.entries++
		for id, where := range batch[i].holds {
			l.accepted[id] = where
		}
	}
	return append(again, rest...), nil
}

// parcel makes the next Kinesis record: mostly one user record, sometimes many, sometimes none that can be delivered.
func (l *load) parcel() parcel {
	key := fmt.Sprintf("key-%d", l.dice.below(1_000_000))
	p := parcel{holds: map[string]place{}}
	var data []byte
	switch n := l.dice.below(100); {
	case n < 70 || l.tidy && n >= 90:
		data = l.object(p.holds, l.dice.below(300))
	case n < 90:
		data = l.aggregate(p.holds, key)
	case n < 92:
		data = l.object(p.holds, 20_000+l.dice.below(60_000))
	case n < 96:
		data = l.broken(p.holds)
	case n < 98:
		data = []byte(l.id(p.holds, inError) + " is no JSON")
	default:
		data = l.corrupt(p.holds)
	}
	p.entry = types.PutRecordsRequestEntry{Data: data, PartitionKey: aws.String(key)}
	return p
}

func (l *load) id(holds map[string]place, where place) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	id := fmt.Sprintf("chaos-%09d", l.next)
	holds[id] = where
	return id
}

func (l *load) object(holds map[string]place, padding int) []byte {
	return fmt.Appendf(nil, `{"id":%q,"padding":%q%s}`, l.id(holds, inData), strings.Repeat("x", padding), l.members())
}

// members are those that records have by now.
func (l *load) members() string {
	var b strings.Builder
	if l.grows > 0 {
		for n := range int(time.Since(l.began) / l.grows) {
			fmt.Fprintf(&b, `,"extra%d":%d`, n+1, n)
		}
	}
	return b.String()
}

// broken is an object that ends too early.
func (l *load) broken(holds map[string]place) []byte {
	return fmt.Appendf(nil, `{"id":%q,"padding":`, l.id(holds, inError))
}

// aggregate is a KPL aggregate of several user records, one of which may be undeliverable.
func (l *load) aggregate(holds map[string]place, key string) []byte {
	records := make([]record.Record, 2+l.dice.below(7))
	bad := l.dice.below(10 * len(records))
	for i := range records {
		records[i].PartitionKey = key
		if i == bad && !l.tidy {
			records[i].Data = l.broken(holds)
			continue
		}
		records[i].Data = l.object(holds, l.dice.below(100))
	}
	return recordtest.AppendAggregate(nil, records)
}

// corrupt has the magic number and the checksum of an aggregate, but invalid contents.
func (l *load) corrupt(holds map[string]place) []byte {
	message := []byte(l.id(holds, inError) + " is no protobuf")
	sum := md5.Sum(message)
	return append(append([]byte("\xf3\x89\x9a\xc2"), message...), sum[:]...)
}

// ledger is a copy of what was accepted.
func (l *load) ledger() map[string]place {
	l.mu.Lock()
	defer l.mu.Unlock()
	accepted := make(map[string]place, len(l.accepted))
	for id, where := range l.accepted {
		accepted[id] = where
	}
	return accepted
}

func (l *load) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.accepted)
}
