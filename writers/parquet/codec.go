package parquet

import (
	"bytes"
	"fmt"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// codec compresses pages, into dst's memory if it suffices. text means that a page holds uncoded text.
type codec interface {
	compress(dst, page []byte, text bool) ([]byte, error)
}

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

// snappyCodec uses its own encoder for text, for a better ratio. Numbers and indexes hardly shrink with either encoder,
// and golang/snappy is faster.
type snappyCodec struct{ encoder snappyEncoder }

func (c *snappyCodec) compress(dst, page []byte, text bool) ([]byte, error) {
	if text {
		return c.encoder.encode(dst, page), nil
	}
	return snappy.Encode(dst[:cap(dst)], page), nil
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
