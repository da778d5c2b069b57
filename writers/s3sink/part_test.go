package s3sink

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/writers/spool"
)

// HTTP reads a part in pieces of any size, and from any offset when a request is retried: some of it is on disk, the rest
// in memory, in chunks.
func TestPart_IsReadTheSameFromEveryOffset(t *testing.T) {
	held := budget.New(64<<20, nil)
	disk, err := spool.New(t.TempDir(), 64<<20, held)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	content := make([]byte, 5*chunkSize+4321)
	for i := range content {
		content[i] = byte(random.Uint32())
	}
	for _, test := range []struct {
		name    string
		spilled int
	}{{"in memory", 0}, {"partly on disk", 2*chunkSize + 1234}, {"on disk", len(content)}} {
		t.Run(test.name, func(t *testing.T) {
			p := newPart(1, held)
			p.append(content[:test.spilled])
			if test.spilled > 0 {
				if err := p.spill(disk); err != nil {
					t.Fatal(err)
				}
			}
			p.append(content[test.spilled:])
			if p.size() != int64(len(content)) || p.onDisk() != int64(test.spilled) {
				t.Fatalf("%d bytes, %d of them on disk, want %d and %d", p.size(), p.onDisk(), len(content), test.spilled)
			}
			for range 1000 {
				off := random.IntN(len(content))
				want := content[off : off+random.IntN(len(content)-off)+1]
				got := make([]byte, len(want))
				if n, err := p.ReadAt(got, int64(off)); n != len(want) || err != nil && err != io.EOF || !bytes.Equal(got, want) {
					t.Fatalf("%d bytes from %d: %d came, %v, equal: %t", len(want), off, n, err, bytes.Equal(got, want))
				}
			}
			p.free()
		})
	}
}

// BenchmarkPart_Append fills parts from more memory than the processor caches, in the pieces in which writers hand it over.
func BenchmarkPart_Append(b *testing.B) {
	held := budget.New(64<<20, nil)
	content := make([]byte, 128<<20)
	const each = 1 << 20
	b.SetBytes(defaultPartSize)
	b.ReportAllocs()
	at := 0
	for b.Loop() {
		p := newPart(1, held)
		for p.size() < defaultPartSize {
			p.append(content[at : at+each])
			at = (at + each) % len(content)
		}
		p.free()
	}
}
