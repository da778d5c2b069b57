package producer

import "sync"

// ledger tells up to which row everything is settled, that is sent, or bad and reported. Calls end in any order.
type ledger struct {
	mu     sync.Mutex
	upTo   int64
	ahead  map[int64]stretch // by first row: settled, with a gap before it
	newest int64             // first row of the stretch that was booked last
	beyond int64             // sent behind a row that was given up
}

// stretch is a run of settled rows.
type stretch struct{ last, sent int64 }

func newLedger(upTo int64) *ledger { return &ledger{upTo: upTo, ahead: make(map[int64]stretch)} }

// settle books the rows from first to last, of which sent were sent and the others are bad.
func (l *ledger) settle(first, last, sent int64) {
	if last < first {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// Bad rows come one by one, and a file may be full of them while a call is under way: they make one stretch.
	if s, ok := l.ahead[l.newest]; ok && s.last+1 == first {
		l.ahead[l.newest] = stretch{last, s.sent + sent}
	} else {
		l.ahead[first] = stretch{last, sent}
		l.newest = first
	}
	for {
		s, ok := l.ahead[l.upTo+1]
		if !ok {
			return
		}
		delete(l.ahead, l.upTo+1)
		l.upTo = s.last
	}
}

// settleBehindGap books rows that were sent behind one that never will be.
func (l *ledger) settleBehindGap(sent int64) {
	l.mu.Lock()
	l.beyond += sent
	l.mu.Unlock()
}

// state returns the last row up to which all are settled, and the number of rows that were sent behind it.
func (l *ledger) state() (upTo, beyond int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	beyond = l.beyond
	for _, s := range l.ahead {
		beyond += s.sent
	}
	return l.upTo, beyond
}
