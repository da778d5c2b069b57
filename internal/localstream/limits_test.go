package localstream

import (
	"testing"
	"time"
)

func TestWriteLimit_HoldsAShardToItsRate(t *testing.T) {
	begin := time.Unix(1_790_000_000, 0)
	tests := []struct {
		name          string
		bytes, offers int
		every         time.Duration
		taken         int
	}{
		{"records at once", 10, 1500, 0, 1000},
		{"bytes at once", 256 << 10, 10, 0, 4},
		{"records at the rate", 10, 3000, time.Millisecond, 3000},
		{"twice the rate of records", 10, 4000, 500 * time.Microsecond, 2999},
		{"a record above a second's bytes, and one behind it", 5 << 20, 2, time.Second, 1},
		{"a record above a second's bytes after a rest", 5 << 20, 2, 5 * time.Second, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var limit writeLimit
			taken := 0
			for i := range test.offers {
				if limit.take(begin.Add(time.Duration(i)*test.every), test.bytes) {
					taken++
				}
			}
			if taken != test.taken {
				t.Errorf("%d of %d taken, not %d", taken, test.offers, test.taken)
			}
		})
	}
}

func TestReadLimit_HoldsAShardToItsRate(t *testing.T) {
	begin := time.Unix(1_790_000_000, 0)
	type answer struct {
		at      time.Duration
		bytes   int
		allowed bool
	}
	tests := map[string][]answer{
		"the sixth call of a second": {
			{0, 0, true}, {0, 0, true}, {100 * time.Millisecond, 0, true}, {200 * time.Millisecond, 0, true}, {300 * time.Millisecond, 0, true},
			{999 * time.Millisecond, 0, false}, {time.Second, 0, true}, {time.Second, 0, true}, {time.Second, 0, false},
		},
		"five seconds after 10 MiB": {
			{0, 10 << 20, true}, {time.Second, 0, false}, {4900 * time.Millisecond, 0, false}, {5 * time.Second, 0, true},
		},
		"a second's bytes in pieces": {
			{0, 1 << 20, true}, {0, 1 << 20, true}, {0, 1, true}, {0, 0, false}, {900 * time.Millisecond, 0, false}, {1100 * time.Millisecond, 0, true},
		},
	}
	for name, answers := range tests {
		t.Run(name, func(t *testing.T) {
			var limit readLimit
			for i, a := range answers {
				allowed := limit.allow(begin.Add(a.at))
				if allowed != a.allowed {
					t.Fatalf("call %d after %s: allowed %t", i, a.at, allowed)
				}
				if allowed {
					limit.answered(begin.Add(a.at), a.bytes)
				}
			}
		})
	}
}

func TestIterator_IsReadBackAndNothingElseIs(t *testing.T) {
	it := iterator{stream: 3, shard: 7, next: 1 << 60, issued: 1_790_000_000_123, continued: true}
	text := string(it.append(nil))
	if read, ok := parseIterator(text); !ok || read != it {
		t.Fatalf("read back as %+v, %t", read, ok)
	}
	for i := range text {
		forged := []byte(text)
		forged[i] ^= 1
		if read, ok := parseIterator(string(forged)); ok {
			t.Errorf("%s passes as %+v", forged, read)
		}
	}
}
