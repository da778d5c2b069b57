package producer

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

func TestPacer_GivesNoShardMoreThanASecondsWorthInAnySecond(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 20 {
		p, now := newPacer(), time.Unix(0, 0)
		type leave struct {
			at   time.Time
			load load
		}
		left := map[string][]leave{}
		for range 400 {
			loads := map[string]load{}
			for range 1 + random.IntN(3) {
				loads[fmt.Sprint(random.IntN(3))] = load{1 + random.IntN(200), 1 + random.IntN(1<<18)}
			}
			at := p.reserve(now, loads)
			if at.Before(now) {
				t.Fatal("leaves in the past")
			}
			for shard, l := range loads {
				left[shard] = append(left[shard], leave{at, l})
			}
			now = now.Add(time.Duration(random.IntN(100)) * time.Millisecond)
		}
		for shard, leaves := range left {
			for _, from := range leaves {
				var second load
				for _, l := range leaves {
					if !l.at.Before(from.at) && l.at.Before(from.at.Add(time.Second)) {
						second = second.plus(l.load)
					}
				}
				if !second.within(shardSecond) {
					t.Fatalf("round %d: shard %s gets %+v in the second from %s", round, shard, second, from.at)
				}
			}
		}
	}
}

func TestPacer_ShardsDoNotWaitForOneAnotherWithoutNeed(t *testing.T) {
	p, now := newPacer(), time.Unix(0, 0)
	full := load{10, shardBytes}
	if at := p.reserve(now, map[string]load{"a": full}); at != now {
		t.Errorf("the first call waits %s", at.Sub(now))
	}
	if at := p.reserve(now, map[string]load{"b": full}); at != now {
		t.Errorf("a call to another shard waits %s", at.Sub(now))
	}
	if at := p.reserve(now, map[string]load{"a": {1, 1}, "c": {1, 1}}); at != now.Add(paceWindow) {
		t.Errorf("a call to a full shard waits %s, want %s", at.Sub(now), paceWindow)
	}
}

func TestPacer_ALargeRecordTakesTheTimeThatTheShardNeedsForIt(t *testing.T) {
	p, now := newPacer(), time.Unix(0, 0)
	if at := p.reserve(now, map[string]load{"a": {1, 10 * shardBytes}}); at != now {
		t.Errorf("it waits %s itself", at.Sub(now))
	}
	if at := p.reserve(now, map[string]load{"a": {1, 1}}); at != now.Add(10*paceWindow) {
		t.Errorf("the next one waits %s, want %s", at.Sub(now), 10*paceWindow)
	}
}

func TestShardMap_FindsTheShardOfEveryKey(t *testing.T) {
	for _, n := range []int{1, 2, 7, 500} {
		m := evenShards(n)
		for i, r := range m {
			for _, key := range []hashKey{r.first, r.last} {
				if got := m.shard(key); got != r.shard {
					t.Errorf("%d shards: an end of range %d belongs to %q", n, i, got)
				}
			}
		}
	}
	// The MD5 of "partitionKey" is 916fb460..., which lies in the third of four quarters.
	if got := evenShards(4).shard(hashOf("partitionKey")); got != "shardId-000000000002" {
		t.Errorf("shard %s", got)
	}
	gap := append(shardMap{}, evenShards(3)[0], evenShards(3)[2])
	if got := gap.shard(evenShards(3)[1].first); got != "" {
		t.Errorf("a key that no shard takes belongs to %s", got)
	}
	if got := (shardMap{}).shard(hashKey{}); got != "" {
		t.Errorf("no shards, and %s has the key", got)
	}
}

func TestHashKey_ParsesNumbersOf128Bits(t *testing.T) {
	var h hashKey
	if err := h.parse("340282366920938463463374607431768211455"); err != nil || h[0] != 0xff || h[15] != 0xff {
		t.Errorf("%x, %v", h, err)
	}
	for _, bad := range []string{"", "-1", "x", new(big.Int).Lsh(big.NewInt(1), 128).String()} {
		if h.parse(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestLedger_TellsTheLastRowBeforeAGap(t *testing.T) {
	l := newLedger(10)
	check := func(wantUpTo, wantBeyond int64) {
		t.Helper()
		if upTo, beyond := l.state(); upTo != wantUpTo || beyond != wantBeyond {
			t.Errorf("settled up to %d and %d beyond, want %d and %d", upTo, beyond, wantUpTo, wantBeyond)
		}
	}
	check(10, 0)
	l.settle(15, 20, 5) // one of them is bad
	check(10, 5)
	l.settle(11, 12, 2)
	check(12, 5)
	l.settle(13, 12, 0) // nothing
	check(12, 5)
	l.settle(13, 14, 2)
	check(20, 0)
	l.settleBehindGap(3)
	check(20, 3)
}

func TestLedger_RowsSettledOneByOneBehindAGapTakeNoRoom(t *testing.T) {
	l := newLedger(0)
	for row := int64(2); row <= 10_000; row++ {
		l.settle(row, row, row%2)
	}
	if len(l.ahead) != 1 {
		t.Errorf("%d stretches", len(l.ahead))
	}
	if upTo, beyond := l.state(); upTo != 0 || beyond != 4999 {
		t.Errorf("settled up to %d and %d beyond", upTo, beyond)
	}
	l.settle(1, 1, 1)
	if upTo, beyond := l.state(); upTo != 10_000 || beyond != 0 {
		t.Errorf("settled up to %d and %d beyond", upTo, beyond)
	}
}

func TestPacker_ACallKeepsEveryLimit(t *testing.T) {
	l := newLimits(DefaultMaxRecordBytes, true)
	small := func(shard string) *record { return &record{data: make([]byte, 10), key: "k", shard: shard} }
	q := func() *request { return &request{shares: map[string]load{}} }

	many := q()
	for i := 0; many.fits(small(fmt.Sprint(i%10)), l); i++ {
		many.add(small(fmt.Sprint(i % 10)))
	}
	if len(many.entries) != 500 {
		t.Errorf("%d records in a call", len(many.entries))
	}
	one := q()
	for one.fits(small("a"), l) {
		one.add(small("a"))
	}
	if len(one.entries) != 125 {
		t.Errorf("%d records of one shard in a call", len(one.entries))
	}
	if !one.fits(small("b"), l) {
		t.Error("a full share keeps others out")
	}
	large := q()
	for i := 0; large.fits(&record{data: make([]byte, 1<<20-1), key: "k", shard: fmt.Sprint(i)}, l); i++ {
		large.add(&record{data: make([]byte, 1<<20-1), key: "k", shard: fmt.Sprint(i)})
	}
	if large.total.bytes != 5<<20 {
		t.Errorf("%d bytes in a call", large.total.bytes)
	}
	huge := q()
	if !huge.fits(&record{data: make([]byte, 10<<20)}, newLimits(maxRecordBytes, true)) {
		t.Error("the largest record does not fit alone")
	}
}

func TestPacker_HandsOverWhatHasWaitedLongEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacker(newLimits(DefaultMaxRecordBytes, false), 2)
		start := time.Now()
		if err := p.add(t.Context(), &record{row: 1, data: []byte("{}"), key: "k"}); err != nil {
			t.Fatal(err)
		}
		q := <-p.ready
		if waited := time.Since(start); waited != linger || len(q.entries) != 1 {
			t.Errorf("%d records after %s", len(q.entries), waited)
		}
		p.giveBack(q)
		p.close()
	})
}
