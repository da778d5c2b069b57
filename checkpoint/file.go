package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"aws-streaming-pipeline/record/jsonscan"
)

// File is one file of a batch whose bytes are staged: durable, but invisible until the file is published.
//
// Its JSON object holds the members of Staged next to those of the fields. A file staged in S3 therefore reads as
// earlier releases write it, with upload_id and parts.
type File struct {
	Bucket string
	Key    string
	// Staged is what the sink that staged the bytes needs to publish or abort them: a JSON object whose members only
	// that sink understands. Its member names must differ from those of a File. Empty means that nothing is staged. The
	// outbox preserves the members and their order.
	Staged    json.RawMessage
	Rows      int64
	Bytes     int64  // size of the object
	ETag      string // known after the file is published
	Partition string
	Error     bool   // holds error records, not data
	Backup    bool   // holds Kinesis records as they came, which are in data and error files, too
	Reason    string // why the file was closed: size, interval, ...
	// Table describes the file to the loaders of tables: a JSON object, or empty for a file that is in no table. Package
	// record/table defines it.
	Table json.RawMessage
}

// Data reports whether the file holds data: what tables are loaded from.
func (f *File) Data() bool { return !f.Error && !f.Backup }

// fileMembers are the members of a File's object, without those of Staged.
type fileMembers struct {
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	Rows      int64  `json:"rows"`
	Bytes     int64  `json:"bytes"`
	ETag      string `json:"etag,omitempty"`
	Partition string `json:"partition"`
	Error     bool   `json:"error,omitempty"`
	Backup    bool   `json:"backup,omitempty"`
	Reason    string `json:"reason,omitempty"`

	Table json.RawMessage `json:"table,omitempty"`
}

// afterStaged follows the members of Staged. It cannot occur inside a string: there, the quotes are escaped.
var afterStaged = []byte(`,"rows":`)

// MarshalJSON implements json.Marshaler.
func (f File) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(fileMembers{f.Bucket, f.Key, f.Rows, f.Bytes, f.ETag, f.Partition, f.Error, f.Backup, f.Reason, f.Table})
	staged := bytes.TrimSpace(f.Staged)
	if err != nil || len(staged) == 0 {
		return text, err
	}
	if staged[0] != '{' || !json.Valid(staged) {
		return nil, fmt.Errorf("file %s: Staged is not a JSON object", f.Key)
	}
	members := bytes.TrimSpace(staged[1 : len(staged)-1])
	if len(members) == 0 {
		return text, nil
	}
	at := bytes.Index(text, afterStaged)
	all := append(make([]byte, 0, len(text)+1+len(members)), text[:at]...)
	return append(append(append(all, ','), members...), text[at:]...), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *File) UnmarshalJSON(data []byte) error {
	i := jsonscan.Start(data)
	if bytes.HasPrefix(data[i:], []byte("null")) {
		return nil
	}
	if i == len(data) || data[i] != '{' {
		return errors.New("file: want a JSON object")
	}
	*f = File{}
	var staged []byte
	i = jsonscan.Space(data, i+1)
	for more := !bytes.HasPrefix(data[i:], []byte("}")); more; {
		end, _, value, problem := jsonscan.Key(data, i)
		if problem != jsonscan.None {
			return errBrokenFile
		}
		after, problem := jsonscan.Value(data, value, 1)
		if problem != jsonscan.None {
			return errBrokenFile
		}
		if field := f.field(data[i:end]); field != nil {
			if err := setField(field, data[value:after]); err != nil {
				return fmt.Errorf("file: %s: %w", data[i:end], err)
			}
		} else {
			staged = appendMember(staged, data[i:end], data[value:after], len(data)-i)
		}
		if more, i, problem = jsonscan.Separator(data, after, '}'); problem != jsonscan.None {
			return errBrokenFile
		}
	}
	if len(staged) > 0 {
		f.Staged = append(staged, '}')
	}
	return nil
}

var errBrokenFile = errors.New("file: not valid JSON")

// field returns the field that the member's value belongs to, or nil if the member is one of Staged.
func (f *File) field(name []byte) any {
	switch string(name) {
	case `"bucket"`:
		return &f.Bucket
	case `"key"`:
		return &f.Key
	case `"rows"`:
		return &f.Rows
	case `"bytes"`:
		return &f.Bytes
	case `"etag"`:
		return &f.ETag
	case `"partition"`:
		return &f.Partition
	case `"error"`:
		return &f.Error
	case `"backup"`:
		return &f.Backup
	case `"reason"`:
		return &f.Reason
	case `"table"`:
		return &f.Table
	}
	return nil
}

// setField decodes a value. Most are strings without escapes, so those are fast.
func setField(field any, value []byte) error {
	if s, ok := field.(*string); ok && value[0] == '"' && bytes.IndexByte(value, '\\') < 0 {
		*s = string(value[1 : len(value)-1])
		return nil
	}
	return json.Unmarshal(value, field)
}

// appendMember appends a member to an object that is not closed yet; most is the expected maximum size of the object.
func appendMember(object, name, value []byte, most int) []byte {
	if object == nil {
		object = append(make([]byte, 0, most), '{')
	} else {
		object = append(object, ',')
	}
	return append(append(append(object, name...), ':'), value...)
}

// FileItemSize returns an upper estimate of a file's size in the batch's item or list. Compression saves at least a
// quarter of Staged, because its members repeat their names.
func FileItemSize(f File) int64 {
	return int64(176 + len(f.Bucket) + len(f.Key) + len(f.Staged)*3/4 + len(f.Partition) + len(f.Table))
}
