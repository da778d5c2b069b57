// Package prefix says where a record lies: it evaluates key prefixes written in Firehose's language.
//
// A prefix is text with expressions !{namespace:value} (Amazon Data Firehose Developer Guide, "Understand custom
// prefixes for Amazon S3 objects"):
//
//	!{timestamp:yyyy/MM/dd}          arrival time of the record, in the pattern language of Java's DateTimeFormatter
//	!{partitionKeyFromQuery:name}    member of the object that the query makes of the payload (jq)
//	!{firehose:random-string}        eleven random characters, drawn for each file and each use
//	!{firehose:error-output-type}    kind of error; error prefix only
//
// Firehose evaluates timestamp once an object, for the object's oldest record. Here each record is routed by itself, so
// that every record lies in the hour that it arrived in.
package prefix

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"

	"aws-streaming-pipeline/consumer/record"
)

const (
	// maxLength bounds an evaluated prefix, in characters (same guide).
	maxLength = 512
	// defaultTime is what Firehose puts behind a prefix that has no expressions.
	defaultTime = "!{timestamp:yyyy/MM/dd/HH}/"
	// randomMark stands in a partition for each random string until a file is begun. It can not come out of an
	// expression: control characters of values are escaped.
	randomMark = "\x00"
)

// Config names the templates.
type Config struct {
	// Data is the prefix of data files; empty for Firehose's default, yyyy/MM/dd/HH/.
	Data string
	// Error is the prefix of error files. It may only be empty if Data has no expressions.
	Error string
	// Query is a jq program that makes an object of partition keys from a payload, as {customer:.customer.id}. It is
	// Firehose's MetadataExtractionQuery.
	Query string
	// Zone is the time zone of timestamps; nil for UTC.
	Zone *time.Location
}

// Router evaluates the prefixes of records. It is safe for concurrent use.
type Router struct {
	data  template
	error template
	query *query
	cache timeCache
}

// New checks the templates. Its error names every fault.
func New(c Config) (*Router, error) {
	if c.Zone == nil {
		c.Zone = time.UTC
	}
	dataText, errorText, rules := complete(c.Data, c.Error)
	data, dataErr := parse("prefix", dataText, c.Zone)
	errs, errErr := parse("error prefix", errorText, c.Zone)
	r := &Router{data: data, error: errs}
	faults := []error{rules, dataErr, errErr}
	if dataErr == nil && errErr == nil {
		faults = append(faults, r.checkTemplates(c.Query != ""))
	}
	if c.Query != "" {
		var err error
		r.query, err = compileQuery(c.Query, data.keys())
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	r.cache.step = data.step()
	return r, nil
}

// complete applies Firehose's defaults: the time behind a prefix without expressions, and the error prefix made from
// the data prefix.
func complete(data, errs string) (dataOut, errsOut string, err error) {
	plain := !strings.Contains(data, "!{")
	switch {
	case errs == "" && !plain:
		err = errors.New("error prefix is empty: it is needed when the prefix has expressions")
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

// checkTemplates applies the rules on which expression may stand where.
func (r *Router) checkTemplates(hasQuery bool) error {
	var faults []error
	if r.data.has(kindErrorType) {
		faults = append(faults, errors.New("prefix has !{firehose:error-output-type}: only the error prefix may"))
	}
	if r.error.has(kindKey) {
		faults = append(faults, errors.New("error prefix has !{partitionKeyFromQuery:...}: a record that failed has no keys"))
	}
	if !r.error.has(kindErrorType) {
		faults = append(faults, errors.New("error prefix has expressions, but not !{firehose:error-output-type}"))
	}
	if r.data.has(kindKey) && !hasQuery {
		faults = append(faults, errors.New("prefix has !{partitionKeyFromQuery:...}, but there is no query"))
	}
	if hasQuery && !r.data.has(kindKey) {
		faults = append(faults, errors.New("there is a query, but the prefix uses none of its keys"))
	}
	return errors.Join(faults...)
}

// Partition returns the partition of a record, or a *record.Fault if it has none. Random strings are not drawn yet.
func (r *Router) Partition(rec *record.Record) (string, error) {
	if r.query == nil {
		return r.cache.get(rec.Arrival, func() string { return r.data.evaluate(rec.Arrival, nil, "") }), nil
	}
	keys, err := r.query.run(rec.Data)
	if err != nil {
		return "", err
	}
	p := r.data.evaluate(rec.Arrival, keys, "")
	if utf8.RuneCountInString(p) > maxLength {
		return "", queryFault("the evaluated prefix is longer than 512 characters")
	}
	return p, nil
}

// ErrorPartition returns the partition of error records of a kind that arrived at t.
func (r *Router) ErrorPartition(t record.OutputType, arrival time.Time) string {
	return r.error.evaluate(arrival, nil, string(t))
}

// KeyPrefix returns the key prefix for a new file of a partition: its random strings are drawn.
func (r *Router) KeyPrefix(partition string) string {
	for strings.Contains(partition, randomMark) {
		partition = strings.Replace(partition, randomMark, randomString(), 1)
	}
	return partition
}

// randomString has the length and characters of Firehose's.
func randomString() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, 11)
	for i := range b {
		b[i] = letters[rand.IntN(len(letters))]
	}
	return string(b)
}

type kind int

const (
	kindText kind = iota
	kindTime
	kindKey
	kindRandom
	kindErrorType
)

// piece is a run of text or one expression.
type piece struct {
	kind kind
	text string // the text, or the name of the key
	time timePattern
}

type template struct {
	pieces []piece
	zone   *time.Location
}

// parse reads a template; what names it in errors.
func parse(what, text string, zone *time.Location) (template, error) {
	t := template{zone: zone}
	var faults []error
	for text != "" {
		before, rest, found := strings.Cut(text, "!{")
		if before != "" {
			t.pieces = append(t.pieces, piece{kind: kindText, text: before})
		}
		if !found {
			break
		}
		expr, after, closed := strings.Cut(rest, "}")
		if !closed {
			return t, fmt.Errorf("%s: %q has no closing brace", what, "!{"+rest)
		}
		p, err := parseExpression(expr)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: !{%s}: %w", what, expr, err))
		}
		t.pieces = append(t.pieces, p)
		text = after
	}
	return t, errors.Join(faults...)
}

func parseExpression(expr string) (piece, error) {
	namespace, value, ok := strings.Cut(expr, ":")
	if !ok || value == "" {
		return piece{}, errors.New("want namespace:value")
	}
	switch namespace {
	case "timestamp":
		pattern, err := compilePattern(value)
		return piece{kind: kindTime, time: pattern}, err
	case "partitionKeyFromQuery":
		return piece{kind: kindKey, text: value}, nil
	case "partitionKeyFromLambda":
		return piece{}, errors.New("there is no transforming function here: take the key with partitionKeyFromQuery")
	case "firehose":
		switch value {
		case "random-string":
			return piece{kind: kindRandom}, nil
		case "error-output-type":
			return piece{kind: kindErrorType}, nil
		}
		return piece{}, errors.New("want firehose:random-string or firehose:error-output-type")
	}
	return piece{}, errors.New("want timestamp, partitionKeyFromQuery or firehose before the colon")
}

func (t template) evaluate(at time.Time, keys map[string]string, errorType string) string {
	at = at.In(t.zone)
	b := make([]byte, 0, 128)
	for i := range t.pieces {
		switch p := &t.pieces[i]; p.kind {
		case kindText:
			b = append(b, p.text...)
		case kindTime:
			b = p.time.appendTo(b, at)
		case kindKey:
			b = append(b, keys[p.text]...)
		case kindRandom:
			b = append(b, randomMark...)
		case kindErrorType:
			b = append(b, errorType...)
		}
	}
	return string(b)
}

func (t template) has(k kind) bool {
	for _, p := range t.pieces {
		if p.kind == k {
			return true
		}
	}
	return false
}

// keys are the names of the partition keys that the template uses.
func (t template) keys() []string {
	var names []string
	for _, p := range t.pieces {
		if p.kind == kindKey {
			names = append(names, p.text)
		}
	}
	return names
}
