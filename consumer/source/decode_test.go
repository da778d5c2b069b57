package source

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/encoding/cbor"
)

// decoded is the answer in a body, or the error; the decoder gets a copy.
func decoded(f wireFormat, body []byte) (*answer, error) {
	a := &answer{body: &slab[byte]{bytes.Clone(body)}}
	return a, a.decode(f)
}

// unhex reads hexadecimal digits, with verbatim text in quotes between them.
func unhex(t *testing.T, text string) (b []byte) {
	t.Helper()
	for i, part := range strings.Split(text, "'") {
		if i%2 == 1 {
			b = append(b, part...)
			continue
		}
		digits, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, digits...)
	}
	return b
}

const (
	cborSeq  = "6e 'SequenceNumber' 61 '7'"
	cborHead = "bf 67 'Records' 9f bf " + cborSeq // without lengths, as Jackson writes in the SDK for Java
	cborTail = " ff ff ff"
	cborTime = "78 1b 'ApproximateArrivalTimestamp' "
)

// The decoder of base64 works with vectors of 24 and more bytes. It may read no byte that it has already overwritten, and
// refuses what the standard library refuses.
func TestPayload_IsDecodedInPlace(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	read := func(text string) (string, error) {
		j := jsonReader{b: []byte(`"` + text + `"}`)}
		s := j.payload("Data")
		if j.err == nil && j.peek() != '}' {
			t.Errorf("what follows %q was changed", text)
		}
		return string(j.b[s.from:s.to]), j.err
	}
	for size := range 400 {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		text := base64.StdEncoding.EncodeToString(data)
		if got, err := read(text); err != nil || got != string(data) {
			t.Fatalf("%d bytes: %q, %v, want %q", size, got, err, data)
		}
		for range 3 {
			broken := []byte(text + "====")
			broken[r.IntN(len(broken))] = "!-_=~\x80\n"[r.IntN(7)]
			want, wantErr := base64.StdEncoding.DecodeString(string(broken))
			got, err := read(string(broken))
			if (err == nil) != (wantErr == nil) || err == nil && got != string(want) {
				t.Fatalf("%q: %q, %v, want %q, %v", broken, got, err, want, wantErr)
			}
		}
	}
}

func TestDecodeCBOR_TakesEachFormOfAValue(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		want entry
		key  string
		data string
	}{
		"milliseconds under the tag":    {body: cborHead + cborTime + "c1 1b 0000019b77a5d000" + cborTail, want: entry{arrival: 0x19b77a5d000}},
		"seconds as a double":           {body: cborHead + cborTime + "c1 fb " + doubleHex(1764106880.123) + cborTail, want: entry{arrival: 1764106880123}},
		"milliseconds as a double":      {body: cborHead + cborTime + "c1 fb " + doubleHex(1764106880123) + cborTail, want: entry{arrival: 1764106880123}},
		"seconds as a number":           {body: cborHead + cborTime + "c1 1a 69261d00" + cborTail, want: entry{arrival: 0x69261d00 * 1000}},
		"a time without its tag":        {body: cborHead + cborTime + "fb " + doubleHex(1764106880.5) + cborTail, want: entry{arrival: 1764106880500}},
		"a time before 1970":            {body: cborHead + cborTime + "c1 20" + cborTail, want: entry{arrival: -1000}},
		"a time in sixteen bits":        {body: cborHead + cborTime + "c1 f9 3e00" + cborTail, want: entry{arrival: 1500}},
		"a time in thirty-two bits":     {body: cborHead + cborTime + "c1 fa 3fc00000" + cborTail, want: entry{arrival: 1500}},
		"no time":                       {body: cborHead + cborTime + "f6" + cborTail},
		"a payload":                     {body: cborHead + "64 'Data' 43 'abc'" + cborTail, data: "abc"},
		"a payload in chunks":           {body: cborHead + "64 'Data' 5f 43 'abc' 40 42 'de' ff" + cborTail, data: "abcde"},
		"a payload of many bytes":       {body: cborHead + "64 'Data' 5b 0000000000000003 'abc'" + cborTail, data: "abc"},
		"an empty payload":              {body: cborHead + "64 'Data' 40" + cborTail},
		"no payload":                    {body: cborHead + "64 'Data' f6" + cborTail},
		"a key in chunks":               {body: cborHead + "6c 'PartitionKey' 7f 61 'k' 62 'ey' ff" + cborTail, key: "key"},
		"members that are not known":    {body: cborHead + "61 'x' a1 61 'y' 82 f9 0000 c1 5f 41 'z' ff 64 'Data' 41 'd'" + cborTail, data: "d"},
		"lengths of list and map given": {body: "a1 67 'Records' 81 a2" + cborSeq + "64 'Data' 41 'd'", data: "d"},
	} {
		a, err := decoded(wireCBOR, unhex(t, test.body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(a.entries.s) != 1 {
			t.Errorf("%s: %d records", name, len(a.entries.s))
			continue
		}
		e := a.entries.s[0]
		r := a.record(&e)
		if r.SequenceNumber != "7" || e.arrival != test.want.arrival || r.PartitionKey != test.key || string(r.Data) != test.data {
			t.Errorf("%s: %+v at %d", name, r, e.arrival)
		}
	}
}

func doubleHex(v float64) string { return fmt.Sprintf("%016x", math.Float64bits(v)) }

func TestDecodeCBOR_RefusesWhatIsNone(t *testing.T) {
	for name, test := range map[string]struct{ body, says string }{
		"nothing":                     {"", "truncated"},
		"no map":                      {"80", "major type"},
		"an empty map":                {"a0", "no Records"},
		"text for bytes":              {cborHead + "64 'Data' 61 'x'" + cborTail, "Data is of major type 3"},
		"bytes for text":              {cborHead + "6c 'PartitionKey' 41 'x'" + cborTail, "PartitionKey is of major type 2"},
		"a chunk of another type":     {cborHead + "64 'Data' 5f 61 'x' ff" + cborTail, "Data is of major type 3"},
		"a chunk of chunks":           {cborHead + "64 'Data' 5f 5f ff ff" + cborTail, "nested chunks"},
		"a length beyond the end":     {cborHead + "64 'Data' 5b ffffffffffffffff", "0 left"},
		"a list of endless length":    {"a1 67 'Records' 9b ffffffffffffffff", "truncated"},
		"a map of endless length":     {"bb ffffffffffffffff", "truncated"},
		"a head that is cut off":      {"a1 67 'Records' 9b 00", "truncated"},
		"a number without end":        {cborHead + cborTime + "1f" + cborTail, "does not begin an item"},
		"a reserved head":             {"fc", "does not begin an item"},
		"a break in the wrong place":  {"a1 67 'Records' ff", "does not begin an item"},
		"a time of another tag":       {cborHead + cborTime + "c0 60" + cborTail, "tag 0"},
		"a time that is text":         {cborHead + cborTime + "c1 60" + cborTail, "not a number"},
		"a time that is not a number": {cborHead + cborTime + "c1 fb 7ff8000000000000" + cborTail, "not a time"},
		"a time that has no end":      {cborHead + cborTime + "c1 fb 7ff0000000000000" + cborTail, "not a time"},
		"a time beyond all times":     {cborHead + cborTime + "c1 1b ffffffffffffffff" + cborTail, "not a time"},
		"a number beyond 64 bits":     {"a1 72 'MillisBehindLatest' 1b ffffffffffffffff", "64-bit"},
		"nested without end":          {"a1 61 'x' " + strings.Repeat("81", 100), "nested deeper"},
		"tags without end":            {"a1 61 'x' " + strings.Repeat("c1", 100), "nested deeper"},
		"a record without a number":   {"a1 67 'Records' 81 a0", "no SequenceNumber"},
		"something after the answer":  {"a1 67 'Records' 80 00", "after the answer"},
	} {
		_, err := decoded(wireCBOR, unhex(t, test.body))
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
}

// A body that comes in pieces is decoded like one that is there, and what ends it early is not taken for a fault of the format, which
// would be a reason to give up CBOR.
func TestDecodeCBOR_ReadsTheBodyAsItComes(t *testing.T) {
	body := encodeCBOR(sample())
	whole, err := decoded(wireCBOR, body)
	if err != nil || !whole.ordered {
		t.Fatalf("the whole answer: %v, ordered is %t", err, whole.ordered)
	}
	decodeFrom := func(r io.Reader) (*answer, error) {
		a := &answer{body: &slab[byte]{make([]byte, len(body))}, rest: r}
		return a, a.decode(wireCBOR)
	}
	for name, slow := range map[string]func(io.Reader) io.Reader{
		"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "by halves": iotest.HalfReader, "with its end": iotest.DataErrReader,
	} {
		a, err := decodeFrom(slow(bytes.NewReader(body)))
		if err != nil || a.failed != nil || !bytes.Equal(a.body.s, body) || !slices.Equal(a.entries.s, whole.entries.s) || a.next != whole.next || !a.ordered {
			t.Errorf("%s: %v, %v: %d records", name, err, a.failed, len(a.entries.s))
		}
	}
	broken := errors.New("connection reset")
	for n := range body {
		if a, err := decodeFrom(bytes.NewReader(body[:n])); err == nil || a.failed != io.ErrUnexpectedEOF {
			t.Errorf("%d of %d bytes: %v, %v", n, len(body), err, a.failed)
		}
		if a, err := decodeFrom(io.MultiReader(bytes.NewReader(body[:n]), iotest.ErrReader(broken))); err == nil || a.failed != broken {
			t.Errorf("a failure after %d of %d bytes: %v, %v", n, len(body), err, a.failed)
		}
	}
	if a, err := decodeFrom(strings.NewReader("\xa1")); err == nil || a.failed == nil {
		t.Error("one byte is taken for an answer")
	}
	if a, err := decodeFrom(strings.NewReader(strings.Repeat("\x80", len(body)))); err == nil || a.failed != nil {
		t.Errorf("a malformed answer: %v, %v", err, a.failed)
	}
}

// Records out of order are noticed wherever they are.
func TestDecodeCBOR_TellsWhetherNumbersRise(t *testing.T) {
	for numbers, want := range map[string]bool{"": true, "7": true, "7 8 10": true, "7 7": false, "8 7 9": false, "7 8 8": false, "10 9": false} {
		body := "bf 67 'Records' 9f "
		for _, n := range strings.Fields(numbers) {
			body += fmt.Sprintf("a1 6e 'SequenceNumber' %02x '%s' ", 0x60+len(n), n)
		}
		a, err := decoded(wireCBOR, unhex(t, body+"ff ff"))
		if err != nil || a.ordered != want || a.whole {
			t.Errorf("%q: ordered is %t, whole %t, %v", numbers, a.ordered, a.whole, err)
		}
	}
}

// One payload that needs decoding is enough for all of an answer to be decoded.
func TestDecodeCBOR_TellsWhetherAPayloadNeedsDecoding(t *testing.T) {
	for payloads, want := range map[string]bool{"abc": true, "a": true, "aXb": false, "X": false, "abX": false} {
		body := "bf 67 'Records' 9f "
		for _, p := range payloads {
			body += fmt.Sprintf("a2 "+cborSeq+" 64 'Data' 41 '%c' ", p)
		}
		a := &answer{body: &slab[byte]{unhex(t, body+"ff ff")}, wholly: func(data []byte) bool { return string(data) != "X" }}
		if err := a.decode(wireCBOR); err != nil || a.whole != want || len(a.entries.s) != len(payloads) {
			t.Errorf("%q: whole is %t, %v", payloads, a.whole, err)
		}
	}
}

// An answer that is truncated anywhere is refused, in both formats.
func TestDecode_RefusesAnAnswerThatIsCutOff(t *testing.T) {
	for f, body := range map[wireFormat][]byte{wireCBOR: encodeCBOR(sample()), wireJSON: encodeJSON(sample())} {
		if a, err := decoded(f, body); err != nil || len(a.entries.s) != 2 {
			t.Fatalf("the whole answer: %v", err)
		}
		for n := range body {
			if _, err := decoded(f, body[:n]); err == nil {
				t.Errorf("format %d: %d of %d bytes are taken for all", f, n, len(body))
			}
		}
	}
}

func TestDecodeJSON_TakesEachFormOfAValue(t *testing.T) {
	for name, test := range map[string]struct {
		record    string
		arrival   int64
		key, data string
	}{
		"seconds with a fraction":       {record: `"ApproximateArrivalTimestamp": 1764106880.123`, arrival: 1764106880123},
		"a short fraction":              {record: `"ApproximateArrivalTimestamp":1764106880.5`, arrival: 1764106880500},
		"a long fraction":               {record: `"ApproximateArrivalTimestamp":1764106880.1229999`, arrival: 1764106880123},
		"an exponent":                   {record: `"ApproximateArrivalTimestamp":1.764106880123E9`, arrival: 1764106880123},
		"whole seconds":                 {record: `"ApproximateArrivalTimestamp":1764106880`, arrival: 1764106880000},
		"a time before 1970":            {record: `"ApproximateArrivalTimestamp":-1.5`, arrival: -1500},
		"no time":                       {record: `"ApproximateArrivalTimestamp":null`},
		"escapes":                       {record: `"PartitionKey":"\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\udd11"`, key: "\"\\/\b\f\n\r\tAé🔑"},
		"surrogates that have no other": {record: `"PartitionKey":"\ud83d-\udd11\ud83d\u0041"`, key: "\ufffd-\ufffd\ufffdA"},
		"base64 with escapes":           {record: `"Data":"\/\/8\u003d"`, data: "\xff\xff"},
		"no payload":                    {record: `"Data":null`},
		"an empty payload":              {record: `"Data":""`},
		"members that are not known":    {record: `"x":{"y":["}",1e5,null]},"Data":"YQ=="`, data: "a"},
		"white space":                   {record: " \n\"Data\"\t: \r\"YQ==\" ", data: "a"},
	} {
		a, err := decoded(wireJSON, []byte(`{"Records":[{"SequenceNumber":"7",`+test.record+`}],"NextShardIterator":null}`))
		if err != nil || len(a.entries.s) != 1 {
			t.Errorf("%s: %v", name, err)
			continue
		}
		e := a.entries.s[0]
		if r := a.record(&e); r.SequenceNumber != "7" || e.arrival != test.arrival || r.PartitionKey != test.key || string(r.Data) != test.data {
			t.Errorf("%s: %q %q at %d", name, r.PartitionKey, r.Data, e.arrival)
		}
	}
}

func TestDecodeJSON_RefusesWhatIsNone(t *testing.T) {
	record := func(members string) string { return `{"Records":[{"SequenceNumber":"7",` + members + `}]}` }
	for name, test := range map[string]struct{ body, says string }{
		"nothing":                     {"", "begin with"},
		"no object":                   {"[]", "begin with"},
		"an empty object":             {"{}", "no Records"},
		"records that are null":       {`{"Records":null}`, "no Records"},
		"broken base64":               {record(`"Data":"YQ="`), "base64"},
		"a payload that is a number":  {record(`"Data":1`), "not a string"},
		"a time that is text":         {record(`"ApproximateArrivalTimestamp":"1"`), "not a number"},
		"a time that is not a number": {record(`"ApproximateArrivalTimestamp":1-1.`), "not a time"},
		"a time beyond all times":     {record(`"ApproximateArrivalTimestamp":1e300`), "not a time"},
		"a number with a fraction":    {`{"Records":[],"MillisBehindLatest":1.5}`, "invalid syntax"},
		"an escape there is not":      {record(`"PartitionKey":"\x"`), "escape"},
		"an escape of no digits":      {record(`"PartitionKey":"\uzzzz"`), "escape"},
		"an escape cut off":           {`{"Records":[{"SequenceNumber":"\u00`, "truncated"},
		"no comma":                    {`{"Records":[] "x":1}`, "begin with"},
		"no colon":                    {`{"Records" []}`, "begin with"},
		"no record":                   {`{"Records":[1]}`, "begin with"},
		"a record without a number":   {`{"Records":[{}]}`, "no SequenceNumber"},
		"nested without end":          {`{"x":` + strings.Repeat("[", 100_000), "want a value"},
		"something after":             {`{"Records":[]}x`, "after the answer"},
		"a zero byte after":           {"{\"Records\":[]}\x00", "after the answer"},
	} {
		_, err := decoded(wireJSON, []byte(test.body))
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
}

func sample() *kinesis.GetRecordsOutput {
	return &kinesis.GetRecordsOutput{
		Records: []types.Record{
			{SequenceNumber: aws.String("1"), PartitionKey: aws.String("k\"ey"), Data: []byte("payload"), ApproximateArrivalTimestamp: aws.Time(arrival(1))},
			{SequenceNumber: aws.String("22"), PartitionKey: aws.String("é"), Data: nil, ApproximateArrivalTimestamp: aws.Time(arrival(2))},
		},
		MillisBehindLatest: aws.Int64(12), NextShardIterator: aws.String("next"),
		ChildShards: []types.ChildShard{{ShardId: aws.String("child")}},
	}
}

// jsonAnswer is the answer of GetRecords as encoding/json reads it.
type jsonAnswer struct {
	Records []struct {
		SequenceNumber, PartitionKey string
		Data                         []byte
		ApproximateArrivalTimestamp  float64
	}
	MillisBehindLatest int64
	NextShardIterator  string
	ChildShards        []struct{ ShardId string }
}

func encodeJSON(out *kinesis.GetRecordsOutput) []byte {
	list := []map[string]any{}
	for _, r := range out.Records {
		list = append(list, map[string]any{
			"SequenceNumber": *r.SequenceNumber, "PartitionKey": *r.PartitionKey, "Data": base64.StdEncoding.EncodeToString(r.Data),
			"ApproximateArrivalTimestamp": float64(r.ApproximateArrivalTimestamp.UnixMilli()) / 1000,
		})
	}
	text, err := json.Marshal(map[string]any{
		"Records": list, "MillisBehindLatest": out.MillisBehindLatest, "NextShardIterator": out.NextShardIterator, "ChildShards": out.ChildShards,
	})
	if err != nil {
		panic(err)
	}
	return text
}

// check reads all that an answer returns: a view beyond the body would panic.
func check(t *testing.T, a *answer) {
	t.Helper()
	for i := range a.entries.s {
		r := a.record(&a.entries.s[i])
		if r.SequenceNumber == "" {
			t.Error("a record has no sequence number")
		}
		_ = strings.Clone(r.PartitionKey) + string(r.Data)
	}
}

func FuzzDecodeCBOR(f *testing.F) {
	f.Add(encodeCBOR(sample()))
	f.Add([]byte("\xbf\x67Records\x9f\xbf\x6eSequenceNumber\x7f\x61\x37\xff\x64Data\x5f\x41d\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := decoded(wireCBOR, body)
		if err != nil {
			return
		}
		check(t, a)
		// What we accept, an independent decoder also accepts, and finds the same records in.
		value, err := cbor.Decode(body)
		if err != nil {
			return // it refuses more: half floats and 64-bit lengths of its own choice
		}
		m, _ := value.(cbor.Map)
		list, _ := m["Records"].(cbor.List)
		if len(list) != len(a.entries.s) && strings.Count(string(body), "Records") == 1 {
			t.Errorf("%d records, want %d", len(a.entries.s), len(list))
		}
		for i := range min(len(list), len(a.entries.s)) {
			want, _ := list[i].(cbor.Map)
			data, _ := want["Data"].(cbor.Slice)
			if got := a.record(&a.entries.s[i]); strings.Count(string(body), "Data") == len(list) && !bytes.Equal(got.Data, data) {
				t.Errorf("record %d has %x, want %x", i, got.Data, data)
			}
		}
	})
}

func FuzzDecodeJSON(f *testing.F) {
	f.Add(encodeJSON(sample()))
	f.Add([]byte(`{"Records":[{"SequenceNumber":"\u0037","Data":"\u0059Q==","PartitionKey":"\ud83d\udd11","ApproximateArrivalTimestamp":1e9}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := decoded(wireJSON, body)
		if err != nil {
			return
		}
		check(t, a)
		var want jsonAnswer
		if json.Unmarshal(body, &want) != nil || !utf8.Valid(body) || len(want.Records) != len(a.entries.s) {
			return // names in other cases, or twice, are read differently
		}
		for i := range a.entries.s {
			got := a.record(&a.entries.s[i])
			w := want.Records[i]
			if bytes.Count(body, []byte("Sequence")) == len(want.Records) && got.SequenceNumber != w.SequenceNumber {
				t.Errorf("record %d: %q, want %q", i, got.SequenceNumber, w.SequenceNumber)
			}
			if bytes.Count(body, []byte("Data")) == len(want.Records) && !bytes.Equal(got.Data, w.Data) {
				t.Errorf("record %d: %x, want %x", i, got.Data, w.Data)
			}
		}
	})
}
