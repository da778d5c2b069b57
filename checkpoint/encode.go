package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// ErrBatchTooLarge is the ErrInvalidBatch of a batch without a List whose encoded files exceed MaxBatchItem.
var ErrBatchTooLarge = fmt.Errorf("%w: its files exceed the size limit of its item", ErrInvalidBatch)

// maxDecoded bounds how much a damaged item or object can make a reader decompress: 250,000 files (of one Kinesis
// record, record.DefaultMaxRecords) with the longest keys take 600 MB. Only the files are held in memory, not their
// text.
const maxDecoded = 1 << 30

// window is how far back the compression looks: over a few hundred files.
const window = 1 << 20

// EncodeFiles returns the files of a batch in the encoding of an outbox item and of a FileList's object: a JSON array
// compressed with zstd. The same files always give the same bytes.
func EncodeFiles(files []File) ([]byte, error) {
	data, err := encodeFiles(files)
	if err != nil {
		return nil, fmt.Errorf("encode files: %w", err)
	}
	return data, nil
}

// EncodeItemFiles is EncodeFiles for an item. It fails with ErrBatchTooLarge if the result exceeds MaxBatchItem bytes.
func EncodeItemFiles(files []File) ([]byte, error) {
	data, err := EncodeFiles(files)
	if err == nil && len(data) > MaxBatchItem {
		return nil, fmt.Errorf("encode %d files: %d bytes, want at most %d: %w", len(files), len(data), MaxBatchItem, ErrBatchTooLarge)
	}
	return data, err
}

// encodeFiles encodes file by file, so that the text of many thousands is never in memory as a whole.
func encodeFiles(files []File) ([]byte, error) {
	if files == nil {
		return encode(files)
	}
	var out bytes.Buffer
	w, err := newEncoder(&out)
	if err != nil {
		return nil, err
	}
	separator := "["
	for i := range files {
		text, err := files[i].MarshalJSON()
		if err != nil {
			return nil, err
		}
		// The encoder writes to a buffer, which never fails; Close would report an error.
		_, _ = io.WriteString(w, separator)
		_, _ = w.Write(text)
		separator = ","
	}
	if len(files) == 0 {
		_, _ = io.WriteString(w, "[")
	}
	_, _ = io.WriteString(w, "]")
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// DecodeFiles is the reverse of EncodeFiles.
func DecodeFiles(data []byte) ([]File, error) {
	files, err := decodeFiles(data)
	if err != nil {
		return nil, fmt.Errorf("decode files: %w", err)
	}
	return files, nil
}

func decodeFiles(data []byte) (files []File, err error) {
	r, err := newDecoder(data)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text := json.NewDecoder(io.LimitReader(r, maxDecoded))
	begin, err := text.Token()
	if err != nil {
		return nil, err
	}
	if begin == json.Delim('[') {
		files = []File{}
		for text.More() {
			var f File
			if err := text.Decode(&f); err != nil {
				return nil, err
			}
			files = append(files, f)
		}
		if _, err := text.Token(); err != nil {
			return nil, err
		}
	} else if begin != nil {
		return nil, fmt.Errorf("it begins with %v: want a JSON array", begin)
	}
	return files, atEnd(text)
}

// atEnd checks that nothing but white space follows.
func atEnd(text *json.Decoder) error {
	switch _, err := text.Token(); {
	case err == nil:
		return errors.New("there is data after the end")
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}

// EncodeRanges returns the ranges of a batch in the encoding of an outbox item, JSON compressed with zstd: 99 ranges
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

// EncodeDefinition returns the definition of a table in the encoding of its item.
func EncodeDefinition(definition json.RawMessage) ([]byte, error) {
	data, err := encode(definition)
	if err != nil {
		return nil, fmt.Errorf("encode definition: %w", err)
	}
	return data, nil
}

// DecodeDefinition is the reverse of EncodeDefinition.
func DecodeDefinition(data []byte) (json.RawMessage, error) {
	var definition json.RawMessage
	if err := decode(data, &definition); err != nil {
		return nil, fmt.Errorf("decode definition: %w", err)
	}
	return definition, nil
}

func encode(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	encoder, err := newEncoder(nil)
	if err != nil {
		return nil, err
	}
	return encoder.EncodeAll(text, nil), nil
}

func decode(data []byte, v any) error {
	r, err := newDecoder(data)
	if err != nil {
		return err
	}
	defer r.Close()
	text := json.NewDecoder(io.LimitReader(r, maxDecoded))
	if err := text.Decode(v); err != nil {
		return err
	}
	return atEnd(text)
}

// newEncoder makes an encoder for each call, which is cheap enough for a commit per minute. A shared encoder keeps
// channels, and a channel cannot be used across synctest bubbles.
func newEncoder(w io.Writer) (*zstd.Encoder, error) {
	return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(window))
}

func newDecoder(data []byte) (*zstd.Decoder, error) {
	return zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8*window))
}
