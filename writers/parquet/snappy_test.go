package parquet

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

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

// On long text, the encoder is worth its code: by size, as speed is for the benchmark.
func TestSnappy_IsTighterOnLongText(t *testing.T) {
	var e snappyEncoder
	page := textPage(4 << 20)
	if ours, s2s, others := len(e.encode(nil, page)), len(s2.EncodeSnappy(nil, page)), len(snappy.Encode(nil, page)); ours > s2s*9/10 || ours > others*98/100 {
		t.Errorf("%d bytes, %d from s2 and %d from golang/snappy", ours, s2s, others)
	}
}

// textPage has lines of the taxi trips, most of whose bytes are in one text.
func textPage(size int) (page []byte) { return bytes.Join(streams[0].lines(size), nil) }

// shortPage has texts of two to thirty bytes.
func shortPage(size int) (page []byte) {
	r := rand.New(rand.NewPCG(3, 5))
	for len(page) < size {
		page = fmt.Appendf(page, "\x08\x00\x00\x00u%07d\x10\x00\x00\x00%016x\x1b\x00\x00\x00https://example.com/p/%05d\x02\x00\x00\x00DE", r.IntN(3000000), r.Uint64(), r.IntN(5000))
	}
	return page
}

func FuzzSnappy(f *testing.F) {
	for _, in := range snappyInputs()[20:100] { // short ones, of which many a second are tried
		f.Add(in, uint8(3))
	}
	var e snappyEncoder
	f.Fuzz(func(t *testing.T, in []byte, times uint8) { checkSnappy(t, &e, bytes.Repeat(in, int(times%64))) })
}

// BenchmarkSnappy compresses pages of long and of short texts with the encoders that there are, in turns. CPU time, the least of all turns,
// is what counts.
func BenchmarkSnappy(b *testing.B) {
	var e snappyEncoder
	encoders := []struct {
		name   string
		encode func(dst, src []byte) []byte
	}{{"own", e.encode}, {"s2", s2.EncodeSnappy}, {"golang", snappy.Encode}}
	for name, page := range map[string][]byte{"long": textPage(8 << 20), "short": shortPage(8 << 20)} {
		b.Run(name, func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			dst := make([]byte, snappy.MaxEncodedLen(len(page)))
			least, size := make([]time.Duration, len(encoders)), make([]int, len(encoders))
			for turn := 0; b.Loop(); turn++ {
				for i, c := range encoders {
					began := cpuTime(b)
					size[i] = len(c.encode(dst, page))
					if took := cpuTime(b) - began; turn == 0 || took < least[i] {
						least[i] = took
					}
				}
			}
			for i, c := range encoders {
				b.ReportMetric(float64(len(page))/1e6/least[i].Seconds(), c.name+"-MB/s")
				b.ReportMetric(float64(size[i])/float64(len(page)), c.name+"-out/in")
			}
		})
	}
}
