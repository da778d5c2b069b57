package compare

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aws-streaming-pipeline/record/jsonscan"
)

// mergeExtra puts the members of a row's _extra back into the row, which it changes. Members of the record itself are there
// by their name, those further down by their JSON Pointer (RFC 6901).
func mergeExtra(row, extra []byte) ([]byte, error) {
	end, p := jsonscan.Value(extra, jsonscan.Space(extra, 0), 0)
	if p != jsonscan.None || extra[jsonscan.Space(extra, 0)] != '{' || jsonscan.Space(extra, end) != len(extra) {
		return nil, fmt.Errorf("the column _extra does not hold a JSON object")
	}
	var deep []keptMember
	comma := len(row) > len("{}")
	row = row[:len(row)-1]
	i := jsonscan.Space(extra, jsonscan.Space(extra, 0)+1)
	for more := extra[i] != '}'; more; {
		nameEnd, _, at, _ := jsonscan.Key(extra, i)
		end, _ := jsonscan.Value(extra, at, 1)
		name := string(jsonscan.AppendUnescaped(nil, extra[i+1:nameEnd-1]))
		if way, ok := pointer(row, name); ok {
			deep = append(deep, keptMember{way, extra[at:end]})
		} else {
			if comma {
				row = append(row, ',')
			}
			comma = true
			row = append(append(append(row, extra[i:nameEnd]...), ':'), extra[at:end]...)
		}
		more, i, _ = jsonscan.Separator(extra, end, '}')
	}
	row = append(row, '}')
	for _, m := range deep {
		var err error
		if row, err = m.put(row, m.way); err != nil {
			return nil, err
		}
	}
	return row, nil
}

// pointer returns the tokens of a name that is the JSON Pointer of a place in a member of the row, which lacks its closing
// brace. A member of the record itself may have such a name, too: then the row has no member for the first token.
func pointer(row []byte, name string) (way []string, ok bool) {
	if strings.Count(name, "/") < 2 || name[0] != '/' {
		return nil, false
	}
	way = strings.Split(name[1:], "/")
	return way, memberOf(append(slices.Clip(row), '}'), unescapeToken.Replace(way[0])) != nil
}

// keptMember is a value that _extra keeps, and the tokens of its pointer, still escaped.
type keptMember struct {
	way   []string
	value json.RawMessage
}

var unescapeToken = strings.NewReplacer("~1", "/", "~0", "~")

// put returns the value with the member in it.
func (m keptMember) put(in json.RawMessage, way []string) (json.RawMessage, error) {
	if len(way) == 0 {
		return m.value, nil
	}
	token := unescapeToken.Replace(way[0])
	if len(in) > 0 && in[0] == '[' {
		return m.putElement(in, token, way[1:])
	}
	members := make(map[string]json.RawMessage)
	if err := json.Unmarshal(in, &members); err != nil && len(in) > 0 {
		return nil, fmt.Errorf("a member of _extra belongs into a value that is not an object: %w", err)
	}
	inner, err := m.put(members[token], way[1:])
	if err != nil {
		return nil, err
	}
	members[token] = inner
	return json.Marshal(members)
}

func (m keptMember) putElement(in json.RawMessage, token string, way []string) (json.RawMessage, error) {
	var elements []json.RawMessage
	if err := json.Unmarshal(in, &elements); err != nil {
		return nil, err
	}
	i, err := strconv.Atoi(token)
	if err != nil || i < 0 || i >= len(elements) {
		return nil, fmt.Errorf("a member of _extra belongs into the element %q of a list that has %d", token, len(elements))
	}
	inner, err := m.put(elements[i], way)
	if err != nil {
		return nil, err
	}
	elements[i] = inner
	return json.Marshal(elements)
}
