package prefix

import (
	"errors"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/record"
)

// FuzzTemplate holds for templates, queries and payloads of any kind that New refuses them or gives a Router whose keys
// are sound.
func FuzzTemplate(f *testing.F) {
	const errs = "e/!{firehose:error-output-type}/!{timestamp:yyyy}/"
	f.Add("", "", "", []byte(`{}`), int64(0))
	f.Add("year=!{timestamp:yyyy}/!{firehose:random-string}", errs, "", []byte(``), int64(1407974400123))
	f.Add("c=!{partitionKeyFromQuery:c}/!{timestamp:'x'HH}/", errs, "{c:.c}", []byte(`{"c":"a/b"}`), int64(1711846799999))
	f.Add("!{partitionKeyFromQuery:c}!{partitionKeyFromQuery:c}/", errs, `{c:(.c|tostring)}`, []byte(`{"c":[".."]}`), int64(-1))
	f.Add("a/./b", errs, ".", []byte(`{"c":"."}`), int64(1))
	f.Add("!{!{timestamp:y}}", "!{", "..", []byte(`1`), int64(1))
	zone := mustZone("America/St_Johns")
	f.Fuzz(func(t *testing.T, data, errs, source string, payload []byte, ms int64) {
		if len(data)+len(errs)+len(source) > 2000 {
			return
		}
		r, err := New(Config{Data: data, Error: errs, Query: source, Zone: zone})
		if err != nil {
			return
		}
		at := time.UnixMilli(ms % 250e12)
		for _, kind := range []record.OutputType{record.ProcessingFailed, record.FormatConversionFailed} {
			checkKeyPrefix(t, r.KeyPrefix(r.ErrorPartition(kind, at)))
		}
		rec := &record.Record{Arrival: at, Data: payload}
		partition, err := r.Partition(rec)
		if err != nil {
			if fault, ok := errors.AsType[*record.Fault](err); !ok || fault.Type != record.ProcessingFailed || fault.Code == "" || fault.Message == "" {
				t.Errorf("error %v: want a fault", err)
			}
			return
		}
		checkKeyPrefix(t, r.KeyPrefix(partition))
		if again, err := r.Partition(rec); err != nil || again != partition && !strings.Contains(source, "now") {
			t.Errorf("%q the first time, %q, %v the second", partition, again, err)
		}
	})
}
