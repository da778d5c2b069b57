package checkpoint

import "testing"

func TestLeaseDigest_IsOfShardsAndCounters(t *testing.T) {
	a, b := Lease{Shard: "a", Counter: 1}, Lease{Shard: "b", Counter: 2}
	digest := LeaseDigest([]Lease{a, b})
	if LeaseDigest([]Lease{b, a}) != digest {
		t.Error("the order matters")
	}
	for name, other := range map[string][]Lease{
		"one less":        {a},
		"one more":        {a, b, {Shard: "c"}},
		"another counter": {a, {Shard: "b", Counter: 3}},
		"another shard":   {a, {Shard: "c", Counter: 2}},
		"none":            nil,
	} {
		if LeaseDigest(other) == digest {
			t.Errorf("%s: the digest is the same", name)
		}
	}
}
