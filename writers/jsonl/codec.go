package jsonl

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression names a codec and, for Snappy, its framing.
type Compression string

const (
	None Compression = "none"
	Gzip Compression = "gzip"
	Zstd Compression = "zstd"
	// Snappy is Snappy in the framing of snappy-java, known as xerial. Amazon Data Firehose calls it Snappy.
	Snappy Compression = "snappy"
	// HadoopSnappy is Snappy in Hadoop's framing, which Athena, Hive and Spark expect in files that end in ".snappy".
	HadoopSnappy Compression = "hadoop-snappy"
	// SnappyFramed is Snappy in the framing that its authors published.
	SnappyFramed Compression = "snappy-framed"
	// Zip is a ZIP archive with one entry, as Amazon Data Firehose writes it. Athena, Hive and Spark do not read it.
	Zip Compression = "zip"
)

// On JSON lines, the codecs' fastest levels come close to the library's best ratio at a multiple of its speed: from level
// 1 to 6, gzip saves 5 to 13 % of the bytes for half as much CPU time again; zstd's "default" is slower than "fastest"
// and saves nothing.
const (
	gzipLevel = gzip.BestSpeed
	zstdLevel = zstd.SpeedFastest
)

// codec implements a Compression.
type codec struct {
	// encode compresses a block. It appends to dst, which it may take from the pools and return to them.
	encode func(src, dst []byte) ([]byte, error)
	begin  string // the bytes before the first block
	// archive means that a file needs the checksums of its blocks' plain bytes, and has an end.
	archive bool

	extension   string
	contentType string
	encoding    string // value of Content-Encoding
}

// newCodec returns the codec of a compression. Content types and encodings are registered for gzip (RFC 6713) and
// Zstandard (RFC 8878, section 7), the type for ZIP (IANA, application/zip), and both are recommended for framed Snappy
// (framing_format.txt, section 2). The other two have no content type; their extensions and encodings, and the encoding of
// ZIP, are those observed on Firehose's objects. Firehose's documentation lists .hsnappy for Hadoop's, but readers expect
// .snappy.
func newCodec(c Compression) (codec, error) {
	const unknown = "application/octet-stream"
	var err error
	var k codec
	switch c {
	case None, "":
		k = codec{contentType: linesType}
	case Gzip:
		k = codec{extension: ".gz", contentType: "application/gzip", encoding: "gzip"}
		k.encode = gzipEncoder()
	case Zstd:
		k = codec{extension: ".zst", contentType: "application/zstd", encoding: "zstd"}
		k.encode, err = zstdEncoder()
	case Snappy:
		k = codec{encode: encodeXerial, begin: xerialHeader, extension: ".snappy", contentType: unknown, encoding: "snappy-java"}
	case HadoopSnappy:
		k = codec{encode: encodeHadoop, extension: ".snappy", contentType: unknown, encoding: "hadoop-snappy"}
	case SnappyFramed:
		k = codec{encode: encodeFramed, begin: framedHeader, extension: ".sz", contentType: "application/x-snappy-framed", encoding: "x-snappy-framed"}
	case Zip:
		k = codec{encode: deflateEncoder(), archive: true, extension: ".zip", contentType: "application/zip", encoding: "zip"}
	default:
		err = fmt.Errorf("compression %q: want none, gzip, zstd, snappy, hadoop-snappy, snappy-framed or zip", c)
	}
	return k, err
}

// gzipEncoder pools its writers: each holds some hundred KiB of tables, regardless of the block size.
func gzipEncoder() func(src, dst []byte) ([]byte, error) {
	pool := sync.Pool{New: func() any {
		w, _ := gzip.NewWriterLevel(nil, gzipLevel) // fails only for levels out of range
		return w
	}}
	return func(src, dst []byte) ([]byte, error) {
		w := pool.Get().(*gzip.Writer)
		defer pool.Put(w)
		out := appender{dst}
		w.Reset(&out)
		if _, err := w.Write(src); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		return out.b, nil
	}
}

// zstdEncoder uses one encoder, which keeps one state per core. Its window is the usual size of a block: larger windows
// would only cost memory.
func zstdEncoder() (func(src, dst []byte) ([]byte, error), error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstdLevel),
		zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	return func(src, dst []byte) ([]byte, error) { return enc.EncodeAll(src, dst), nil }, nil
}

// appender is an io.Writer that appends to a slice.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}
