// Package rows makes the records for benchmarks. They come from a fixed seed, so every run and every program gets the same
// records.
package rows

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"aws-streaming-pipeline/record/schema"
)

// Set is a kind of records.
type Set struct {
	Name string
	// Document is the JSON Schema of the records.
	Document string
	line     func(dst []byte, r *rand.Rand, i int) []byte
}

// The sets: one long text and several short ones (1.2 KB), 20 members of mixed types (309 B), structs and lists (243 B), and
// sensor readings (100 B).
var (
	Taxi   = Set{"taxi", taxiDocument, taxiLine}
	Narrow = Set{"narrow", narrowDocument, narrowLine}
	Nested = Set{"nested", nestedDocument, nestedLine}
	Small  = Set{"small", smallDocument, smallLine}
)

// Sets lists all of them.
var Sets = []Set{Taxi, Narrow, Nested, Small}

// Find returns the set with the given name.
func Find(name string) (Set, bool) {
	for _, s := range Sets {
		if s.Name == name {
			return s, true
		}
	}
	return Set{}, false
}

// Schema is the compiled Document.
func (s Set) Schema() *schema.Schema {
	compiled, err := schema.Parse(s.Name, []byte(s.Document))
	if err != nil {
		panic(err) // the documents of this package are right
	}
	return compiled
}

// Sized returns the set with records padded to about the given number of bytes by a member "pad". Longer records stay as they
// are.
func (s Set) Sized(bytes int) Set {
	line := s.line
	s.Document = strings.Replace(s.Document, `"properties":{`, `"properties":{"pad":{"type":"string"},`, 1)
	s.line = func(dst []byte, r *rand.Rand, i int) []byte {
		start := len(dst)
		dst = line(dst, r, i)
		const frame = len(`,"pad":""}`) - 1
		missing := bytes - (len(dst) - start) - frame
		if missing <= 0 {
			return dst
		}
		dst = append(dst[:len(dst)-1], `,"pad":"`...)
		for range missing {
			dst = append(dst, "abcdefghijklmnopqrstuvwxyz012345"[r.IntN(32)])
		}
		return append(dst, `"}`...)
	}
	return s
}

// All yields records endlessly, each in its own memory.
func (s Set) All() iter.Seq[[]byte] {
	r := rand.New(rand.NewPCG(7, 11))
	return func(yield func([]byte) bool) {
		for i := 0; yield(s.line(nil, r, i)); i++ {
		}
	}
}

// Lines returns records with about the given number of bytes in total.
func (s Set) Lines(bytes int) [][]byte {
	var lines [][]byte
	size := 0
	for line := range s.All() {
		if size >= bytes {
			break
		}
		size += len(line)
		lines = append(lines, line)
	}
	return lines
}

const taxiDocument = `{"type":"object","x-extra":false,"properties":{
	"TRIP_ID":{"type":"string"},"CALL_TYPE":{"type":"string"},"ORIGIN_CALL":{"type":"string"},
	"ORIGIN_STAND":{"type":"string"},"TAXI_ID":{"type":"string"},"TIMESTAMP":{"type":"string"},
	"DAY_TYPE":{"type":"string"},"MISSING_DATA":{"type":"string"},"POLYLINE":{"type":"string"}}}`

// taxiLine resembles the trips of Porto's taxis: converted from CSV, all values strings, one of them long.
func taxiLine(dst []byte, r *rand.Rand, i int) []byte {
	start := 1372636858 + int64(i)*38
	taxi := 20000000 + r.IntN(980)
	call, origin, stand := "C", "", ""
	switch r.IntN(3) {
	case 0:
		call, origin = "A", strconv.Itoa(2000+r.IntN(60000))
	case 1:
		call, stand = "B", strconv.Itoa(1+r.IntN(63))
	}
	dst = fmt.Appendf(dst, `{"TRIP_ID":"%d620%06d","CALL_TYPE":"%s","ORIGIN_CALL":"%s","ORIGIN_STAND":"%s","TAXI_ID":"%d","TIMESTAMP":"%d","DAY_TYPE":"A","MISSING_DATA":"False","POLYLINE":"[`,
		start, taxi-20000000, call, origin, stand, taxi, start)
	longitude, latitude := -8.6+r.NormFloat64()*0.02, 41.15+r.NormFloat64()*0.02
	for p := range 5 + int(r.ExpFloat64()*42) {
		if p > 0 {
			dst = append(dst, ',')
		}
		longitude += r.NormFloat64() * 0.0012
		latitude += r.NormFloat64() * 0.0009
		dst = fmt.Appendf(dst, "[%.6f,%.6f]", longitude, latitude)
	}
	return append(dst, `]"}`...)
}

const narrowDocument = `{"type":"object","x-extra":false,"properties":{
	"id":{"type":"integer"},"ts":{"type":"string","format":"date-time"},"user":{"type":"string"},"sid":{"type":"string"},
	"event":{"type":"string"},"country":{"type":"string"},"city":{"type":"string"},"device":{"type":"string"},
	"os":{"type":"string"},"ver":{"type":"string"},"ok":{"type":"boolean"},"code":{"type":"integer"},
	"dur":{"type":"integer"},"bytes":{"type":"integer"},"price":{"type":"number"},"lat":{"type":"number"},
	"lon":{"type":"number"},"ref":{"type":"string"},"n":{"type":"integer"},"new":{"type":"boolean"}}}`

var (
	events    = []string{"view", "click", "scroll", "purchase", "login", "logout", "search", "share"}
	countries = []string{"DE", "US", "FR", "GB", "PT", "ES", "BR", "JP", "IN", "CN", "NL", "SE", "PL", "IT", "CH"}
	devices   = []string{"phone", "tablet", "desktop", "tv"}
	systems   = []string{"android", "ios", "windows", "linux", "macos"}
)

func pick(r *rand.Rand, list []string) string { return list[r.IntN(len(list))] }

func narrowLine(dst []byte, r *rand.Rand, i int) []byte {
	at := time.UnixMilli(1700000000000 + int64(i)*13 + r.Int64N(500)).UTC()
	dst = fmt.Appendf(dst, `{"id":%d,"ts":"%s","user":"u%07d","sid":"%016x","event":"%s","country":"%s","city":"city-%d","device":"%s","os":"%s","ver":"%d.%d.%d","ok":%t,"code":%d,"dur":%d,"bytes":%d,`,
		1000000+i, at.Format("2006-01-02T15:04:05.000Z"), r.IntN(3000000), r.Uint64(), pick(r, events), pick(r, countries),
		r.IntN(800), pick(r, devices), pick(r, systems), 1+r.IntN(3), r.IntN(10), r.IntN(20), r.IntN(20) > 0,
		200+100*r.IntN(4), int(r.ExpFloat64()*300), int(r.ExpFloat64()*20000))
	if r.IntN(3) == 0 {
		dst = append(dst, `"price":null`...)
	} else {
		dst = fmt.Appendf(dst, `"price":%.2f`, float64(r.IntN(50000))/100)
	}
	return fmt.Appendf(dst, `,"lat":%.6f,"lon":%.6f,"ref":"https://example.com/p/%d","n":%d,"new":%t}`,
		r.Float64()*180-90, r.Float64()*360-180, r.IntN(5000), r.IntN(100), r.IntN(2) == 0)
}

const nestedDocument = `{"type":"object","x-extra":false,"properties":{
	"id":{"type":"integer"},"type":{"type":"string"},
	"actor":{"type":"object","properties":{"id":{"type":"integer"},"name":{"type":"string"},
		"geo":{"type":"object","properties":{"lat":{"type":"number"},"lon":{"type":"number"},"zone":{"type":"string"}}}}},
	"tags":{"type":"array","items":{"type":"string"}},
	"items":{"type":"array","items":{"type":"object","properties":{
		"sku":{"type":"string"},"qty":{"type":"integer"},"price":{"type":"number"}}}}}}`

func nestedLine(dst []byte, r *rand.Rand, i int) []byte {
	dst = fmt.Appendf(dst, `{"id":%d,"type":"%s","actor":{"id":%d,"name":"name %d","geo":{"lat":%.4f,"lon":%.4f,"zone":"%s"}},"tags":[`,
		5000000+i, pick(r, events), r.IntN(1000000), r.IntN(200000), r.Float64()*180-90, r.Float64()*360-180, pick(r, countries))
	for t := range r.IntN(5) {
		if t > 0 {
			dst = append(dst, ',')
		}
		dst = fmt.Appendf(dst, `"tag%d"`, r.IntN(300))
	}
	dst = append(dst, `],"items":[`...)
	for t := range r.IntN(4) {
		if t > 0 {
			dst = append(dst, ',')
		}
		dst = fmt.Appendf(dst, `{"sku":"SKU-%05d","qty":%d,"price":%.2f}`, r.IntN(20000), 1+r.IntN(9), float64(r.IntN(20000))/100)
	}
	return append(dst, `]}`...)
}

const smallDocument = `{"type":"object","x-extra":false,"properties":{
	"sensor":{"type":"string"},"ts":{"type":"integer"},"unit":{"type":"string"},"value":{"type":"number"},"ok":{"type":"boolean"},"batch":{"type":"integer"}}}`

func smallLine(dst []byte, r *rand.Rand, i int) []byte {
	return fmt.Appendf(dst, `{"sensor":"sensor-%06d","ts":%d,"unit":"%s","value":%.4f,"ok":%t,"batch":0}`,
		r.IntN(100000), 1700000000000+int64(i)*13, pick(r, devices), r.NormFloat64()*100, r.IntN(50) > 0)
}
