package parquet

import (
	"bytes"
	"fmt"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// codec compresses pages, into dst's memory if it suffices. long means that a page holds long texts.
type codec interface {
	compress(dst, page []byte, long bool) ([]byte, error)
}

// longText is the mean length from which texts are long.
const longText = 64

func newCodec(c Compression) codec {
	switch c {
	case Snappy:
		return &snappyCodec{}
	case Zstd:
		return &zstdCodec{}
	case Gzip:
		return &gzipCodec{}
	}
	return plainCodec{}
}

type plainCodec struct{}

func (plainCodec) compress(_, page []byte, _ bool) ([]byte, error) { return page, nil }

// snappyCodec uses its own encoder for long texts, for a better ratio. Short texts, numbers and indexes shrink by the same
// with either, within 1 %, and golang/snappy, being assembly, is faster.
type snappyCodec struct{ encoder snappyEncoder }

func (c *snappyCodec) compress(dst, page []byte, long bool) ([]byte, error) {
	if long {
		return c.encoder.encode(dst, page), nil
	}
	return snappy.Encode(snappyRoom(dst, len(page)), page), nil
}

// zstdCodec uses the fastest level: on data from JSON the next level costs more and gains nothing.
type zstdCodec struct{ encoder *zstd.Encoder }

func (c *zstdCodec) compress(dst, page []byte, _ bool) ([]byte, error) {
	if c.encoder == nil {
		var err error
		c.encoder, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20)) // pages have their own CRC, and about the size of the window
		if err != nil {
			return nil, fmt.Errorf("create zstd encoder: %w", err)
		}
	}
	return c.encoder.EncodeAll(page, dst[:0]), nil
}

type gzipCodec struct{ writer *gzip.Writer }

func (c *gzipCodec) compress(dst, page []byte, _ bool) ([]byte, error) {
	out := bytes.NewBuffer(dst[:0])
	if c.writer == nil {
		c.writer = gzip.NewWriter(out)
	} else {
		c.writer.Reset(out)
	}
	if _, err := c.writer.Write(page); err != nil {
		return nil, fmt.Errorf("gzip page: %w", err)
	}
	if err := c.writer.Close(); err != nil {
		return nil, fmt.Errorf("gzip page: %w", err)
	}
	return out.Bytes(), nil
}
