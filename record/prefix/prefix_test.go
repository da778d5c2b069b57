package prefix_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/prefix"
)

// The sources of the conformance table: pages of the Amazon Data Firehose Developer Guide, and what others saw the
// service do.
const (
	pagePrefixes  = `page "Understand custom prefixes for Amazon S3 objects"`
	pageName      = `page "Configure Amazon S3 object name format"`
	pagePartition = `page "Use Amazon S3 bucket prefix to deliver data"`
	observed      = "observed on the service by the floci project (July 2026, eu-west-1)"
	ours          = "our choice: the pages say nothing"
)

// evaluated is what the page's table of examples calls 10:30 AM UTC on 27 August 2018. (The page's own results show
// other days; the fields are what counts.)
var evaluated = time.Date(2018, 8, 27, 10, 30, 0, 0, time.UTC)

const errorPrefix = "errors/!{firehose:error-output-type}/"

func TestRouter_ConformsToFirehose(t *testing.T) {
	const random = "[0-9A-Za-z]{11}"
	for _, c := range []struct {
		source    string
		config    prefix.Config
		payload   string
		data      string // regular expression
		errorData string // regular expression, for processing-failed; empty: not looked at
	}{
		{
			source: pagePrefixes + ", example 1; no time is appended to an error prefix with expressions",
			config: prefix.Config{Error: "myFirehoseFailures/!{firehose:error-output-type}/"},
			data:   "2018/08/27/10/", errorData: "myFirehoseFailures/processing-failed/",
		},
		{
			source: pagePrefixes + ", example 3",
			config: prefix.Config{
				Data:  "myFirehose/DeliveredYear=!{timestamp:yyyy}/anyMonth/rand=!{firehose:random-string}",
				Error: "myFirehoseFailures/!{firehose:error-output-type}/!{timestamp:yyyy}/anyMonth/!{timestamp:dd}",
			},
			data: "myFirehose/DeliveredYear=2018/anyMonth/rand=" + random, errorData: "myFirehoseFailures/processing-failed/2018/anyMonth/27",
		},
		{
			source: pagePrefixes + ", example 4",
			config: prefix.Config{
				Data:  "myPrefix/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/",
				Error: "myErrorPrefix/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/!{firehose:error-output-type}",
			},
			data: "myPrefix/year=2018/month=08/day=27/hour=10/", errorData: "myErrorPrefix/year=2018/month=08/day=27/hour=10/processing-failed",
		},
		{
			source: pagePrefixes + ", example 4 with its quoted error prefix",
			config: prefix.Config{Error: "myErrorPrefix/!{timestamp:'year='yyyy'/month='MM'/day='dd'/hour='HH}/!{firehose:error-output-type}"},
			data:   "2018/08/27/10/", errorData: "myErrorPrefix/year=2018/month=08/day=27/hour=10/processing-failed",
		},
		{
			source: pagePrefixes + ", example 5, with the slash that its result shows written down; " + observed + " that none is inserted",
			config: prefix.Config{Data: "myFirehosePrefix/"},
			data:   "myFirehosePrefix/2018/08/27/10/", errorData: "myFirehosePrefix/processing-failed/2018/08/27/10/",
		},
		{
			source: observed + ": legacy becomes legacy2026/07/13/14/",
			config: prefix.Config{Data: "legacy"},
			data:   "legacy2018/08/27/10/", errorData: "legacyprocessing-failed/2018/08/27/10/",
		},
		{
			source: pageName + ": the default",
			config: prefix.Config{},
			data:   "2018/08/27/10/", errorData: "processing-failed/2018/08/27/10/",
		},
		{
			source: pageName + ": the zone moves the time of the prefix",
			config: prefix.Config{Zone: zone("Asia/Tokyo")},
			data:   "2018/08/27/19/",
		},
		{
			source: pagePrefixes + ": any character that is not in single quotes is evaluated, and quoted text is taken literally",
			config: prefix.Config{Data: "!{timestamp:'yyyy='yyyy'/''MM''='MM}/", Error: errorPrefix},
			data:   "yyyy=2018/'MM'=08/",
		},
		{
			source: pagePrefixes + ": every use of random-string is another string, also at the beginning",
			config: prefix.Config{Data: "!{firehose:random-string}/!{firehose:random-string}/!{timestamp:yyyy}/", Error: errorPrefix},
			data:   random + "/" + random + "/2018/",
		},
		{
			source: pagePrefixes + ": both prefixes take random-string",
			config: prefix.Config{Error: "!{firehose:random-string}/!{firehose:error-output-type}-!{firehose:error-output-type}/"},
			data:   "2018/08/27/10/", errorData: random + "/processing-failed-processing-failed/",
		},
		{
			source: observed + ": nothing is appended to a prefix with any expression, although the page has the time appended",
			config: prefix.Config{Data: "myPrefix/!{firehose:random-string}/", Error: errorPrefix},
			data:   "myPrefix/" + random + "/",
		},
		{
			source: observed + ": other braces are text",
			config: prefix.Config{Data: "{year}/${x}/!(y)/"},
			data:   regexp.QuoteMeta("{year}/${x}/!(y)/2018/08/27/10/"),
		},
		{
			source: pagePartition + ": the example, with its key",
			config: prefix.Config{
				Data: "customer_id=!{partitionKeyFromQuery:customer_id}/device=!{partitionKeyFromQuery:device}/year=!{partitionKeyFromQuery:year}/" +
					"month=!{partitionKeyFromQuery:month}/day=!{partitionKeyFromQuery:day}/hour=!{partitionKeyFromQuery:hour}/",
				Error: errorPrefix,
				Query: `{customer_id:.customer_id,device:.type.device,year:.event_timestamp|strftime("%Y"),month:.event_timestamp|strftime("%m"),` +
					`day:.event_timestamp|strftime("%d"),hour:.event_timestamp|strftime("%H")}`,
			},
			payload: `{"type":{"device":"mobile","event":"user_clicked_submit_button"},"customer_id":"1234567890","event_timestamp":1565382027,"region":"sample_region"}`,
			data:    "customer_id=1234567890/device=mobile/year=2019/month=08/day=09/hour=20/",
		},
		{
			source: pagePartition + ": timestamp and partition keys stand together",
			config: prefix.Config{
				Data: "customer_id=!{partitionKeyFromQuery:customer_id}/date=!{timestamp:yyyy-MM-dd}/", Error: errorPrefix, Query: "{customer_id:.customer_id}",
			},
			payload: `{"customer_id":7}`,
			data:    "customer_id=7/date=2018-08-27/",
		},
		{
			source: ours + " of an error prefix of text alone; it ends as the default does, so that the kinds of error stay apart",
			config: prefix.Config{Data: "a/", Error: "failed/"},
			data:   "a/2018/08/27/10/", errorData: "failed/processing-failed/2018/08/27/10/",
		},
		{
			source: ours + " of slashes: the template's are its author's",
			config: prefix.Config{Data: "/landing//!{timestamp:yyyy}/", Error: errorPrefix},
			data:   "/landing//2018/",
		},
	} {
		t.Run(c.source, func(t *testing.T) {
			r, err := prefix.New(c.config)
			if err != nil {
				t.Fatal(err)
			}
			partition, err := r.Partition(&record.Record{Arrival: evaluated, Data: []byte(c.payload)})
			if err != nil {
				t.Fatal(err)
			}
			if key := r.KeyPrefix(partition); !regexp.MustCompile("^" + c.data + "$").MatchString(key) {
				t.Errorf("key prefix %q: want %q", key, c.data)
			}
			if c.errorData == "" {
				return
			}
			key := r.KeyPrefix(r.ErrorPartition(record.ProcessingFailed, evaluated))
			if !regexp.MustCompile("^" + c.errorData + "$").MatchString(key) {
				t.Errorf("error key prefix %q: want %q", key, c.errorData)
			}
		})
	}
}

func TestNew_RefusesWhatFirehoseRefuses(t *testing.T) {
	for _, c := range []struct {
		source string
		config prefix.Config
		want   string
	}{
		{pagePrefixes + ", example 2", prefix.Config{Data: "!{timestamp:yyyy/MM/dd}"}, "error prefix: want a prefix"},
		{pagePrefixes, prefix.Config{Data: "!{firehose:error-output-type}/", Error: errorPrefix}, "prefix: want no !{firehose:error-output-type}"},
		{pagePrefixes, prefix.Config{Error: "e/!{timestamp:yyyy}/"}, "error prefix: want !{firehose:error-output-type}"},
		{pagePrefixes + ": !{ appears in expressions only", prefix.Config{Data: "a/!{/", Error: errorPrefix}, `prefix: want a closing brace after "!{/"`},
		{pagePrefixes + ": !{ appears in expressions only", prefix.Config{Data: "a/!{}/", Error: errorPrefix}, "want namespace:value"},
		{pagePrefixes + ": !{ appears in expressions only", prefix.Config{Data: "a/!{timestamp:'!{'yyyy}/", Error: errorPrefix}, "no expression within another"},
		{pagePrefixes, prefix.Config{Data: "!{year:yyyy}/", Error: errorPrefix}, "before the colon"},
		{pagePrefixes, prefix.Config{Data: "!{timestamp:}/", Error: errorPrefix}, "want namespace:value"},
		{pagePrefixes, prefix.Config{Data: "!{ timestamp:yyyy}/", Error: errorPrefix}, "before the colon"},
		{pagePrefixes, prefix.Config{Data: "!{firehose:random}/", Error: errorPrefix}, "random-string or firehose:error-output-type"},
		{pagePrefixes + ": Java's patterns", prefix.Config{Data: "!{timestamp:yyyy/MM/ddd}/", Error: errorPrefix}, `"d" may be repeated at most 2 times`},
		{pagePrefixes + ": Java's patterns", prefix.Config{Data: "!{timestamp:'year=yyyy}/", Error: errorPrefix}, "not closed"},
		{"locale-bound letters: our choice", prefix.Config{Data: "!{timestamp:YYYY/MM/dd}/", Error: errorPrefix}, "use yyyy"},
		{pagePrefixes + ": 512 characters evaluated", prefix.Config{Data: strings.Repeat("x", 512-14+1)}, "at most 512 characters and 700 bytes when evaluated, not 513"},
		{pagePrefixes + ": 512 characters evaluated", prefix.Config{Data: strings.Repeat("x", 500) + "/!{firehose:random-string}/", Error: errorPrefix}, "at most 512 characters and 700 bytes when evaluated, not 513"},
		{pagePrefixes + ": 512 characters evaluated", prefix.Config{Error: strings.Repeat("x", 512-24) + "!{firehose:error-output-type}/"}, "error prefix: want at most 512 characters and 700 bytes when evaluated, not 513"},
		{"S3 keys have 1,024 bytes", prefix.Config{Data: strings.Repeat("\u00e9", 350)}, "and 714"},
		{pagePartition, prefix.Config{Data: "!{partitionKeyFromQuery:a}/", Error: errorPrefix}, "query: want a query that makes the keys of the prefix: a"},
		{pagePartition, prefix.Config{Data: "a/!{timestamp:yyyy}/", Error: errorPrefix, Query: "{a:.a}"}, "query: want no query"},
		{pagePartition, prefix.Config{Data: "!{partitionKeyFromQuery:a}/", Error: errorPrefix + "!{partitionKeyFromQuery:a}/", Query: "{a:.a}"}, "a record that failed has no keys"},
		{pagePartition, prefix.Config{Data: "!{partitionKeyFromQuery:b}/", Error: errorPrefix, Query: "{a:.a}"}, `query: want the partition key "b"`},
		{pagePartition, prefix.Config{Data: "!{partitionKeyFromLambda:}/", Error: errorPrefix}, "want namespace:value"},
		{pagePartition, prefix.Config{Data: "!{partitionKeyFromLambda:a}/", Error: errorPrefix + "!{partitionKeyFromLambda:a}/"}, "a record that failed has no keys"},
		{pagePartition, prefix.Config{Data: "!{partitionKeyFromLambda:a}/", Error: errorPrefix, Query: "{a:.a}"}, "query: want no query"},
		{pagePartition, prefix.Config{Data: "!{partitionKeyFromQuery:a}/!{partitionKeyFromLambda:a}/", Error: errorPrefix}, "query: want a query that makes the keys of the prefix: a"},
		{`page "Amazon Data Firehose Quota"`, prefix.Config{Data: manyKeys(50) + "!{partitionKeyFromLambda:a}/", Error: errorPrefix, Query: "."}, "prefix: want at most 50 partition keys, not 51"},
		{pagePartition, prefix.Config{Data: "!{partitionKeyFromQuery:a}/", Error: errorPrefix, Query: "{a:"}, "query"},
		{pagePartition, prefix.Config{Data: "!{partitionKeyFromQuery:a}/", Error: errorPrefix, Query: "{a:nonesuch(.x)}"}, "nonesuch"},
		{`page "Amazon Data Firehose Quota"`, prefix.Config{Data: manyKeys(51), Error: errorPrefix, Query: "."}, "prefix: want at most 50 partition keys, not 51"},
		{`page "Amazon Data Firehose Quota"`, prefix.Config{Data: manyKeys(1), Error: errorPrefix, Query: "{" + strings.Trim(strings.ReplaceAll(manyMembers(51), " ", ""), ",") + "}"}, "query: want at most 50 partition keys, not 51"},
		{"no client addresses it: our choice", prefix.Config{Data: "a/../!{timestamp:yyyy}/", Error: errorPrefix}, `".."`},
		{"no client addresses it: our choice", prefix.Config{Data: "!{timestamp:'.'}/", Error: errorPrefix}, `"."`},
		{"no client addresses it: our choice", prefix.Config{Data: "a\n/"}, "U+000A at byte 1"},
		{"no client addresses it: our choice", prefix.Config{Data: "a\u0085/"}, "U+0085"},
		{"no client addresses it: our choice", prefix.Config{Data: "a\uffff/"}, "U+FFFF"},
		{"no client addresses it: our choice", prefix.Config{Data: "a\xff/"}, "valid UTF-8, not what is at byte 1"},
	} {
		t.Run(c.want, func(t *testing.T) {
			_, err := prefix.New(c.config)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v, want %q", c.source, err, c.want)
			}
		})
	}
}

// Keys of a function are taken from the record, beside those of a query, and escaped alike. A record without one of them is
// faulty, as it is in Firehose.
func TestRouter_TakesKeysOfAFunction(t *testing.T) {
	for _, c := range []struct {
		data, query string
		keys        map[string]string
		want        string // or the fault
	}{
		{"c=!{partitionKeyFromLambda:c}/", "", map[string]string{"c": "42", "other": "x"}, "c=42/"},
		{"c=!{partitionKeyFromLambda:c}/", "", map[string]string{"c": "a/b=c"}, "c=a%2Fb%3Dc/"},
		{"!{partitionKeyFromLambda:c}/", "", map[string]string{"c": ".."}, "%2E%2E/"},
		{"!{partitionKeyFromLambda:c}/", "", map[string]string{"c": "_x"}, "%5Fx/"},
		{"!{partitionKeyFromLambda:b}/!{partitionKeyFromQuery:a}/!{partitionKeyFromLambda:a}/!{timestamp:yyyy}/!{partitionKeyFromQuery:b}/!{partitionKeyFromLambda:b}/",
			"{a:.a,b:.b}", map[string]string{"a": "la", "b": "lb"}, "lb/qa/la/2018/qb/lb/"},
		{"!{partitionKeyFromLambda:c}/", "", nil, "DynamicPartitioning.MetadataExtractionFailed: the function gives the record no partition key c"},
		{"!{partitionKeyFromLambda:c}/", "", map[string]string{"C": "42"}, "DynamicPartitioning.MetadataExtractionFailed: the function gives the record no partition key c"},
		{"!{partitionKeyFromLambda:c}/", "", map[string]string{"c": ""}, "DynamicPartitioning.MetadataExtractionFailed: the function gives the record no partition key c"},
		{"!{partitionKeyFromQuery:a}/!{partitionKeyFromLambda:c}/", "{a:.none}", map[string]string{"c": "42"}, "DynamicPartitioning.MetadataExtractionFailed: partition key a is null or missing"},
		{"!{partitionKeyFromLambda:c}/", "", map[string]string{"c": strings.Repeat("x", 600)},
			"DynamicPartitioning.PrefixTooLong: the evaluated prefix has more than 512 characters or 700 bytes"},
	} {
		t.Run(c.want, func(t *testing.T) {
			r, err := prefix.New(prefix.Config{Data: c.data, Error: errorPrefix, Query: c.query})
			if err != nil {
				t.Fatal(err)
			}
			if given := r.Given(); len(given) == 0 {
				t.Error("the router does not name the keys")
			}
			got, err := r.Partition(&record.Record{Arrival: evaluated, Data: []byte(`{"a":"qa","b":"qb"}`), Keys: c.keys})
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "!{partitionKeyFromQuery:k%d}/", i)
	}
	return b.String()
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d, ", i)
	}
	return b.String()
}

func TestNew_TakesFiftyKeysAndFiveHundredTwelveCharacters(t *testing.T) {
	for name, c := range map[string]prefix.Config{
		"50 keys, one of them twice": {Data: manyKeys(50) + manyKeys(1), Error: errorPrefix, Query: "."},
		"512 characters":             {Data: strings.Repeat("x", 512-14), Error: strings.Repeat("x", 512-25) + errorPrefix[len("errors/"):]},
		"three dots":                 {Data: "a/.../!{timestamp:yyyy}/", Error: errorPrefix},
	} {
		if _, err := prefix.New(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNew_NamesEveryFaultAtOnce(t *testing.T) {
	_, err := prefix.New(prefix.Config{Data: "!{timestamp:b}/!{x:y}/", Error: "!{timestamp:yyyy}/", Query: "{"})
	for _, want := range []string{`"b" is not a letter`, "!{x:y}", "query"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v: want %q in it", err, want)
		}
	}
}

func TestRouter_RoutesEachRecordByItsOwnArrival(t *testing.T) {
	r := router(t, prefix.Config{})
	for _, c := range []struct{ arrival, want string }{
		{"2024-12-31T23:59:59.999Z", "2024/12/31/23/"},
		{"2025-01-01T00:00:00Z", "2025/01/01/00/"},
		{"2024-12-31T23:59:59.999Z", "2024/12/31/23/"}, // an older record of a shard that lags
	} {
		at, err := time.Parse(time.RFC3339Nano, c.arrival)
		if err != nil {
			t.Fatal(err)
		}
		if got := partition(t, r, at, ""); got != c.want {
			t.Errorf("%s lies in %q: want %q", c.arrival, got, c.want)
		}
	}
}

func TestRouter_DrawsRandomStringsForEachFile(t *testing.T) {
	r := router(t, prefix.Config{Data: "a/!{firehose:random-string}/b-!{firehose:random-string}", Error: errorPrefix})
	one := partition(t, r, evaluated, "")
	if other := partition(t, r, evaluated.Add(time.Hour), ""); one != other {
		t.Fatalf("one partition became two: %q and %q", one, other)
	}
	seen := make(map[string]bool)
	for range 100 {
		key := r.KeyPrefix(one)
		first, second, _ := strings.Cut(strings.TrimPrefix(key, "a/"), "/b-")
		if len(first) != 11 || len(second) != 11 {
			t.Fatalf("key prefix %q: want two strings of 11 characters", key)
		}
		seen[first], seen[second] = true, true
	}
	if len(seen) != 200 {
		t.Errorf("%d different strings of 200", len(seen))
	}
}

func TestRouter_DrawsTheSameStringsForASeed(t *testing.T) {
	r := router(t, prefix.Config{Error: "!{firehose:error-output-type}/!{firehose:random-string}/!{firehose:random-string}/"})
	at := time.Date(2018, 8, 27, 10, 0, 0, 0, time.UTC)
	partition := r.ErrorPartition(record.ProcessingFailed, at)
	one := r.KeyPrefixOf(partition, "one")
	if again := r.KeyPrefixOf(partition, "one"); again != one {
		t.Errorf("%q, and then %q", one, again)
	}
	if other := r.KeyPrefixOf(partition, "two"); other == one {
		t.Errorf("two seeds have %q", one)
	}
	parts := strings.Split(one, "/")
	if len(parts) != 4 || parts[0] != "processing-failed" || len(parts[1]) != 11 || parts[1] == parts[2] {
		t.Errorf("the prefix is %q", one)
	}
}

func TestRouter_MessagesNameTheKeyAndNeverAValue(t *testing.T) {
	const secret = "s3cr3t"
	for _, c := range []struct {
		name, query, payload string
		code, message        string
	}{
		{"not JSON", "{c:.c}", secret, prefix.CodeMetadataExtractionFailed, "not a single JSON value"},
		{"two values", "{c:.c}", `{"c":"` + secret + `"} 1`, prefix.CodeMetadataExtractionFailed, "not a single JSON value"},
		{"missing", "{c:.c}", `{"d":"` + secret + `"}`, prefix.CodeMetadataExtractionFailed, "partition key c is null or missing"},
		{"null", "{c:.c}", `{"c":null,"d":"` + secret + `"}`, prefix.CodeMetadataExtractionFailed, "partition key c is null or missing"},
		{"empty", "{c:.c}", `{"c":"","d":"` + secret + `"}`, prefix.CodeMetadataExtractionFailed, "partition key c is empty"},
		{"object", "{c:.c}", `{"c":{"` + secret + `":1}}`, prefix.CodeMetadataExtractionFailed, "partition key c is an object"},
		{"array", "{c:.c}", `{"c":["` + secret + `"]}`, prefix.CodeMetadataExtractionFailed, "partition key c is an array"},
		{"infinite", "{c:infinite}", `{"d":"` + secret + `"}`, prefix.CodeMetadataExtractionFailed, "partition key c is not a finite number"},
		{"not a number", "{c:nan}", `{"d":"` + secret + `"}`, prefix.CodeMetadataExtractionFailed, "partition key c is not a finite number"},
		{"no object on the way", "{c:.c.d}", `{"c":"` + secret + `"}`, prefix.CodeMetadataExtractionFailed, "the query failed"},
		{"error of the query", "{c:(.c|tonumber)}", `{"c":"` + secret + `"}`, prefix.CodeMetadataExtractionFailed, "the query failed"},
		{"error by the query", "error(.c)", `{"c":"` + secret + `"}`, prefix.CodeMetadataExtractionFailed, "the query failed"},
		{"halt", "halt_error", `{"c":"` + secret + `"}`, prefix.CodeMetadataExtractionFailed, "the query failed"},
		{"no result", "{c:.c}|select(.c==1)", `{"c":"` + secret + `"}`, prefix.CodeMetadataExtractionFailed, "no result"},
		{"two results", "{c:.c[]}", `{"c":["` + secret + `","x"]}`, prefix.CodeMetadataExtractionFailed, "more than one result"},
		{"error after a result", "{c:.c},error(.c)", `{"c":"` + secret + `"}`, prefix.CodeMetadataExtractionFailed, "the query failed"},
		{"no object", ".c", `{"c":"` + secret + `"}`, prefix.CodeMetadataExtractionFailed, "not an object"},
		{"long value", "{c:.c}", `{"c":"` + strings.Repeat(secret, 100) + `"}`, prefix.CodePrefixTooLong, "512"},
		{"endless loop", "{c:last(range(1e12))}", `{"c":"` + secret + `"}`, prefix.CodeQueryTooExpensive, "work"},
		{"endless list", "{c:[range(1e12)]}", `{"c":"` + secret + `"}`, prefix.CodeQueryTooExpensive, "work"},
		{"endless recursion", "def f: 1 + f; {c:f}", `{"c":"` + secret + `"}`, prefix.CodeQueryTooExpensive, "work"},
		{"endless search for a second result", "{c:.c},(range(1e12)|select(.<0))", `{"c":"` + secret + `"}`, prefix.CodeQueryTooExpensive, "work"},
		{"endless although tried", "{c:(try last(repeat(1)) catch 1)}", `{"c":"` + secret + `"}`, prefix.CodeQueryTooExpensive, "work"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := router(t, prefix.Config{Data: "c=!{partitionKeyFromQuery:c}/", Error: errorPrefix, Query: c.query})
			got, err := r.Partition(&record.Record{Arrival: evaluated, Data: []byte(c.payload)})
			fault, ok := errors.AsType[*record.Fault](err)
			if !ok {
				t.Fatalf("got partition %q and error %v: want a fault", got, err)
			}
			if fault.Code != c.code || fault.Type != record.ProcessingFailed || !strings.Contains(fault.Message, c.message) {
				t.Errorf("got %+v: want %s %q", fault, c.code, c.message)
			}
			if got != "" || strings.Contains(fault.Message, secret) {
				t.Errorf("partition %q, message %q", got, fault.Message)
			}
		})
	}
}

func TestRouter_BoundsThePrefixWithItsRandomStrings(t *testing.T) {
	r := router(t, prefix.Config{Data: "!{partitionKeyFromQuery:c}!{firehose:random-string}!{firehose:random-string}", Error: errorPrefix, Query: "{c:.c}"})
	for size, fits := range map[int]bool{490: true, 491: false} {
		p, err := r.Partition(&record.Record{Arrival: evaluated, Data: fmt.Appendf(nil, `{"c":%q}`, strings.Repeat("x", size))})
		if (err == nil) != fits {
			t.Errorf("value of %d characters: error %v", size, err)
		}
		if err == nil && len(r.KeyPrefix(p)) != 512 {
			t.Errorf("the key prefix has %d characters", len(r.KeyPrefix(p)))
		}
	}
	for size, fits := range map[int]bool{226: true, 227: false} { // 3 bytes each, and two random strings: 700 bytes
		_, err := r.Partition(&record.Record{Arrival: evaluated, Data: fmt.Appendf(nil, `{"c":%q}`, strings.Repeat("\u20ac", size))})
		if (err == nil) != fits {
			t.Errorf("value of %d euro signs: error %v", size, err)
		}
	}
}

func TestRouter_IsSafeForConcurrentUse(t *testing.T) {
	r := router(t, prefix.Config{
		Data:  "!{timestamp:yyyy-MM-dd-HH-mm}/c=!{partitionKeyFromQuery:c}/",
		Error: errorPrefix + "!{timestamp:HH}/", Query: "{c:.c}", Zone: zone("America/New_York"),
	})
	var shards sync.WaitGroup
	for shard := range 8 {
		shards.Go(func() {
			// Minutes around the end of daylight saving time; each shard is somewhere else.
			at := time.Date(2024, 11, 3, 5, 7*shard, 0, 0, time.UTC)
			for i := range 400 {
				at := at.Add(time.Duration(i) * 17 * time.Second)
				c := (i * shard) % 300
				got, err := r.Partition(&record.Record{Arrival: at, Data: fmt.Appendf(nil, `{"c":%d}`, c)})
				if want := fmt.Sprintf("%s/c=%d/", at.In(zone("America/New_York")).Format("2006-01-02-15-04"), c); err != nil || got != want {
					t.Errorf("shard %d: %q, %v: want %q", shard, got, err, want)
					return
				}
				if got := r.ErrorPartition(record.FormatConversionFailed, at); !strings.HasPrefix(got, "errors/format-conversion-failed/") {
					t.Errorf("shard %d: error partition %q", shard, got)
				}
			}
		})
	}
	shards.Wait()
}

func TestRouter_AllocatesNothingForTimesAndPathsInTheSteadyState(t *testing.T) {
	for name, c := range map[string]prefix.Config{
		"times": {Data: "!{timestamp:yyyy/MM/dd/HH}/!{firehose:random-string}/", Error: errorPrefix},
		"paths": {Data: "!{timestamp:yyyy}/!{partitionKeyFromQuery:c}/", Error: errorPrefix, Query: "{c:.a.c}"},
	} {
		r := router(t, c)
		rec := record.Record{Arrival: evaluated, Data: []byte(`{"x":[1,2,{"y":null}],"a":{"c":"Lisboa/\u00e9"}}`)}
		if name == "paths" {
			rec.Data = []byte(`{"x":[1,2,{"y":null}],"a":{"c":"Lisboa/é"}}`)
		}
		if n := testing.AllocsPerRun(100, func() {
			if _, err := r.Partition(&rec); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a record", name, n)
		}
	}
}

func router(t testing.TB, c prefix.Config) *prefix.Router {
	t.Helper()
	r, err := prefix.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func partition(t testing.TB, r *prefix.Router, at time.Time, payload string) string {
	t.Helper()
	p, err := r.Partition(&record.Record{Arrival: at, Data: []byte(payload)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func zone(name string) *time.Location {
	z, err := prefix.LoadZone(name)
	if err != nil {
		panic(err)
	}
	return z
}

// The interpreter computes with arbitrary precision, for which a few bytes can ask for gigabytes.
func TestRouter_GivesNoHugeNumbersToAQuery(t *testing.T) {
	r := router(t, prefix.Config{Data: "c=!{partitionKeyFromQuery:c}/", Error: errorPrefix, Query: `{c:(.c|.+1)}`})
	for _, c := range []struct {
		number string
		fits   bool
	}{
		{"1e400", true}, {"1e401", false}, {"1E-401", false}, {"1e-1000001", false}, {"1e99999999999999999999", false},
		{strings.Repeat("7", 400), true}, {strings.Repeat("7", 401), false}, {"0." + strings.Repeat("0", 1_000_000) + "1", false},
	} {
		_, err := r.Partition(&record.Record{Arrival: evaluated, Data: []byte(`{"c":1,"d":[{"e":` + c.number + `}]}`)})
		fault, refused := errors.AsType[*record.Fault](err)
		if refused == c.fits || refused && fault.Code != record.CodeJSONNumberTooLarge {
			t.Errorf("number %.20s…: error %v, want it to fit: %v", c.number, err, c.fits)
		}
	}
}
