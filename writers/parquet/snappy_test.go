package parquet

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/s2"
)

// snappyInputs have all lengths around the encoder's limits and all kinds of bytes: equal, random, digits, and
// repetitions of every length and distance.
func snappyInputs() (list [][]byte) {
	r := rand.New(rand.NewPCG(3, 5))
	lengths := []int{snappyFragment - 1, snappyFragment, snappyFragment + 1, 3*snappyFragment + 17, 1 << 20}
	for n := range 100 {
		lengths = append(lengths, n)
	}
	for _, n := range lengths {
		random, digits, parts := make([]byte, n), make([]byte, n), make([]byte, 0, n+200)
		for i := range n {
			random[i], digits[i] = byte(r.Uint32()), byte('0'+r.IntN(10))
		}
		for len(parts) < n {
			if size := 1 + r.IntN(150); len(parts) > size && r.IntN(2) == 0 {
				from := r.IntN(len(parts) - size)
				parts = append(parts, parts[from:from+size]...)
			} else {
				parts = append(parts, random[:min(size, n)]...)
			}
		}
		list = append(list, random, digits, parts[:n], bytes.Repeat([]byte{7}, n))
	}
	return list
}

func TestSnappy_IsReadByOtherImplementations(t *testing.T) {
	var e snappyEncoder
	for _, in := range snappyInputs() {
		checkSnappy(t, &e, in)
	}
}

func checkSnappy(t *testing.T, e *snappyEncoder, in []byte) {
	t.Helper()
	out := e.encode(nil, in)
	for name, decode := range map[string]func(dst, src []byte) ([]byte, error){"golang/snappy": snappy.Decode, "s2": s2.Decode} {
		back, err := decode(nil, out)
		if err != nil || !bytes.Equal(back, in) {
			t.Fatalf("%s does not restore %d bytes: %v", name, len(in), err)
		}
	}
}

// The output must not depend on earlier output, nor on the memory.
func TestSnappy_SameBytesGiveTheSame(t *testing.T) {
	var used snappyEncoder
	memory := bytes.Repeat([]byte{0xff}, 3<<20)
	for _, in := range snappyInputs() {
		var fresh snappyEncoder
		if want := fresh.encode(nil, in); !bytes.Equal(used.encode(memory, in), want) {
			t.Fatalf("%d bytes come out otherwise from an encoder that was used", len(in))
		}
	}
}

func TestSnappy_IsTighterThanWithHalfTheTable(t *testing.T) {
	var e snappyEncoder
	var text []byte
	for _, line := range streams[0].lines(4 << 20) {
		text = append(text, line...)
	}
	if ours, theirs := len(e.encode(nil, text)), len(snappy.Encode(nil, text)); ours > theirs*99/100 {
		t.Errorf("taxi lines take %d bytes, and %d from golang/snappy", ours, theirs)
	}
}

func FuzzSnappy(f *testing.F) {
	for _, in := range snappyInputs()[20:100] { // short ones, of which many a second are tried
		f.Add(in, uint8(3))
	}
	var e snappyEncoder
	f.Fuzz(func(t *testing.T, in []byte, times uint8) { checkSnappy(t, &e, bytes.Repeat(in, int(times%64))) })
}

// BenchmarkSnappy compresses pages of the taxi trips' long text.
func BenchmarkSnappy(b *testing.B) {
	var page []byte
	for _, line := range streams[0].lines(1 << 20) {
		page = append(page, line...)
	}
	var e snappyEncoder
	for name, encode := range map[string]func(dst, src []byte) []byte{"ours": e.encode, "golang": snappy.Encode} {
		b.Run(name, func(b *testing.B) {
			dst := make([]byte, snappy.MaxEncodedLen(len(page)))
			b.SetBytes(int64(len(page)))
			n := 0
			for b.Loop() {
				n = len(encode(dst, page))
			}
			b.ReportMetric(float64(n)/float64(len(page)), "out/in")
		})
	}
}
