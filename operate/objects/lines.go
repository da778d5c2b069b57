package objects

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"aws-streaming-pipeline/writers/jsonl"
)

// maxLine limits the length of a line in bytes. An error line holds up to record.DefaultMaxOpenedBytes (64 MiB) in
// base64, which is a third longer.
const maxLine = 128 << 20

// Lines calls do for each line of r, which may have any compression that jsonl.Open recognises. Line numbers start at 0.
// A line comes without its line feed, which the last line may lack, and is valid only during the call. Lines stops at the
// first error, including one from do.
func Lines(r io.Reader, do func(n int, line []byte) error) error {
	plain, err := jsonl.Open(r)
	if err != nil {
		return err
	}
	defer plain.Close()
	in := bufio.NewReaderSize(plain, 256<<10)
	var long []byte
	for n := 0; ; n++ {
		line, err := in.ReadSlice('\n')
		long = long[:0]
		for errors.Is(err, bufio.ErrBufferFull) && len(long) <= maxLine {
			long = append(long, line...)
			line, err = in.ReadSlice('\n')
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("line %d is longer than %d bytes", n, maxLine)
		}
		if len(long) > 0 {
			long = append(long, line...)
			line = long
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if len(line) > 0 {
			if err := do(n, bytes.TrimSuffix(line, []byte("\n"))); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
	}
}
