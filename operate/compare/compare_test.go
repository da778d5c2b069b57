package compare_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/operate/compare"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/layout"
	"aws-streaming-pipeline/writers/parquet"
)

// trips returns the payloads of n records, all different, with everything that JSON has.
func trips(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"id":%d,"taxi":%d,"fare":%d.50,"call":"%c\/\u00e9","at":"2026-03-14T09:%02d:00.000Z","way":[[-8.6,41.1],[%d.25,41]],"more":{"ok":%v,"none":null}}`,
			i, i%97, i%40, 'A'+rune(i%3), i%60, -i%90, i%2 == 0)
		switch i % 50 {
		case 48:
			list[i] = fmt.Sprintf("{ \"id\" :\t%d , \"late\": {\"a/b\":[%d, \"x\"]}, \"more\":{\"deep~\":{\"n\":1e3}}, \"way\":[[1,null],[\"x\",2]] }", i, i)
		case 49:
			list[i] = fmt.Sprintf(`{"id":%d,"taxi":"none","fare":123456789012345678901234567890,"/more/ok":1,"more":null}`, i)
		}
	}
	return list
}

func encode(t *testing.T, f writers.Format, payloads []string) []byte {
	t.Helper()
	l := f.NewLayout()
	file := bytes.Clone(l.Begin())
	place := func(b writers.Block) {
		e, err := b.Encode()
		must(t, err)
		p, err := l.Place(e)
		must(t, err)
		file = append(file, p...)
		if e.Release != nil {
			e.Release()
		}
	}
	b := l.NewBlock()
	for i, p := range payloads {
		r := record.Record{SequenceNumber: fmt.Sprint("4963", i), Arrival: begin, Data: []byte(p)}
		must(t, b.Append(&r))
		if b.Full() {
			place(b)
			b = l.NewBlock()
		}
	}
	place(b)
	end, err := l.End()
	must(t, err)
	return append(file, end...)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func firehose(t *testing.T, c jsonl.Compression, line bool) writers.Format {
	t.Helper()
	config := jsonl.Config{Append: jsonl.AppendPayload, Compression: c, Labels: jsonl.AsFirehose}
	if line {
		config.Append = jsonl.AppendPayloadLine
	}
	f, err := jsonl.New(config)
	must(t, err)
	return f
}

func lines(t *testing.T, c jsonl.Compression) writers.Format {
	t.Helper()
	f, err := jsonl.New(jsonl.Config{Append: record.AppendJSONLine, Compression: c})
	must(t, err)
	return f
}

func columns(t *testing.T) writers.Format {
	t.Helper()
	f, err := parquet.New(parquet.Options{InferRows: 20})
	must(t, err)
	return f
}

var compressions = []jsonl.Compression{jsonl.None, jsonl.Gzip, jsonl.Zstd, jsonl.Snappy, jsonl.HadoopSnappy, jsonl.SnappyFramed, jsonl.Zip}

// deliver cuts payloads into files of each format in turn.
func (s *store) deliver(prefix string, payloads []string, formats ...writers.Format) {
	s.t.Helper()
	const each = 700
	n := 0
	for part := range slices.Chunk(payloads, each) {
		f := formats[n%len(formats)]
		key := layout.File{Name: prefix + "2026/03/14/09/trips", Clock: s.now, Batch: fmt.Sprintf("019ceb1a-0000-7000-8000-%012d", n), Extension: f.Object().Extension}.Key()
		s.put(key, encode(s.t, f, part))
		n++
	}
}

// bothWays is a bucket to which two have delivered the same records, in another order and in all formats of text.
func bothWays(t *testing.T, payloads []string) *store {
	t.Helper()
	s := newStore(t)
	var there, here []writers.Format
	for _, c := range compressions {
		there = append(there, firehose(t, c, false), firehose(t, c, true))
		here = append(here, lines(t, c))
	}
	s.deliver("firehose/", payloads, there...)
	other := slices.Clone(payloads)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
	s.deliver("data/", other, here...)
	return s
}

// counts returns the findings' numbers of records.
func counts(r *compare.Report) map[compare.Kind]int64 {
	m := make(map[compare.Kind]int64)
	for _, f := range r.Findings {
		m[f.Kind] = f.Records
	}
	return m
}

func wantCounts(t *testing.T, r *compare.Report, want map[compare.Kind]int64) {
	t.Helper()
	if got := counts(r); !maps.Equal(got, want) || r.Agree != (len(want) == 0) {
		t.Errorf("found %v, agree %v; want %v", got, r.Agree, want)
	}
}

// Each difference is planted among many records that are the same on both sides.
func TestRun_FindsWhatIsDifferent(t *testing.T) {
	payloads := trips(8_400)
	site := bothWays(t, payloads)
	for _, test := range []struct {
		name        string
		there, here []string // added
		want        map[compare.Kind]int64
	}{
		{name: "nothing"},
		{name: "the same once more", there: payloads[5:6], here: payloads[5:6]},
		{name: "missing here", there: []string{`{"new":1}`}, want: map[compare.Kind]int64{compare.MissingInOurs: 1}},
		{name: "missing here, several times", there: []string{`{"new":1}`, `{"new":1}`, `{"new":2}`}, want: map[compare.Kind]int64{compare.MissingInOurs: 3}},
		{name: "missing there", here: []string{`{"new":1}`}, want: map[compare.Kind]int64{compare.MissingInTheirs: 1}},
		{name: "double there", there: payloads[17:18], want: map[compare.Kind]int64{compare.DoubleInTheirs: 1}},
		{name: "double here", here: slices.Repeat(payloads[17:18], 3), want: map[compare.Kind]int64{compare.DoubleInOurs: 3}},
		{name: "one byte", there: []string{`{"new":"a"}`}, here: []string{`{"new":"b"}`}, want: map[compare.Kind]int64{compare.MissingInOurs: 1, compare.MissingInTheirs: 1}},
		{name: "another number", there: []string{`{"new":1.0}`}, here: []string{`{"new":1}`}, want: map[compare.Kind]int64{compare.MissingInOurs: 1, compare.MissingInTheirs: 1}},
		{name: "another order of members", there: []string{`{"new":1,"b":{"c":1,"d":2}}`}, here: []string{`{"b":{"d":2,"c":1},"new":1}`}},
		{name: "another order of elements", there: []string{`{"new":[1,2]}`}, here: []string{`{"new":[2,1]}`}, want: map[compare.Kind]int64{compare.MissingInOurs: 1, compare.MissingInTheirs: 1}},
		{name: "other escapes and white space", there: []string{`{"new":"\u00e9\/\u0041"}`}, here: []string{`{ "n\u0065w" : "é/A" }`}},
		{name: "null and nothing", there: []string{`{"new":null}`}, here: []string{`{}`}, want: map[compare.Kind]int64{compare.MissingInOurs: 1, compare.MissingInTheirs: 1}},
		{name: "an event id of the producer", there: []string{`{"new":1,"event_id":"mine"}`}, here: []string{`{"new":1}`}},
		{name: "everything at once", there: append(slices.Clone(payloads[:3]), `{"x":1}`), here: append(slices.Clone(payloads[7:9]), `{"y":1}`, `{"y":2}`),
			want: map[compare.Kind]int64{compare.MissingInOurs: 1, compare.MissingInTheirs: 2, compare.DoubleInTheirs: 3, compare.DoubleInOurs: 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t)
			maps.Copy(s.objects, site.objects)
			s.put("firehose/added", encode(t, firehose(t, jsonl.None, false), append(test.there, payloads[0])))
			s.put(layout.File{Name: "data/added", Clock: begin, Batch: layout.NewBatchID()}.Key(), encode(t, lines(t, jsonl.None), append(test.here, payloads[0])))
			s.brittle = test.name == "everything at once"
			r := s.compare(nil)
			wantCounts(t, r, test.want)
			if n := int64(len(payloads) + 1); r.Theirs.Records != n+int64(len(test.there)) || r.Ours.Records != n+int64(len(test.here)) || r.Columns {
				t.Errorf("%d and %d records, columns %v", r.Theirs.Records, r.Ours.Records, r.Columns)
			}
		})
	}
}

// The same records in text and in columns are equal, whichever side has the columns, and a difference is not.
func TestRun_ComparesTextWithColumns(t *testing.T) {
	payloads := trips(3_000)
	for _, test := range []struct {
		name        string
		there, here writers.Format
		mix         bool // of formats, on our side
	}{
		{name: "columns here", there: firehose(t, jsonl.Gzip, false), here: columns(t)},
		{name: "columns there", there: columns(t), here: lines(t, jsonl.Gzip)},
		{name: "columns on both sides", there: columns(t), here: columns(t)},
		{name: "columns in the middle", there: firehose(t, jsonl.Zstd, false), here: lines(t, jsonl.Snappy), mix: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t)
			s.deliver("firehose/", payloads, test.there)
			formats := []writers.Format{test.here}
			if test.mix {
				formats = append(formats, columns(t))
			}
			s.deliver("data/", payloads, formats...)
			r := s.compare(func(c *compare.Config) { c.Show = true })
			wantCounts(t, r, nil)
			if !r.Columns || r.Theirs.Records != 3_000 || r.Ours.Records != 3_000 {
				t.Errorf("columns %v, %d and %d records", r.Columns, r.Theirs.Records, r.Ours.Records)
			}
			if t.Failed() {
				t.Logf("%+v", r.Findings[0].Examples[0])
			}
			changed := strings.Replace(payloads[1234], `"ok":true`, `"ok":false`, 1)
			s.put("firehose/changed", encode(t, test.there, []string{changed, `{"a":{"b":{"c":[1,{"d":1}]}}}`}))
			wantCounts(t, s.compare(nil), map[compare.Kind]int64{compare.MissingInOurs: 2})
		})
	}
}

func TestRun_SaysWhereExamplesAre(t *testing.T) {
	s := newStore(t)
	payloads := trips(40)
	s.put("firehose/1", encode(t, firehose(t, jsonl.Gzip, false), append(payloads[:10:10], payloads[3], `{"there":1}`)))
	s.put("firehose/2", encode(t, firehose(t, jsonl.None, true), append(payloads[10:40:40], payloads[3], "{\"there\":\t2}")))
	key := layout.File{Name: "data/trips", Clock: begin, Batch: "019ceb1a-0000-7000-8000-000000000001", Extension: ".jsonl"}.Key()
	s.put(key, encode(t, lines(t, jsonl.None), append(payloads, `{"here":1}`)))
	r := s.compare(func(c *compare.Config) { c.Show = true })
	sum := sha256.Sum256([]byte(`{"there":1}`))
	if got, want := r.Findings[0].Examples[0].Hash, hex.EncodeToString(sum[:16]); got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
	for _, f := range r.Findings {
		for i := range f.Examples {
			f.Examples[i].Hash = ""
		}
	}
	got, err := json.Marshal(r.Findings)
	must(t, err)
	id := func(n int) string { return fmt.Sprint("4963", n) }
	want := `[{"kind":"missing-in-ours","records":2,"contents":2,"examples":[` +
		`{"hash":"","theirs":1,"ours":0,"positions":[{"object":"s3://b/firehose/1","record":12}],"payload":"{\"there\":1}"},` +
		`{"hash":"","theirs":1,"ours":0,"positions":[{"object":"s3://b/firehose/2","record":32}],"payload":"{\"there\":\t2}"}]},` +
		`{"kind":"missing-in-theirs","records":1,"contents":1,"examples":[` +
		`{"hash":"","theirs":0,"ours":1,"positions":[{"object":"s3://b/` + key + `","record":41,"event_id":"` + id(40) + `"}],"payload":"{\"here\":1,\"event_id\":\"` + id(40) + `\"}"}]},` +
		`{"kind":"double-in-theirs","records":2,"contents":1,"examples":[` +
		`{"hash":"","theirs":3,"ours":1,"positions":[{"object":"s3://b/firehose/1","record":4},{"object":"s3://b/firehose/1","record":11},{"object":"s3://b/` + key + `","record":4,"event_id":"` + id(3) + `"}],` +
		`"payload":` + quote(payloads[3]) + `}]}]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// Payloads may be secret.
func TestRun_ShowsPayloadsOnlyOnRequest(t *testing.T) {
	s := newStore(t)
	s.put("firehose/1", []byte(`{"secret":1}{"a":1}`))
	s.put("data/trips-1-2026-03-14-09-00-00-019ceb1a-0000-7000-8000-000000000001-000", []byte(`{"a":1,"event_id":"7"}`))
	for _, show := range []bool{false, true} {
		r := s.compare(func(c *compare.Config) { c.Show = show })
		var text strings.Builder
		must(t, r.WriteText(&text))
		asJSON, err := json.Marshal(r)
		must(t, err)
		if got := strings.Contains(text.String(), "secret"); got != show {
			t.Errorf("show %v: %s", show, &text)
		}
		if got := strings.Contains(string(asJSON), "secret"); got != show {
			t.Errorf("show %v: %s", show, asJSON)
		}
	}
}

// In a live stream, the two cut their files at different moments: records at the edges of a window have been delivered by
// one, and not yet, or before, by the other.
func TestRun_KeepsTheEdgesOfAWindowApart(t *testing.T) {
	const hours = 6
	all := trips(hours * 60)
	// A file each: theirs has five minutes, ours has twenty and comes later.
	site := func(t *testing.T) *store {
		s := newStore(t)
		n := 0
		deliver := func(prefix string, minutes, late int) {
			for from := 0; from < len(all); from += minutes {
				s.now = begin.Add(time.Duration(from+minutes+late) * time.Minute)
				s.put(fmt.Sprintf("%strips-1-2026-03-14-09-00-00-019ceb1a-0000-7000-8000-%012d-000", prefix, n), []byte(strings.Join(all[from:from+minutes], "")))
				n++
			}
		}
		deliver("firehose/", 5, 1)
		deliver("data/", 20, 7)
		s.now = begin.Add(24 * time.Hour)
		return s
	}
	window := func(c *compare.Config) {
		c.Window = compare.Window{From: begin.Add(2 * time.Hour), To: begin.Add(4 * time.Hour), Margin: time.Hour}
	}
	t.Run("nothing is missing", func(t *testing.T) {
		r := site(t).compare(window)
		wantCounts(t, r, nil)
		if r.Theirs.Edge == 0 || r.Ours.Edge == 0 || r.Theirs.MarginRecords == 0 || r.Ours.MarginRecords == 0 {
			t.Errorf("the edges are not seen: %+v, %+v", r.Theirs, r.Ours)
		}
	})
	t.Run("without a margin the edges differ", func(t *testing.T) {
		r := site(t).compare(func(c *compare.Config) { window(c); c.Window.Margin = 0 })
		if r.Agree {
			t.Error("agrees")
		}
	})
	t.Run("a file of the window is missing", func(t *testing.T) {
		for prefix, kind := range map[string]compare.Kind{"data/": compare.MissingInOurs, "firehose/": compare.MissingInTheirs} {
			s := site(t)
			for key, o := range s.objects {
				if strings.HasPrefix(key, prefix) && o.at.Sub(begin) > 175*time.Minute && o.at.Sub(begin) < 190*time.Minute {
					delete(s.objects, key)
				}
			}
			r := s.compare(window)
			if got := counts(r); got[kind] == 0 || len(got) != 1 {
				t.Errorf("%s: found %v", prefix, got)
			}
		}
	})
	t.Run("a file of the window is double", func(t *testing.T) {
		s := site(t)
		edge := s.compare(window).Theirs.Edge
		s.objects["firehose/again"] = stored{[]byte(all[200]), begin.Add(90 * time.Minute)}
		r := s.compare(window)
		wantCounts(t, r, nil) // in the margin, it may be another record of the same content
		if r.Theirs.Edge != edge+1 {
			t.Errorf("%d records at the edge, want %d", r.Theirs.Edge, edge+1)
		}
		s.objects["firehose/again"] = stored{[]byte(all[200]), begin.Add(3 * time.Hour)}
		wantCounts(t, s.compare(window), map[compare.Kind]int64{compare.DoubleInTheirs: 1})
	})
	t.Run("a window that is not over", func(t *testing.T) {
		s := site(t)
		s.now = begin.Add(4*time.Hour + 59*time.Minute)
		if _, err := s.try(window); err == nil || !strings.Contains(err.Error(), "want an earlier time") {
			t.Error(err)
		}
	})
}

func TestRun_ReadsDataAlone(t *testing.T) {
	s := newStore(t)
	const id = "019ceb1a-0000-7000-8000-000000000001"
	file := func(name string) string { return layout.File{Name: name, Clock: begin, Batch: id}.Key() }
	for _, key := range []string{"firehose/a", file("data/a")} {
		s.put(key, []byte(`{"a":1}`))
	}
	for _, key := range []string{
		"firehose/processing-failed/2026/03/14/09/x", "firehose/2026/format-conversion-failed/x", "firehose/_SUCCESS", "firehose/_complete/app.json", "firehose/mine/errors/x",
		file("data/processing-failed/x"), file("data/errors/x"), "data/m/2026/03/14/09/" + id + ".json", "data/m/outbox/" + id, "data/foreign", "data/_SUCCESS", ".hidden",
	} {
		s.put(key, []byte("not to be read"))
	}
	s.put("firehose/empty", nil)
	s.put("firehose/_day=2026-03-14/b", []byte(`{"b":1}`))
	s.put(file("data/_day=2026-03-14/b"), []byte(`{"b":1}`))
	r := s.compare(func(c *compare.Config) {
		c.Ours.Pipeline, c.Ours.ManifestPrefix, c.Ours.Aside = true, "data/m/", []string{"data/errors/", ""}
		c.Theirs.Aside = []string{"firehose/mine/errors/"}
	})
	wantCounts(t, r, nil)
	if want := map[string]int64{compare.ErrorObject: 3, compare.MarkerObject: 3}; !maps.Equal(r.Theirs.SetAside, want) {
		t.Errorf("theirs: %v, want %v", r.Theirs.SetAside, want)
	}
	if want := map[string]int64{compare.ErrorObject: 2, compare.MarkerObject: 1, compare.Bookkeeping: 2, compare.ForeignObject: 1}; !maps.Equal(r.Ours.SetAside, want) {
		t.Errorf("ours: %v, want %v", r.Ours.SetAside, want)
	}
}

func TestRun_ComparesRawRecordsOnlyOnRequest(t *testing.T) {
	s := newStore(t)
	s.put("firehose/1", []byte("2026-03-14 GET /\n{\"a\": 1}\nhello\n"))
	s.put("data/1", []byte("hello\n{\"a\":1}\n2026-03-14 GET /\n"))
	raw := func(c *compare.Config) { c.Raw = true }
	wantCounts(t, s.compare(raw), nil)
	if _, err := s.try(nil); err == nil || !strings.Contains(err.Error(), "s3://b/") || !strings.Contains(err.Error(), "record 1:") || strings.Contains(err.Error(), "GET") {
		t.Error(err)
	}
	s.put("data/1", []byte("hello\n{\"a\":1}\n2026-03-14 GET  /\n"))
	wantCounts(t, s.compare(raw), map[compare.Kind]int64{compare.MissingInOurs: 1, compare.MissingInTheirs: 1})
}

// What could not be read is not known to agree.
func TestRun_DoesNotFinish(t *testing.T) {
	damaged := encode(t, lines(t, jsonl.Gzip), trips(1000))
	for name, plant := range map[string]func(*store){
		"nothing on either side": func(s *store) { clear(s.objects) },
		"a damaged file":         func(s *store) { s.put("data/damaged", damaged[:len(damaged)-20]) },
		"a damaged Parquet file": func(s *store) { s.put("data/damaged", append([]byte("PAR1"), damaged...)) },
		"something else":         func(s *store) { s.put("firehose/x", []byte("\x89PNG")) },
	} {
		t.Run(name, func(t *testing.T) {
			s := bothWays(t, trips(100))
			plant(s)
			if r, err := s.try(nil); err == nil {
				t.Errorf("finished: agree %v", r.Agree)
			}
		})
	}
	for name, change := range map[string]func(*compare.Config){
		"the same place twice":         func(c *compare.Config) { c.Theirs = c.Ours },
		"an empty window":              func(c *compare.Config) { c.Window = compare.Window{From: begin, To: begin} },
		"less memory than is of use":   func(c *compare.Config) { c.Memory = 1000 },
		"a folder that does not exist": func(c *compare.Config) { c.TempDir = "/nowhere" },
	} {
		if _, err := bothWays(t, trips(100)).try(change); err == nil {
			t.Errorf("%s: finished", name)
		}
	}
}
