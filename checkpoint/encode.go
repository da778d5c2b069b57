package checkpoint

import (
	"encoding/json"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// ErrBatchTooLarge is the ErrInvalidBatch of files that exceed MaxBatchItem when they are encoded.
var ErrBatchTooLarge = fmt.Errorf("%w: its files exceed what one item can hold", ErrInvalidBatch)

// maxDecoded bounds what a damaged item can make a reader allocate; a full item decodes to a few MiB.
const maxDecoded = 64 << 20

// window is how far back the compression looks: over a few hundred files.
const window = 1 << 20

// EncodeFiles returns the files of a batch as an item of the outbox holds them: JSON, compressed with zstd. The same
// files give the same bytes. It fails with ErrBatchTooLarge above MaxBatchItem bytes.
func EncodeFiles(files []File) ([]byte, error) {
	data, err := encode(files)
	if err != nil {
		return nil, fmt.Errorf("encode files: %w", err)
	}
	if len(data) > MaxBatchItem {
		return nil, fmt.Errorf("encode %d files in %d bytes, at most %d: %w", len(files), len(data), MaxBatchItem, ErrBatchTooLarge)
	}
	return data, nil
}

// DecodeFiles is the reverse of EncodeFiles.
func DecodeFiles(data []byte) ([]File, error) {
	var files []File
	if err := decode(data, &files); err != nil {
		return nil, fmt.Errorf("decode files: %w", err)
	}
	return files, nil
}

// EncodeRanges returns the ranges of a batch as an item of the outbox holds them, JSON compressed with zstd: 99 ranges
// with their 56-digit sequence numbers take about 10 KiB.
func EncodeRanges(ranges []Range) ([]byte, error) {
	data, err := encode(ranges)
	if err != nil {
		return nil, fmt.Errorf("encode ranges: %w", err)
	}
	return data, nil
}

// DecodeRanges is the reverse of EncodeRanges.
func DecodeRanges(data []byte) ([]Range, error) {
	var ranges []Range
	if err := decode(data, &ranges); err != nil {
		return nil, fmt.Errorf("decode ranges: %w", err)
	}
	return ranges, nil
}

// encode makes an encoder for each call, which a commit a minute can afford. One that is shared keeps channels, and a
// channel does not cross the border of a synctest bubble.
func encode(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(window))
	if err != nil {
		return nil, err
	}
	return encoder.EncodeAll(text, nil), nil
}

func decode(data []byte, v any) error {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxDecoded))
	if err != nil {
		return err
	}
	defer decoder.Close()
	text, err := decoder.DecodeAll(data, nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}
