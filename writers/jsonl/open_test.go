package jsonl_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/golang/snappy"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers/jsonl"
)

// noise is a payload of n incompressible bytes.
func noise(n int) []byte {
	b := make([]byte, n)
	source := rand.NewChaCha8([32]byte{1})
	for i := 0; i < n; i += 8 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], source.Uint64())
		copy(b[i:], word[:])
	}
	return b
}

// samples are files with chunks of all kinds: many small records, some incompressible, and one record larger than every
// chunk.
func samples(t testing.TB, compression jsonl.Compression) (file, plain []byte) {
	t.Helper()
	layout := newFormat(t, jsonl.Config{Compression: compression, BlockSize: 128 << 10, Append: jsonl.AppendPayloadLine}).NewLayout()
	file = append(file, layout.Begin()...)
	block := layout.NewBlock()
	for i, data := range [][]byte{trip(1).Data, trip(2).Data, noise(200 << 10), trip(3).Data, bytes.Repeat([]byte("abc"), 400_000), {}, noise(1)} {
		if err := block.Append(&record.Record{Data: data}); err != nil {
			t.Fatal(err)
		}
		plain = append(append(plain, data...), '\n')
		if !block.Full() && i < 6 {
			continue
		}
		encoded, err := block.Encode()
		if err != nil {
			t.Fatal(err)
		}
		placed, err := layout.Place(encoded)
		if err != nil {
			t.Fatal(err)
		}
		file = append(file, placed...)
		encoded.Release()
		block = layout.NewBlock()
	}
	end, err := layout.End()
	if err != nil {
		t.Fatal(err)
	}
	return append(file, end...), plain
}

func open(file io.Reader) ([]byte, error) {
	r, err := jsonl.Open(file)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestOpen_ReadsWhatWasWritten(t *testing.T) {
	for _, compression := range compressions {
		file, plain := samples(t, compression)
		for name, r := range map[string]io.Reader{
			"at once": bytes.NewReader(file), "in small pieces": iotest.HalfReader(bytes.NewReader(file)),
			"file behind file": bytes.NewReader(append(file[:len(file):len(file)], file...)),
		} {
			want := plain
			if name == "file behind file" {
				want = append(plain[:len(plain):len(plain)], plain...)
			}
			if got, err := open(r); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s %s: %d bytes, %v, want %d", compression, name, len(got), err, len(want))
			}
		}
	}
}

func TestOpen_TakesAnEmptyFileForPlain(t *testing.T) {
	if got, err := open(bytes.NewReader(nil)); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
}

// A truncated file must not pass as a short one, wherever in a block it is cut. Hadoop's and xerial's framings have no
// end marker: a cut between blocks cannot be detected.
func TestOpen_TellsACutOffFile(t *testing.T) {
	for _, compression := range compressions[1:] {
		file, plain := samples(t, compression)
		for _, cut := range []int{1, 3, 5, 1000, len(file) / 2} {
			got, err := open(bytes.NewReader(file[:len(file)-cut]))
			if err == nil && len(got) != len(plain) {
				t.Errorf("%s without its last %d bytes: %d bytes and no error", compression, cut, len(got))
			}
		}
	}
}

func TestOpen_RefusesChunksThatAreTooLargeOrNotWhatTheySay(t *testing.T) {
	const xerial = "\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"
	block := func(n int) string { return string(snappy.Encode(nil, make([]byte, n))) }
	size := func(n int) string { return string(binary.BigEndian.AppendUint32(nil, uint32(n))) }
	for name, file := range map[string]string{
		"xerial length of 4 GiB":         xerial + size(1<<32-1),
		"xerial block that opens to 2 G": xerial + size(9) + string(binary.AppendUvarint(nil, 2<<30)) + "\x00\x00\x00\x00",
		"xerial block of noise":          xerial + size(5) + "noise",
		"xerial header cut off":          xerial[:12],
		"hadoop chunk of 4 GiB":          size(100) + size(1<<32-1),
		"hadoop block too long":          size(10) + size(len(block(20))) + block(20) + size(1),
		"hadoop block without chunks":    size(10),
		"zip entry with a password":      "PK\x03\x04\x14\x00\x01\x00\x08\x00" + strings.Repeat("\x00", 20) + "\x03\x00",
		"zip entry of another method":    "PK\x03\x04\x14\x00\x00\x00\x0c\x00" + strings.Repeat("\x00", 20) + "BZh9",
		"zip entry of another checksum":  "PK\x03\x04\x14\x00\x00\x00\x08\x00" + "\x00\x00\x00\x00\x01" + strings.Repeat("\x00", 15) + "\x03\x00",
		"zip entry without its sizes":    "PK\x03\x04\x14\x00\x08\x00\x08\x00" + strings.Repeat("\x00", 20) + "\x03\x00PK\x05\x06" + strings.Repeat("\x00", 18),
		"zip header cut off":             "PK\x03\x04\x14\x00\x08\x00",
		"zip with something after it":    "PK\x03\x04\x14\x00\x00\x00\x08\x00" + strings.Repeat("\x00", 20) + "\x03\x00more",
	} {
		if _, err := open(bytes.NewReader([]byte(file))); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Hadoop's own writer may put several chunks into one block, and blocks may be empty.
func TestOpen_ReadsHadoopBlocksOfSeveralChunks(t *testing.T) {
	var file []byte
	chunk := func(text string) {
		b := snappy.Encode(nil, []byte(text))
		file = append(binary.BigEndian.AppendUint32(file, uint32(len(b))), b...)
	}
	file = binary.BigEndian.AppendUint32(file, 6)
	chunk("one")
	chunk("two")
	file = binary.BigEndian.AppendUint32(file, 0)
	file = binary.BigEndian.AppendUint32(file, 5)
	chunk("three")
	if got, err := open(bytes.NewReader(file)); err != nil || string(got) != "onetwothree" {
		t.Errorf("%q, %v", got, err)
	}
}

// Readers have buffers of fixed sizes: Hadoop's have 256 KiB for each side of a chunk, those of the official framing 64
// KiB of plain bytes.
func TestSnappy_KeepsToTheBuffersOfItsReaders(t *testing.T) {
	file, plain := samples(t, jsonl.HadoopSnappy)
	chunks := 0
	for rest := file; len(rest) > 0; chunks++ {
		whole, size := int(binary.BigEndian.Uint32(rest)), int(binary.BigEndian.Uint32(rest[4:]))
		n, err := snappy.DecodedLen(rest[8:])
		if err != nil || n != whole || n == 0 || n > 256<<10 || size > 256<<10 {
			t.Fatalf("chunk %d: %d bytes of %d, block of %d, %v", chunks, size, n, whole, err)
		}
		rest = rest[8+size:]
	}
	if chunks < 1+len(plain)/(256<<10) {
		t.Errorf("only %d chunks", chunks)
	}
	if file, _ = samples(t, jsonl.SnappyFramed); string(file[:10]) != "\xff\x06\x00\x00sNaPpY" {
		t.Errorf("the file begins with %q", file[:10])
	}
	kinds := make(map[byte]int)
	for rest := file[10:]; len(rest) > 0; {
		head := binary.LittleEndian.Uint32(rest)
		kind, size := byte(head), int(head>>8)
		n := size - 4
		if kind == 0 {
			var err error
			if n, err = snappy.DecodedLen(rest[8:]); err != nil {
				t.Fatal(err)
			}
		}
		if kind > 1 || n > 64<<10 {
			t.Fatalf("chunk of kind %d has %d plain bytes", kind, n)
		}
		kinds[kind]++
		rest = rest[4+size:]
	}
	if kinds[0] == 0 || kinds[1] == 0 {
		t.Errorf("chunks of the two kinds: %v", kinds)
	}
}

func FuzzOpen_NeverPanics(f *testing.F) {
	for _, compression := range compressions {
		file, _ := samples(f, compression)
		f.Add(file[:min(len(file), 400)])
		f.Add(file[:min(len(file), 17)])
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := jsonl.Open(bytes.NewReader(file))
		if err != nil {
			return
		}
		defer r.Close()
		var total int64
		for total < 64<<20 {
			n, err := io.CopyN(io.Discard, r, 1<<20)
			total += n
			if errors.Is(err, io.EOF) || err != nil {
				return
			}
		}
	})
}
