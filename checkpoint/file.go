package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// File is one file of a batch, whose bytes are staged: durable, and invisible until the file is published.
//
// Its JSON object has the members of Staged beside those of the fields, so that a file that is staged in S3 reads as releases
// write it that knew no other place: with upload_id and parts.
type File struct {
	Bucket string
	Key    string
	// Staged is what the sink that has staged the bytes needs to publish or to abort them: a JSON object whose members only
	// that sink knows. They must not have the names of members of a File. Empty means that nothing is staged. The outbox
	// gives the same members back in the same order.
	Staged    json.RawMessage
	Rows      int64
	Bytes     int64  // size of the object
	ETag      string // known after the file is published
	Partition string
	Error     bool   // holds error records, not data
	Reason    string // why the file was closed: size, interval, ...
}

// filePlace and fileFacts are the members of a File's object before and after those of Staged.
type (
	filePlace struct {
		Bucket string `json:"bucket"`
		Key    string `json:"key"`
	}
	fileFacts struct {
		Rows      int64  `json:"rows"`
		Bytes     int64  `json:"bytes"`
		ETag      string `json:"etag,omitempty"`
		Partition string `json:"partition"`
		Error     bool   `json:"error,omitempty"`
		Reason    string `json:"reason,omitempty"`
	}
)

// MarshalJSON implements json.Marshaler.
func (f File) MarshalJSON() ([]byte, error) {
	members := bytes.TrimSpace(f.Staged)
	if n := len(members); n > 0 {
		if members[0] != '{' || members[n-1] != '}' {
			return nil, fmt.Errorf("file %s: Staged is not a JSON object", f.Key)
		}
		members = bytes.TrimSpace(members[1 : n-1])
	}
	place, err := json.Marshal(filePlace{f.Bucket, f.Key})
	if err != nil {
		return nil, err
	}
	facts, err := json.Marshal(fileFacts{f.Rows, f.Bytes, f.ETag, f.Partition, f.Error, f.Reason})
	if err != nil {
		return nil, err
	}
	text := append(place[:len(place)-1], ',')
	if len(members) > 0 {
		text = append(append(text, members...), ',')
	}
	return append(text, facts[1:]...), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *File) UnmarshalJSON(data []byte) error {
	text := json.NewDecoder(bytes.NewReader(data))
	begin, err := text.Token()
	if err != nil {
		return err
	}
	if begin == nil { // null
		return nil
	}
	if begin != json.Delim('{') {
		return errors.New("file: want a JSON object")
	}
	*f = File{}
	var staged []byte
	for text.More() {
		name, err := text.Token()
		if err != nil {
			return err
		}
		if field := f.field(name.(string)); field != nil {
			if err := text.Decode(field); err != nil {
				return fmt.Errorf("file: %s: %w", name, err)
			}
			continue
		}
		if staged, err = appendMember(staged, name.(string), text); err != nil {
			return err
		}
	}
	if len(staged) > 0 {
		f.Staged = append(staged, '}')
	}
	return nil
}

// field returns where the value of a member belongs; nil if it is one of Staged.
func (f *File) field(name string) any {
	switch name {
	case "bucket":
		return &f.Bucket
	case "key":
		return &f.Key
	case "rows":
		return &f.Rows
	case "bytes":
		return &f.Bytes
	case "etag":
		return &f.ETag
	case "partition":
		return &f.Partition
	case "error":
		return &f.Error
	case "reason":
		return &f.Reason
	}
	return nil
}

// appendMember appends a member with its value, which is next in text, to an object that is not closed yet.
func appendMember(object []byte, name string, text *json.Decoder) ([]byte, error) {
	var value json.RawMessage
	if err := text.Decode(&value); err != nil {
		return nil, err
	}
	quoted, err := json.Marshal(name)
	if err != nil {
		return nil, err
	}
	separator := byte(',')
	if len(object) == 0 {
		separator = '{'
	}
	return append(append(append(append(object, separator), quoted...), ':'), value...), nil
}

// FileItemSize estimates, from above, what a file needs in the batch's item or list. Compression takes at least a quarter
// from Staged: the names that its members repeat.
func FileItemSize(f File) int64 {
	return int64(160 + len(f.Bucket) + len(f.Key) + len(f.Staged)*3/4 + len(f.Partition))
}
