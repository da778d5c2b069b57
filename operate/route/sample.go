package route

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/record"
)

// Sample is a Kinesis record.
type Sample struct {
	Record record.Record
	// Line is the number of its line, from 1; 0 for a record of the stream.
	Line int
	// Hashes is the hash key range of its shard; nil if it is not known.
	Hashes *record.HashRange
}

// As says how a sample file is read.
type As string

const (
	// AsAuto takes a line of the error prefix or of a backup for one, and any other line for a payload.
	AsAuto As = "auto"
	// AsLines takes each line for a payload.
	AsLines As = "lines"
	// AsPayload takes the file for one payload.
	AsPayload As = "payload"
	// AsErrors and AsBackup take only lines of the error prefix, or of a backup with BACKUP_FORMAT=jsonl.
	AsErrors As = "errors"
	AsBackup As = "backup"
)

// Kinds are the values of As.
var Kinds = []As{AsAuto, AsLines, AsPayload, AsErrors, AsBackup}

const (
	// MaxSamples is the most samples that are read of a file.
	MaxSamples = 10_000
	// maxSampleBytes is the most bytes of payload that are read of a file.
	maxSampleBytes = 256 << 20
)

// errEnough ends the reading of a sample.
var errEnough = errors.New("enough")

// Read reads the samples of a file, which may be compressed unless it is one payload. Blank lines count as lines but are left out. A
// payload has arrived at now; lines of the error prefix and of a backup have their own time. More reports whether the file has more than
// is read, which is bounded.
func Read(r io.Reader, as As, now time.Time) (samples []Sample, more bool, err error) {
	if as == AsPayload {
		data, err := io.ReadAll(io.LimitReader(r, maxSampleBytes+1))
		if len(data) > maxSampleBytes {
			err = fmt.Errorf("the payload is larger than %d bytes", maxSampleBytes)
		}
		return []Sample{{Line: 1, Record: record.Record{SequenceNumber: "1", Arrival: now, Data: data}}}, false, err
	}
	bytes := 0
	err = objects.Lines(r, func(n int, line []byte) error {
		if len(strings.TrimSpace(string(line))) == 0 {
			return nil
		}
		if len(samples) == MaxSamples || bytes > maxSampleBytes {
			return errEnough
		}
		sample, err := parse(line, as, now)
		if err != nil {
			return fmt.Errorf("line %d: %w", n+1, err)
		}
		sample.Line = n + 1
		if sample.Record.SequenceNumber == "" {
			sample.Record.SequenceNumber = strconv.Itoa(n + 1)
		}
		bytes += len(sample.Record.Data)
		samples = append(samples, sample)
		return nil
	})
	if errors.Is(err, errEnough) {
		return samples, true, nil
	}
	return samples, false, err
}

// parse reads a line. The sample shares no memory with it.
func parse(line []byte, as As, now time.Time) (Sample, error) {
	payload := Sample{Record: record.Record{Arrival: now, Data: append([]byte(nil), line...)}}
	switch as {
	case AsLines:
		return payload, nil
	case AsErrors:
		return parseError(line)
	case AsBackup:
		return parseBackup(line)
	}
	if s, err := parseBackup(line); err == nil {
		return s, nil
	}
	if s, err := parseError(line); err == nil {
		return s, nil
	}
	return payload, nil
}

func parseBackup(line []byte) (Sample, error) {
	r, err := record.ParseBackupLine(line)
	return Sample{Record: r}, err
}

// parseError returns the record of an error line as redrive sends it: one that was in an aggregate, or was split off a payload, is a
// record of its own.
func parseError(line []byte) (Sample, error) {
	e, err := record.ParseErrorLine(line)
	if err != nil {
		return Sample{}, err
	}
	r := &e.Record
	return Sample{Record: record.Record{PartitionKey: r.PartitionKey, ExplicitHashKey: r.ExplicitHashKey, Arrival: r.Arrival, Data: r.Data}}, nil
}
