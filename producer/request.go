package producer

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// linger is how long a row may wait for its call to fill.
const linger = 100 * time.Millisecond

// request is the records of one call, from neighbouring rows.
type request struct {
	entries []entry
	pending []int  // indices of the entries that are not known to be accepted, rising
	data    []byte // of all entries
	total   load
	shares  map[string]load // by shard, while the request fills; empty without pacing
	// first and last are the numbers of the rows that it covers. Rows between them that are not among its entries are
	// bad ones.
	first, last int64

	records []types.PutRecordsRequestEntry // scratch space of the sender
	loads   map[string]load                // scratch space of the sender
}

// entry is one record of a request.
type entry struct {
	row      int64 // number of the row, from 1
	from, to int   // where its bytes are in the request's data
	key      string
	hash     hashKey
}

func (e *entry) size() int { return e.to - e.from + len(e.key) }

// limits bounds a request.
type limits struct {
	call  load
	share load // of one shard; a single record may be larger
}

func newLimits(maxRecord int, paced bool) limits {
	l := limits{call: load{maxCallRecords, max(defaultCallBytes, maxRecord)}}
	l.share = l.call
	if paced {
		l.share = load{shardRecords / paceShares, shardBytes / paceShares}
	}
	return l
}

// record is a row made ready to be sent. Its data is only lent.
type record struct {
	row   int64
	data  []byte
	key   string
	hash  hashKey
	shard string // "" if it is not known
}

func (r *record) load() load { return load{1, len(r.data) + len(r.key)} }

// fits reports whether the request has room for one more record.
func (q *request) fits(r *record, l limits) bool {
	if len(q.entries) == 0 {
		return true
	}
	if !q.total.plus(r.load()).within(l.call) {
		return false
	}
	share := q.shares[r.shard]
	return share.records == 0 || r.shard == "" || share.plus(r.load()).within(l.share)
}

func (q *request) add(r *record) {
	if len(q.entries) == 0 {
		q.first = r.row
	}
	from := len(q.data)
	q.data = append(q.data, r.data...)
	q.entries = append(q.entries, entry{row: r.row, from: from, to: len(q.data), key: r.key, hash: r.hash})
	q.pending = append(q.pending, len(q.entries)-1)
	q.total = q.total.plus(r.load())
	q.last = r.row
	if r.shard != "" {
		q.shares[r.shard] = q.shares[r.shard].plus(r.load())
	}
}

func (q *request) reset() {
	q.entries, q.pending, q.data, q.total = q.entries[:0], q.pending[:0], q.data[:0], load{}
	clear(q.shares)
}

// packer fills requests and hands them over when they are full or when their first record has waited for linger. It
// owns a fixed number of requests, so that what is in flight is bounded.
type packer struct {
	limits limits
	ready  chan *request // has room for all requests: handing over never waits
	free   chan *request

	mu     sync.Mutex
	open   *request // nil if no record waits
	timer  *time.Timer
	closed bool
}

func newPacker(l limits, requests int) *packer {
	p := &packer{limits: l, ready: make(chan *request, requests), free: make(chan *request, requests)}
	for range requests {
		p.free <- &request{shares: make(map[string]load), loads: make(map[string]load)}
	}
	p.timer = time.AfterFunc(linger, p.flush)
	p.timer.Stop()
	return p
}

// add puts a record into a request. It waits while all requests are in flight, and fails only with its context.
func (p *packer) add(ctx context.Context, r *record) error {
	if p.addToOpen(r) {
		return nil
	}
	p.flush()
	select {
	case q := <-p.free:
		q.reset()
		q.add(r)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.open = q
		p.timer.Reset(linger)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *packer) addToOpen(r *record) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil || !p.open.fits(r, p.limits) {
		return false
	}
	p.open.add(r)
	return true
}

// cover makes the open request answer for a bad row behind its last one. It returns false if no request is open.
func (p *packer) cover(row int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		return false
	}
	p.open.last = row
	return true
}

// flush hands over the open request.
func (p *packer) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil || p.closed {
		return
	}
	p.timer.Stop()
	p.ready <- p.open
	p.open = nil
}

// close ends the requests; one that is still open is not sent.
func (p *packer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer.Stop()
	p.closed = true
	close(p.ready)
}

// giveBack frees a request that is done with.
func (p *packer) giveBack(q *request) { p.free <- q }
