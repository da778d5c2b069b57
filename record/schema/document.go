package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
)

// object is a JSON object with its members in the order of the text, which maps would lose: it is the order of columns.
type object struct {
	keys   []string
	values map[string]any
}

func (o *object) get(key string) (any, bool) {
	v, ok := o.values[key]
	return v, ok
}

func (o *object) has(key string) bool {
	_, ok := o.values[key]
	return ok
}

// readDocument reads one JSON value. Objects become *object, arrays []any, numbers json.Number.
func readDocument(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := readValue(d)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("data after the document at byte %d", d.InputOffset())
	}
	return v, nil
}

func readValue(d *json.Decoder) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return readObject(d)
	case json.Delim('['):
		return readArray(d)
	}
	return token, nil
}

func readObject(d *json.Decoder) (any, error) {
	o := &object{values: map[string]any{}}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		key := token.(string) // the decoder allows nothing else here
		if _, ok := o.values[key]; ok {
			return nil, fmt.Errorf("member %q appears twice before byte %d", key, d.InputOffset())
		}
		v, err := readValue(d)
		if err != nil {
			return nil, err
		}
		o.keys = append(o.keys, key)
		o.values[key] = v
	}
	_, err := d.Token()
	return o, err
}

func readArray(d *json.Decoder) (any, error) {
	list := []any{}
	for d.More() {
		v, err := readValue(d)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.Token()
	return list, err
}

// hasID reports whether a value of the map, or a value within one, is an object with an $id.
func hasID(in map[string]any) bool {
	for _, v := range in {
		if hasIDWithin(v) {
			return true
		}
	}
	return false
}

func hasIDWithin(v any) bool {
	switch v := v.(type) {
	case *object:
		_, ok := v.values["$id"].(string)
		return ok || hasID(v.values)
	case []any:
		return slices.ContainsFunc(v, hasIDWithin)
	}
	return false
}

// resolve follows a local reference that is a JSON Pointer, such as "#/$defs/address".
func (o *object) resolve(ref string) (any, bool) {
	fragment, ok := strings.CutPrefix(ref, "#")
	pointer, err := url.PathUnescape(fragment)
	if !ok || err != nil || pointer != "" && pointer[0] != '/' {
		return nil, false
	}
	var v any = o
	for _, token := range strings.Split(pointer, "/")[1:] {
		in, ok := v.(*object)
		if !ok {
			return nil, false
		}
		if v, ok = in.get(unescapePointer.Replace(token)); !ok {
			return nil, false
		}
	}
	return v, true
}

var (
	escapePointer   = strings.NewReplacer("~", "~0", "/", "~1")
	unescapePointer = strings.NewReplacer("~1", "/", "~0", "~")
)

// at appends a reference token to a JSON Pointer.
func at(pointer string, token any) string {
	return pointer + "/" + escapePointer.Replace(fmt.Sprint(token))
}
