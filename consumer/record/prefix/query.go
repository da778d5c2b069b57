package prefix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"

	"aws-streaming-pipeline/consumer/record"
)

// maxKeys is how many partition keys Firehose allows (Amazon Data Firehose Developer Guide, "Quota").
const maxKeys = 50

// query makes the partition keys of a payload with jq.
type query struct {
	code *gojq.Code
	keys []string // those that the prefix uses
}

func compileQuery(source string, keys []string) (*query, error) {
	parsed, err := gojq.Parse(source)
	if err != nil {
		return nil, fmt.Errorf("query %q: %w", source, err)
	}
	code, err := gojq.Compile(parsed)
	if err != nil {
		return nil, fmt.Errorf("query %q: %w", source, err)
	}
	if len(keys) > maxKeys {
		return nil, fmt.Errorf("prefix uses %d partition keys: want %d at most", len(keys), maxKeys)
	}
	return &query{code: code, keys: keys}, nil
}

// run evaluates the query for one payload. The values are safe parts of keys.
func (q *query) run(payload []byte) (map[string]string, error) {
	value, err := decode(payload)
	if err != nil {
		return nil, queryFault("the payload is not one JSON value")
	}
	result, ok := q.code.Run(value).Next()
	if !ok {
		return nil, queryFault("the query has no result")
	}
	if _, failed := result.(error); failed {
		return nil, queryFault("the query failed for this payload") // its text would show values
	}
	object, ok := result.(map[string]any)
	if !ok {
		return nil, queryFault("the query's result is not an object")
	}
	keys := make(map[string]string, len(q.keys))
	for _, name := range q.keys {
		text, err := scalar(object[name])
		if err != nil {
			return nil, queryFault(fmt.Sprintf("partition key %s: %v", name, err))
		}
		keys[name] = Escape(text)
	}
	return keys, nil
}

// decode reads exactly one JSON value. Numbers keep their digits.
func decode(payload []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	return value, nil
}

// scalar writes a value as text. Firehose fails records whose key is null or empty.
func scalar(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", errors.New("is null or missing")
	case string:
		if v == "" {
			return "", errors.New("is empty")
		}
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case *big.Int:
		return v.String(), nil
	case json.Number:
		return v.String(), nil
	}
	return "", errors.New("is neither text, number nor boolean")
}

// queryFault has the code that Firehose gives records without partition keys.
func queryFault(message string) *record.Fault {
	return &record.Fault{Type: record.ProcessingFailed, Code: "DynamicPartitioning.MetadataExtractionFailed", Message: message}
}

// Escape makes a value a safe part of a key: characters that Hive escapes in partition names (control characters and
// "#%'*/:=?\{[]^, as %XX of their UTF-8 bytes) can neither end a path segment nor be taken for something else, and a
// value of dots alone is no step to another folder. Athena, Hive and Spark read the value back.
func Escape(value string) string {
	if value == "." || value == ".." {
		return strings.ReplaceAll(value, ".", "%2E")
	}
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c < 0x20 || c == 0x7f || strings.IndexByte(`"#%'*/:=?\{[]^`, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
