package localstream

import (
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

func (n wide) big() *big.Int {
	value := new(big.Int)
	for _, word := range n {
		value.Lsh(value, 64).Or(value, new(big.Int).SetUint64(word))
	}
	return value
}

func TestWide_AgreesWithBigIntegers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	numbers := []wide{{}, {0, 0, 1}, {0, 1, 0}, maxHashKey, {0, 0, chunk - 1}, {0, 0, chunk}, {0, 0, chunk + 1}}
	for range 2000 {
		// Below 2^188, so that no number has more digits than can be read.
		n := wide{random.Uint64() >> 4, random.Uint64(), random.Uint64()}
		for i := range random.IntN(3) {
			n[i] = 0
		}
		numbers = append(numbers, n)
	}
	for i, n := range numbers {
		text := n.big().String()
		if n.String() != text {
			t.Fatalf("%s is written %s", text, n)
		}
		if read, ok := parseWide(text); !ok || read != n {
			t.Fatalf("%s is read as %s, %t", text, read, ok)
		}
		if up := n.plusOne(); up.big().Cmp(new(big.Int).Add(n.big(), big.NewInt(1))) != 0 || up.minusOne() != n {
			t.Fatalf("%s plus one is %s, and back %s", text, up, up.minusOne())
		}
		other := numbers[(i*7+3)%len(numbers)]
		if n.compare(other) != n.big().Cmp(other.big()) {
			t.Fatalf("%s against %s is %d", n, other, n.compare(other))
		}
	}
}

func TestParseWide_RefusesWhatIsNoNumber(t *testing.T) {
	for _, text := range []string{"", "00", "01", "-1", "+1", "1e3", " 1", "12x", strings.Repeat("9", maxDigits+1)} {
		if n, ok := parseWide(text); ok {
			t.Errorf("%q is read as %s", text, n)
		}
	}
}

func TestHashBoundary_DividesTheRingEvenly(t *testing.T) {
	whole := new(big.Int).Lsh(big.NewInt(1), 128)
	for _, parts := range []int{1, 2, 3, 7, 100, maxShards} {
		for i := range parts {
			documented := new(big.Int).Div(new(big.Int).Mul(whole, big.NewInt(int64(i))), big.NewInt(int64(parts)))
			if met := hashBoundary(i, parts).big(); met.Cmp(documented) != 0 {
				t.Fatalf("part %d of %d begins at %s, not at %s", i, parts, met, documented)
			}
		}
	}
}

func TestSequence_IsTakenApartAsItWasMade(t *testing.T) {
	stamps := []shardStamp{{}, {second: 1_790_000_000, index: 3}, {second: 1<<36 - 1, index: maxShardIndex}}
	for _, stamp := range stamps {
		for _, ordinal := range []uint64{0, 1, 1 << 43, 1 << 44, 1<<64 - 1} {
			n := stamp.sequence(ordinal)
			if text := n.String(); len(text) != 56 || text[0] < '4' {
				t.Errorf("%+v at %d is %s", stamp, ordinal, text)
			}
			met, at, ok := splitSequence(n)
			if !ok || met != stamp || at != ordinal {
				t.Errorf("%s is parsed as %+v, %d, %t", n, met, at, ok)
			}
		}
	}
	for _, foreign := range []wide{{}, {0, 0, 2}, maxHashKey, stamps[1].sequence(1).plusOne()} {
		if _, _, ok := splitSequence(foreign); ok {
			t.Errorf("%s passes for a sequence number", foreign)
		}
	}
}

func TestSequence_GrowsWithTheOrdinalWhateverTheShard(t *testing.T) {
	for _, ordinal := range []uint64{0, 1<<44 - 1, 1 << 50} {
		low := shardStamp{second: 1_790_000_000, index: maxShardIndex}.sequence(ordinal)
		high := shardStamp{second: 1_790_000_000, index: 0}.sequence(ordinal + 1)
		if low.compare(high) >= 0 {
			t.Errorf("ordinal %d: %s is not below %s", ordinal, low, high)
		}
	}
}
