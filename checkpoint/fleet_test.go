package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// ordersFor returns orders for n of a stream's shards, as they are after months of reshards: numbers anywhere, counters of any age.
func ordersFor(n, of int) Orders {
	random := rand.New(rand.NewPCG(1, 2))
	o := Orders{Term: 7, Number: 3}
	for i := range of {
		if random.IntN(of-i) >= n-len(o.Leases) {
			continue
		}
		l := Order{Shard: fmt.Sprintf("shardId-%012d", 40_000+i), Counter: int64(random.IntN(300)), Owner: "consumer-6d4cf56db6-x2x9k-01JDWK3V6P3G"}
		switch random.IntN(20) {
		case 0:
			l.Owner = ""
		case 1:
			l.Away = true
		case 2:
			l.Owner = fmt.Sprintf("consumer-6d4cf56db6-%05d-01JDWK3V6P3G", random.IntN(3))
		}
		o.Leases = append(o.Leases, l)
	}
	return o
}

func TestEncodeOrders_IsSmall(t *testing.T) {
	for _, c := range []struct{ leases, of, most int }{{0, 1, 40}, {50, 10_000, 600}, {50, 50, 400}, {500, 10_000, 4 << 10}, {10_000, 10_000, 100 << 10}} {
		o := ordersFor(c.leases, c.of)
		data, err := EncodeOrders(o)
		must(t, err)
		if len(o.Leases) != c.leases || len(data) > c.most {
			t.Errorf("%d leases of %d shards take %d bytes, want at most %d", len(o.Leases), c.of, len(data), c.most)
		}
		t.Logf("%d leases of %d shards: %d bytes", len(o.Leases), c.of, len(data))
		again, err := EncodeOrders(o)
		must(t, err)
		if !bytes.Equal(data, again) {
			t.Error("the same orders have two encodings")
		}
		got, err := DecodeOrders(data)
		must(t, err)
		if got.Term, got.Number = o.Term, o.Number; !reflect.DeepEqual(got, o) {
			t.Errorf("of %d leases others came back", c.leases)
		}
	}
}

func TestEncodeOrders_RefusesWhatNoItemHolds(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var o Orders
	for range 40_000 { // names that do not compress
		o.Batches = append(o.Batches, Batch{ID: fmt.Sprintf("%016x", random.Uint64())})
	}
	if _, err := EncodeOrders(o); err != nil {
		t.Errorf("orders that an item holds: %v", err)
	}
	for range 20_000 {
		o.Batches = append(o.Batches, Batch{ID: fmt.Sprintf("%016x", random.Uint64())})
	}
	if _, err := EncodeOrders(o); !errors.Is(err, ErrOrdersTooLarge) || !strings.Contains(err.Error(), "0 leases and 60000 batches") {
		t.Errorf("orders that no item holds: %v", err)
	}
}

func TestDecodeOrders_ReadsWhatALaterReleaseAdds(t *testing.T) {
	later := func(v any) []byte {
		data, err := encode(v)
		must(t, err)
		return data
	}
	got, err := DecodeOrders(later(map[string]any{
		"shards": []string{"a", "b"}, "counters": []int{1, 2}, "owners": []string{"", "w"}, "owner": []int{1, 0}, "away": []int{1}, "hints": map[string]int{"a": 1},
		"batches": []any{map[string]any{"batch": "b1", "urgent": true}},
	}))
	want := Orders{Leases: []Order{{Shard: "a", Counter: 1, Owner: "w"}, {Shard: "b", Counter: 2, Away: true}}, Batches: []Batch{{ID: "b1"}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v, want %+v", got, err, want)
	}
	for name, damaged := range map[string]any{
		"no JSON object":    []int{1},
		"a missing counter": map[string]any{"shards": []string{"a"}, "owners": []string{""}, "owner": []int{0}},
		"an unknown owner":  map[string]any{"shards": []string{"a"}, "counters": []int{1}, "owners": []string{""}, "owner": []int{1}},
		"a negative owner":  map[string]any{"shards": []string{"a"}, "counters": []int{1}, "owners": []string{""}, "owner": []int{-1}},
		"no such lease":     map[string]any{"away": []int{0}},
	} {
		if got, err := DecodeOrders(later(damaged)); err == nil {
			t.Errorf("%s: read %+v", name, got)
		}
	}
	if _, err := DecodeOrders([]byte("damage")); err == nil {
		t.Error("damage was read")
	}
}

func TestFleet_IsReadLeniently(t *testing.T) {
	at := time.Date(2026, 11, 3, 17, 4, 5, 678e6, time.FixedZone("CET", 3600))
	full := Fleet{Term: 1 << 60, Number: 1 << 60, Leases: 10_000, Free: 10_000, Trimmed: 10_000, Workers: 10_000, Lost: 10_000,
		Complete: Complete{UpTo: at, At: at, Shards: 10_000, Rewinds: 1000}, Finished: at}
	text, err := EncodeFleet(full)
	must(t, err)
	if len(text) > 500 {
		t.Errorf("a summary takes %d bytes: %s", len(text), text)
	}
	want := full.Normalized()
	if got := DecodeFleet(text); got == nil || *got != want {
		t.Errorf("read %+v, want %+v", got, want)
	}
	for text, want := range map[string]*Fleet{
		`{"term":3,"number":4,"later":[1]}`:  {Term: 3, Number: 4},
		`{"term":3,"number":4,"leases":"x"}`: {Term: 3, Number: 4},
		`{}`:                                 {},
		`[1,2]`:                              nil,
		`gibberish`:                          nil,
		``:                                   nil,
	} {
		if got := DecodeFleet(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read %+v, want %+v", text, got, want)
		}
	}
}

func TestOrders_AfterComparesTheTermFirst(t *testing.T) {
	o := Orders{Term: 5, Number: 5}
	for other, want := range map[[2]int64]bool{{4, 9}: true, {5, 4}: true, {5, 5}: false, {5, 6}: false, {6, 0}: false} {
		if o.After(Orders{Term: other[0], Number: other[1]}) != want {
			t.Errorf("orders 5 of term 5 after %d of term %d: want %t", other[1], other[0], want)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
