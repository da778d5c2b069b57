package localstream

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// FuzzPutRequest compares the scanner with encoding/json: every well-formed request is accepted and has the same meaning.
func FuzzPutRequest(f *testing.F) {
	for _, seed := range []string{
		`{"StreamName":"s","Records":[{"Data":"aGVsbG8=","PartitionKey":"k"},{"PartitionKey":"x","Data":"","ExplicitHashKey":"12"}]}`,
		` { "Data" : "aGk=" , "PartitionKey" : "a\"\\\u00fc\ud83d\ude00" , "Other" : [ 1 , { "x" : null } , true , -1.5e3 ] } `,
		`{"Data":"\u0061GVsbG8="}`, `{"Data":null,"StreamARN":null}`, `{}`, `{`, `{"a":}`, `{"Records":[,]}`, `[]`, `{"Data":"a b"}`,
		`{"Records":null}`, `{"a":[[[[[]]]]]}`, `{"a":1}x`, `{"Data":"YQ==","Data":null}`, `{"Records":[{}],"Records":[]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		documented, ok := referenceRequest(body)
		if !ok {
			return
		}
		r := putRequest{scratch: make([]byte, 0, len(body))}
		if err := r.parse(bytes.Clone(body)); err != nil {
			t.Fatalf("refused: %v", err)
		}
		if met := describe(&r); met != documented {
			t.Errorf("read as\n%s\nJSON has\n%s", met, documented)
		}
	})
}

func describe(r *putRequest) string {
	text := fmt.Sprintf("%q %q", r.StreamName, r.StreamARN)
	for _, e := range append([]putEntry{r.one}, r.entries...) {
		text += fmt.Sprintf(" [%q %q %t %t %q]", e.key, e.explicitKey, e.explicitKey != nil, e.hasData, e.data)
	}
	return text
}

// referenceRequest reads a request with encoding/json and describes it in the same way. It returns false for requests
// that may be rejected.
func referenceRequest(body []byte) (string, bool) {
	var members map[string]json.RawMessage
	if !utf8.Valid(body) || bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) > maxDepth ||
		json.Unmarshal(body, &members) != nil || members == nil {
		return "", false
	}
	stream, okName := referenceText(members["StreamName"])
	arn, okARN := referenceText(members["StreamARN"])
	one, okOne := referenceEntry(members)
	text := fmt.Sprintf("%q %q %s", aws.ToString(stream), aws.ToString(arn), one)
	var records []map[string]json.RawMessage
	if raw := members["Records"]; raw != nil && json.Unmarshal(raw, &records) != nil {
		return "", false
	}
	for _, members := range records {
		entry, ok := referenceEntry(members)
		if members == nil || !ok {
			return "", false
		}
		text += " " + entry
	}
	return text, okName && okARN && okOne && !repeated(body, append(records, members))
}

func referenceEntry(members map[string]json.RawMessage) (string, bool) {
	key, okKey := referenceText(members["PartitionKey"])
	hash, okHash := referenceText(members["ExplicitHashKey"])
	encoded, okData := referenceText(members["Data"])
	data, err := base64.StdEncoding.DecodeString(aws.ToString(encoded))
	text := fmt.Sprintf("[%q %q %t %t %q]", aws.ToString(key), aws.ToString(hash), hash != nil, encoded != nil, data)
	return text, okKey && okHash && okData && err == nil
}

func referenceText(raw json.RawMessage) (value *string, ok bool) {
	return value, raw == nil || json.Unmarshal(raw, &value) == nil && (value == nil || raw[0] == '"')
}

// repeated reports whether a member may occur twice in the body: encoding/json then ignores the first, which may be
// invalid.
func repeated(body []byte, objects []map[string]json.RawMessage) bool {
	for _, name := range []string{"StreamName", "StreamARN", "Records", "PartitionKey", "ExplicitHashKey", "Data"} {
		seen := 0
		for _, members := range objects {
			if _, there := members[name]; there {
				seen++
			}
		}
		if bytes.Count(body, []byte(`"`+name+`"`)) != seen {
			return true
		}
	}
	return bytes.Contains(body, []byte(`\u`)) // a name may hide behind it
}

func TestPutRequest_IsReadAsJSON(t *testing.T) {
	tests := []struct {
		name, body string
		key, data  string
		fails      bool
	}{
		{name: "plain", body: `{"PartitionKey":"k","Data":"aGVsbG8="}`, key: "k", data: "hello"},
		{name: "white space", body: "\n{ \"PartitionKey\"\t: \"k\" ,\r\n \"Data\" : \"aGVsbG8=\" } ", key: "k", data: "hello"},
		{name: "escapes in the key", body: `{"PartitionKey":"a\"\\\u00fc\ud83d\ude00\n","Data":""}`, key: "a\"\\ü😀\n"},
		{name: "escapes in the data", body: `{"PartitionKey":"k","Data":"\/\/8="}`, key: "k", data: "\xff\xff"},
		{name: "escapes in a name", body: `{"Partition\u004bey":"k","Data":""}`, key: "k"},
		{name: "unknown members", body: `{"x":{"y":[1,2.5e-3,true,null,"]}"]},"PartitionKey":"k","Data":"aGVsbG8=","z":{}}`, key: "k", data: "hello"},
		{name: "data before a longer one", body: `{"Data":"YQ==","PartitionKey":"k"}`, key: "k", data: "a"},
		{name: "not base64", body: `{"Data":"a b"}`, fails: true},
		{name: "missing padding", body: `{"Data":"YQ"}`, fails: true},
		{name: "cut off in a string", body: `{"PartitionKey":"k`, fails: true},
		{name: "cut off in an escape", body: `{"PartitionKey":"k\`, fails: true},
		{name: "cut off behind a name", body: `{"PartitionKey"`, fails: true},
		{name: "more behind the end", body: `{} {}`, fails: true},
		{name: "an array", body: `[]`, fails: true},
		{name: "a wrong type", body: `{"PartitionKey":7}`, fails: true},
		{name: "a bare word", body: `{"x":nonsense}`, fails: true},
		{name: "too deep", body: `{"x":` + strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1) + `}`, fails: true},
		{name: "empty", body: ``, fails: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := putRequest{scratch: make([]byte, 0, len(test.body))}
			err := r.parse([]byte(test.body))
			if (err != nil) != test.fails {
				t.Fatalf("error %v", err)
			}
			if !test.fails && (string(r.one.key) != test.key || string(r.one.data) != test.data) {
				t.Errorf("key %q, data %q", r.one.key, r.one.data)
			}
		})
	}
}

func TestAppendQuoted_WritesJSON(t *testing.T) {
	for _, text := range []string{"", "plain", `quo"te\`, "\x00\x1f\x7f", "ü\u2028🚕", "<&>"} {
		var read string
		if err := json.Unmarshal(appendQuoted(nil, []byte(text)), &read); err != nil || read != text {
			t.Errorf("%q is read back as %q, %v", text, read, err)
		}
	}
}
