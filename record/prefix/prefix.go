// Package prefix determines where a record is stored: it evaluates key prefixes written in Firehose's language.
//
// A prefix is text with expressions !{namespace:value} (Amazon Data Firehose Developer Guide, "Understand custom
// prefixes for Amazon S3 objects"):
//
//	!{timestamp:yyyy/MM/dd}          arrival time of the record, in the pattern language of Java's DateTimeFormatter
//	!{partitionKeyFromQuery:name}    member of the object that the (jq) query makes from the payload
//	!{partitionKeyFromLambda:name}   partition key that a Lambda function has given the record
//	!{firehose:random-string}        eleven random characters, drawn for each file and each use
//	!{firehose:error-output-type}    kind of error; error prefix only
//
// # Rules
//
// The rules are Firehose's, from the same page unless stated otherwise. New refuses a template that breaks one of them.
//
//   - "!{" always begins an expression. Expressions do not nest.
//   - !{timestamp:yyyy/MM/dd/HH}/ is appended to a prefix without expressions, even an empty one, with no slash before it.
//   - The error prefix may be empty only if the prefix has no expressions. It is then the prefix, the error type, a
//     slash and the time. An error prefix without expressions gets the same ending.
//   - An error prefix with expressions must have !{firehose:error-output-type}; the prefix must not.
//   - The error prefix has no partition keys.
//   - An evaluated prefix has at most 512 characters.
//   - A prefix uses at most 50 partition keys ("Amazon Data Firehose Quota"), none of them null or empty.
//   - Times are in UTC, or in the configured zone ("Configure Amazon S3 object name format").
//
// Where Firehose's documentation and behaviour differ, this package follows the behaviour. According to the page, the time
// is appended to every prefix without a timestamp expression; the service appends it only to prefixes without any
// expression. The page's own examples, and those of "Use Amazon S3 bucket prefix to deliver data", show that too.
//
// Three things differ on purpose:
//
//   - Firehose evaluates timestamp once per object, for the object's oldest record. Here each record is routed by itself,
//     so every record is stored under the hour in which it arrived.
//   - Values of partition keys are escaped as Hive escapes partition names. A value never creates a folder.
//   - An evaluated prefix has at most 700 bytes, so that the whole key fits in S3's 1,024 bytes.
//
// Slashes of the template itself are kept, including a leading one and two in a row: Firehose allows them, and tables
// point to what it has written. Control characters and the segments "." and ".." are refused, because clients and
// consoles cannot address them.
//
// # Arrival time and event time
//
// timestamp is the time at which Kinesis received the record. A prefix that uses nothing else never reads the payload and
// costs next to nothing, and its past partitions no longer grow. The time of the event is in the payload: use the query
// to extract it. Late records are then added to past partitions.
//
//	{day:(.ts|strftime("%Y-%m-%d"))}                        ts: 1407974400
//	{day:(.TIMESTAMP|tonumber|strftime("%Y-%m-%d"))}        TIMESTAMP: "1407974400"
//	{day:(.ms/1000|strftime("%Y-%m-%d"))}                   ms: 1407974400123
//	{day:.at[0:10]}                                         at: "2014-08-14T00:00:00.123+01:00"
//	{day:.at[0:10],hour:.at[11:13]}                         the same, two keys
//
// # Queries
//
// A query is a jq program that produces one object, like Firehose's MetadataExtractionQuery. It is run by gojq, whose
// language is that of jq 1.6, which Firehose uses, with these differences:
//
//   - Numbers keep their digits: 12345678901234567890 and 1.0 are unchanged. jq 1.6 writes 17 significant digits and
//     drops a trailing ".0".
//   - Integer arithmetic is exact, whatever the size.
//   - Regular expressions are RE2's, without look-around and back references.
//   - A number can index a string: "abc"[1] is "b"; in jq 1.6 it is an error.
//   - strftime and related functions support fractions of seconds and offsets.
//   - env and $ENV are empty, and there are no inputs, modules, input_line_number or $__loc__.
//
// docs/prefixes.md lists more. The members of an object are in the order of the payload, as in jq: gojq itself sorts them.
//
// The query is part of the settings and is trusted; payloads are not. The work of a query is bounded for each payload:
// 250,000 units, plus 8 for each byte of the payload. A unit is one step of the interpreter, or what a function does to
// eight bytes or one element; a function is charged before it runs. A payload takes the same work each time, on every
// machine, so neither an endless loop nor a hostile payload blocks a shard.
//
//   - This also bounds the strings, arrays and objects that a query produces: a string has at most 2 MB, plus 64 bytes for
//     each byte of the payload.
//   - A payload, and a value that is compared or written as text, has at most 256 levels of nesting, as in jq 1.6.
//   - Integers have at most some 400 digits, including those that a query computes or reads from a string.
//   - gsub and related functions take linear time: gsub replaces every character of a string of 1 MB.
//   - A function of gojq is available only if its cost is known. builtins, debug, jn, yn, modulemeta and patterns with
//     computed keys are not.
//
// Queries that consist only of paths, such as {customer:.customer.id,region:(.region//"none")}, bypass the interpreter:
// their values are read directly from the payload, with the same result.
//
// # Fault codes
//
// A record that cannot be routed gets a record.Fault. Its message names the key and the reason, never a value.
//
//	DynamicPartitioning.MetadataExtractionFailed  neither query nor function produces a partition key that the prefix uses
//	DynamicPartitioning.PrefixTooLong             the evaluated prefix is longer than 512 characters or 700 bytes
//	DynamicPartitioning.QueryTooExpensive         the query exceeds its work limit for the payload
package prefix

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"aws-streaming-pipeline/record"
)

const (
	// maxCharacters bounds an evaluated prefix ("Understand custom prefixes for Amazon S3 objects").
	maxCharacters = 512
	// maxBytes leaves room in S3's 1,024 bytes for what follows a prefix: the stream's name (128), the time, the
	// batch's id, the number of the file and an extension (128).
	maxBytes = 700
	// defaultTime is what Firehose appends to a prefix that has no expressions.
	defaultTime = "!{timestamp:yyyy/MM/dd/HH}/"
)

// Config holds the templates.
type Config struct {
	// Data is the prefix of data files; empty for Firehose's default, yyyy/MM/dd/HH/.
	Data string
	// Error is the prefix of error files. It may be empty only if Data has no expressions.
	Error string
	// Query is a jq program that makes an object of partition keys from a payload, such as {customer:.customer.id}. It
	// corresponds to Firehose's MetadataExtractionQuery.
	Query string
	// Zone is the time zone of timestamps; nil for UTC.
	Zone *time.Location
}

// Router evaluates the prefixes of records. It is safe for concurrent use, and takes no locks.
type Router struct {
	data   template
	errors template
	query  *query // nil if the prefix has no partition keys of a query
	frames frameCache
	names  nameCache
}

// New returns a Router for the templates. Its error reports every fault: it joins one *Problem for each text that has any.
func New(c Config) (*Router, error) {
	if c.Zone == nil {
		c.Zone = time.UTC
	}
	var found problems
	dataText, errorText, err := Complete(c.Data, c.Error)
	found.add(ErrorPart, err)
	data, dataErr := parse(dataText, c.Zone)
	errs, errErr := parse(errorText, c.Zone)
	found.add(DataPart, dataErr)
	found.add(ErrorPart, errErr)
	r := &Router{data: data, errors: errs}
	if dataErr == nil && errErr == nil {
		r.checkTemplates(c.Query != "", &found)
	}
	if c.Query != "" {
		r.query, err = compileQuery(c.Query, data.keys)
		found.add(QueryPart, err)
	}
	if err := found.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// Complete writes Firehose's defaults out: the time after a prefix without expressions, and an error prefix derived from the
// data prefix. A prefix that it returns stays as it is if it is completed again.
func Complete(data, errs string) (dataOut, errsOut string, err error) {
	plain := !strings.Contains(data, "!{")
	switch {
	case errs == "" && !plain:
		err = errors.New("want a prefix, because the data prefix has expressions")
		errs = "!{firehose:error-output-type}/" // no further fault
	case errs == "":
		errs = data + "!{firehose:error-output-type}/" + defaultTime
	case !strings.Contains(errs, "!{"):
		errs += "!{firehose:error-output-type}/" + defaultTime
	}
	if plain {
		data += defaultTime
	}
	return data, errs, err
}

// checkTemplates checks that each expression is in a place where it is allowed.
func (r *Router) checkTemplates(hasQuery bool, found *problems) {
	if r.data.has(kindErrorType) {
		found.add(DataPart, errors.New("want no !{firehose:error-output-type}: only the error prefix may have it"))
	}
	if r.errors.has(kindKey) {
		found.add(ErrorPart, errors.New("want no !{partitionKeyFromQuery:...}: a record that failed has no keys"))
	}
	if r.errors.has(kindGiven) {
		found.add(ErrorPart, errors.New("want no !{partitionKeyFromLambda:...}: a record that failed has no keys"))
	}
	if !r.errors.has(kindErrorType) {
		found.add(ErrorPart, errors.New("want !{firehose:error-output-type}, because the prefix has expressions"))
	}
	if r.data.has(kindKey) && !hasQuery {
		found.add(QueryPart, fmt.Errorf("want a query that makes the keys of the prefix: %s", strings.Join(r.data.keys, ", ")))
	}
	if hasQuery && !r.data.has(kindKey) {
		found.add(QueryPart, errors.New("want no query, because the prefix has no !{partitionKeyFromQuery:...}"))
	}
	if n := len(r.data.keys) + len(r.data.given); n > maxKeys {
		found.add(DataPart, fmt.Errorf("want at most %d partition keys, not %d", maxKeys, n))
	}
	found.add(DataPart, r.data.checkExtent())
	found.add(ErrorPart, r.errors.checkExtent())
}

// Partition returns the partition of a record, or a *record.Fault if it has none. It keeps no reference to the record.
// Random strings are not drawn yet: see KeyPrefix.
func (r *Router) Partition(rec *record.Record) (string, error) {
	f := r.frames.at(&r.data, rec.Arrival)
	if len(r.data.uses) == 0 {
		return f.texts[0], nil
	}
	var few [8]value
	values, fault := r.values(rec, few[:0])
	if fault != nil {
		return "", fault
	}
	var room [2 * maxBytes]byte
	name := r.data.fill(room[:0], f.texts, values, rec.Data)
	if len(name) > maxBytes-r.data.drawn || utf8.RuneCount(name) > maxCharacters-r.data.drawn {
		return "", faultOf(CodePrefixTooLong, fmt.Sprintf("the evaluated prefix has more than %d characters or %d bytes", maxCharacters, maxBytes))
	}
	return r.names.string(name), nil
}

// values returns the values of the keys that the data prefix uses: the query's, then the function's. It uses room if its capacity
// suffices.
func (r *Router) values(rec *record.Record, room []value) ([]value, *record.Fault) {
	values := room
	if r.query != nil {
		var fault *record.Fault
		if values, fault = r.query.values(rec.Data, values); fault != nil {
			return nil, fault
		}
	}
	for _, name := range r.data.given {
		text := rec.Keys[name]
		if text == "" {
			return nil, extractionFault(fmt.Sprintf("the function gives the record no partition key %s", name))
		}
		values = append(values, value{text: text})
	}
	return values, nil
}

// Key is a partition key with its value as it is in object keys.
type Key struct{ Name, Value string }

// Keys returns the partition keys that Partition takes from a record, or its *record.Fault.
func (r *Router) Keys(rec *record.Record) ([]Key, error) {
	values, fault := r.values(rec, nil)
	if fault != nil {
		return nil, fault
	}
	keys := make([]Key, 0, len(values))
	for i, name := range slices.Concat(r.data.keys, r.data.given) {
		keys = append(keys, Key{name, string(values[i].appendTo(nil, rec.Data))})
	}
	return keys, nil
}

// Given returns the names of the partition keys that the prefix expects of a Lambda function. The caller must not change them.
func (r *Router) Given() []string { return r.data.given }

// ErrorPartition returns the partition of error records of type t with that arrival time. Random strings are not drawn yet.
func (r *Router) ErrorPartition(t record.OutputType, arrival time.Time) string {
	return r.errors.texts(arrival.In(r.errors.zone), string(t))[0]
}
