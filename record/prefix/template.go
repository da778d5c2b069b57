package prefix

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"aws-streaming-pipeline/record"
)

type kind int

const (
	kindText kind = iota
	kindTime
	kindKey   // of the query
	kindGiven // of the function
	kindRandom
	kindErrorType
)

// piece is a run of text or one expression.
type piece struct {
	kind kind
	text string // the text, or the name of the key
	time timePattern
}

// template is a parsed prefix.
type template struct {
	pieces []piece
	zone   *time.Location
	keys   []string      // names of the query's partition keys, each once
	given  []string      // the same of the function's
	uses   []int         // for each use of a key, its place in keys and given, one after the other
	step   time.Duration // the least time for which the times stay the same; 0: not worth caching
	drawn  int           // how much longer the prefix is when its random strings are drawn
}

// parse reads a template. Its error joins all faults.
func parse(text string, zone *time.Location) (template, error) {
	t := template{zone: zone, step: longestStep}
	faults := []error{checkText(text)}
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
			faults = append(faults, fmt.Errorf("want a closing brace after %q", "!{"+rest))
			break
		}
		p, err := parseExpression(expr)
		if err != nil {
			faults = append(faults, fmt.Errorf("!{%s}: %w", expr, err))
		}
		t.add(p)
		text = after
	}
	t.findUses()
	return t, errors.Join(faults...)
}

// checkText refuses characters that a key must not have if it is to be listed and read back.
func checkText(text string) error {
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			return fmt.Errorf("want valid UTF-8, not what is at byte %d", i)
		case unicode.IsControl(r) || unlistable(r):
			return fmt.Errorf("want no control characters such as %U at byte %d", r, i)
		}
	}
	return nil
}

func parseExpression(expr string) (piece, error) {
	if strings.Contains(expr, "!{") {
		return piece{}, errors.New("want no expression within another")
	}
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
		return piece{kind: kindGiven, text: value}, nil
	case "firehose":
		switch value {
		case "random-string":
			return piece{kind: kindRandom}, nil
		case "error-output-type":
			return piece{kind: kindErrorType}, nil
		}
		return piece{}, errors.New("want firehose:random-string or firehose:error-output-type")
	}
	return piece{}, errors.New("want timestamp, partitionKeyFromQuery, partitionKeyFromLambda or firehose before the colon")
}

func (t *template) add(p piece) {
	t.pieces = append(t.pieces, p)
	switch p.kind {
	case kindTime:
		t.step = min(t.step, p.time.step())
	case kindRandom:
		t.drawn += randomLength - len(randomMark)
	case kindKey:
		t.keys = addOnce(t.keys, p.text)
	case kindGiven:
		t.given = addOnce(t.given, p.text)
	}
}

func addOnce(names []string, name string) []string {
	if slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}

// findUses sets uses, when all keys are known.
func (t *template) findUses() {
	for _, p := range t.pieces {
		switch p.kind {
		case kindKey:
			t.uses = append(t.uses, slices.Index(t.keys, p.text))
		case kindGiven:
			t.uses = append(t.uses, len(t.keys)+slices.Index(t.given, p.text))
		}
	}
}

func (t *template) has(k kind) bool {
	return slices.ContainsFunc(t.pieces, func(p piece) bool { return p.kind == k })
}

// texts evaluates the template for a local time and an error type: the texts before, between and after its keys.
func (t *template) texts(local time.Time, errorType string) []string {
	texts := make([]string, 0, len(t.uses)+1)
	b := make([]byte, 0, 128)
	for i := range t.pieces {
		switch p := &t.pieces[i]; p.kind {
		case kindText:
			b = append(b, p.text...)
		case kindTime:
			b = p.time.appendTo(b, local)
		case kindRandom:
			b = append(b, randomMark...)
		case kindErrorType:
			b = append(b, errorType...)
		case kindKey, kindGiven:
			texts = append(texts, string(b))
			b = b[:0]
		}
	}
	return append(texts, string(b))
}

// fill appends the template with its texts and the escaped values of the keys, which may be in the payload.
func (t *template) fill(b []byte, texts []string, values []value, payload []byte) []byte {
	b = append(b, texts[0]...)
	for i, key := range t.uses {
		b = values[key].appendTo(b, payload)
		b = append(b, texts[i+1]...)
	}
	return b
}

// checkExtent checks the template as evaluated on each day of a year, at a time and for an error type with long texts, and
// with the shortest values for its keys. So names of months and days, and offsets, occur in all their lengths.
func (t *template) checkExtent() error {
	at := time.Date(2024, 1, 1, 22, 58, 57, 999999999, t.zone)
	for range 366 {
		text := t.sample(at)
		if characters := utf8.RuneCountInString(text); characters > maxCharacters || len(text) > maxBytes {
			return fmt.Errorf("want at most %d characters and %d bytes when evaluated, not %d and %d",
				maxCharacters, maxBytes, characters, len(text))
		}
		for segment := range strings.SplitSeq(text, "/") {
			if segment == "." || segment == ".." {
				return fmt.Errorf("want no segment %q in the path", segment)
			}
		}
		at = at.AddDate(0, 0, 1)
	}
	return nil
}

// sample evaluates the template with a letter for each key and random strings drawn.
func (t *template) sample(at time.Time) string {
	values := make([]value, len(t.keys)+len(t.given))
	for i := range values {
		values[i] = value{text: "k"}
	}
	return drawRandom(string(t.fill(nil, t.texts(at, string(record.FormatConversionFailed)), values, nil)), rand.IntN)
}
