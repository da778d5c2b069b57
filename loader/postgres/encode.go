package postgres

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"

	"aws-streaming-pipeline/loader/rows"
	"aws-streaming-pipeline/record/jsonscan"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
)

// target is a column that an encoder writes.
type target struct {
	name  string
	typ   *columnType
	field *schema.Field // the member's in SCHEMA; nil if there is none
}

// encoder writes rows in the binary format of COPY. It is used by one goroutine at a time.
//
// What a value becomes depends on its JSON type and on the column's type:
//
//	boolean                a boolean
//	smallint ... bigint    a number that is whole, however it is written: 42, 42.0, 4.2e1
//	real, double precision a number, as the nearest one of the type
//	numeric                a number, digit for digit. The server rounds it to the column's scale, as in any INSERT
//	text, varchar, char,   a string; a number as it was written, true or false; an object or an array as its JSON text
//	citext, name, enums
//	json, jsonb            any value
//	uuid                   a string, in any form that PostgreSQL reads
//	date                   a string as RFC 3339 has dates
//	timestamp,             a string as RFC 3339 has date-times, with a space for the T or without a zone, too, which then is UTC; a date
//	timestamptz            is its first moment. What is finer than a microsecond is cut off, and second 60 is the next minute's
//	                       first. A timestamp without time zone gets the time in UTC. A number, if SCHEMA gives its unit
//	arrays of these        an array; null is an element
//
// null and a missing member are NULL. Texts mean more only where SCHEMA says so, as in Parquet columns: with its coercion, "42", "+42"
// and "042" are numbers and "TRUE" is a boolean; an empty text is NULL in a column that is not text, and so are x-null-values; NaN and
// the infinities are numbers with x-non-finite. Without SCHEMA the text "42" is refused in a column of numbers: nobody has said
// that it is one.
type encoder struct {
	columns []target
	coerce  bool
	dates   shred.Calendar
	scratch []byte // text made from values
	number  []byte
}

// newEncoder returns an encoder for columns of supported types. coerce is that of SCHEMA.
func newEncoder(columns []target, coerce bool) (*encoder, error) {
	if len(columns) > math.MaxInt16 {
		return nil, fmt.Errorf("%d columns: want %d at most", len(columns), math.MaxInt16)
	}
	for _, c := range columns {
		if !c.typ.supported() {
			return nil, fmt.Errorf("column %q is of type %s, which records cannot fill", c.name, c.typ.name)
		}
	}
	return &encoder{columns: columns, coerce: coerce, dates: shred.Calendar{Loose: true}}, nil
}

// refusal says why a value cannot be in its column. It does not show the value.
type refusal struct {
	code    string // SQLSTATE, as PostgreSQL would give it
	message string // in PostgreSQL's words, without the value
	column  string
}

// appendRow appends a row whose values are those of the columns, in their order. If a value does not fit, it appends nothing and
// says why.
func (e *encoder) appendRow(dst []byte, values []rows.Value) ([]byte, *refusal) {
	begin := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(e.columns)))
	for i := range e.columns {
		c := &e.columns[i]
		var f *fault
		if dst, f = e.field(dst, c.typ, c.field, &values[i]); f != nil {
			return dst[:begin], &refusal{f.code, f.message, c.name}
		}
	}
	return dst, nil
}

// fault is a refusal that does not know its column yet.
type fault struct{ code, message string }

// The SQLSTATEs of refusals (manual, appendix A).
const (
	invalidText        = "22P02" // invalid_text_representation
	outOfRange         = "22003" // numeric_value_out_of_range
	invalidDatetime    = "22007" // invalid_datetime_format
	datetimeOverflow   = "22008" // datetime_field_overflow
	tooLong            = "22001" // string_data_right_truncation
	notInRepertoire    = "22021" // character_not_in_repertoire
	untranslatableText = "22P05" // untranslatable_character
)

// field appends the length of a value and the value. f is nil where SCHEMA says nothing.
func (e *encoder) field(dst []byte, t *columnType, f *schema.Field, v *rows.Value) ([]byte, *fault) {
	if v.Kind == rows.Null || f != nil && isNull(f, v) {
		return append(dst, 0xff, 0xff, 0xff, 0xff), nil
	}
	begin := len(dst)
	dst, refused := e.value(append(dst, 0, 0, 0, 0), t, f, v)
	if refused != nil {
		return dst, refused
	}
	size := len(dst) - begin - 4
	if size > math.MaxInt32 {
		return dst, &fault{tooLong, "value too long for type " + t.name}
	}
	binary.BigEndian.PutUint32(dst[begin:], uint32(size))
	return dst, nil
}

// isNull reports whether SCHEMA takes a text for null, as package shred does for columns.
func isNull(f *schema.Field, v *rows.Value) bool {
	switch {
	case f.Kind == schema.JSON:
		return false
	case v.Kind == rows.String && len(v.Text) == 0 && !f.Kind.Text():
		return true
	case v.Kind != rows.String && f.Kind != schema.String || len(f.NullTexts) == 0:
		return false
	}
	var room [32]byte
	text := v.Text
	if v.Kind != rows.String {
		text = v.AppendText(room[:0])
	}
	return slices.ContainsFunc(f.NullTexts, func(null string) bool { return null == string(text) })
}

// texts reports whether a text may stand for a value of another type.
func (e *encoder) texts(f *schema.Field) bool { return e.coerce || f != nil && f.Type == "string" }

func (e *encoder) value(dst []byte, t *columnType, f *schema.Field, v *rows.Value) ([]byte, *fault) {
	switch t.form {
	case formText:
		return e.text(dst, v)
	case formInt8:
		n, refused := e.integer(t, f, v, math.MinInt64, math.MaxInt64)
		return binary.BigEndian.AppendUint64(dst, uint64(n)), refused
	case formInt4:
		n, refused := e.integer(t, f, v, math.MinInt32, math.MaxInt32)
		return binary.BigEndian.AppendUint32(dst, uint32(n)), refused
	case formInt2:
		n, refused := e.integer(t, f, v, math.MinInt16, math.MaxInt16)
		return binary.BigEndian.AppendUint16(dst, uint16(n)), refused
	case formFloat8:
		n, refused := e.double(t, f, v)
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(n)), refused
	case formFloat4:
		n, refused := e.real(t, f, v)
		return binary.BigEndian.AppendUint32(dst, math.Float32bits(n)), refused
	case formNumeric:
		return e.numeric(dst, t, f, v)
	case formBool:
		return e.boolean(dst, t, f, v)
	case formTimestampTZ, formTimestamp:
		n, refused := e.timestamp(t, f, v)
		return binary.BigEndian.AppendUint64(dst, uint64(n)), refused
	case formDate:
		n, refused := e.date(t, v)
		return binary.BigEndian.AppendUint32(dst, uint32(n)), refused
	case formJSONB:
		return e.jsonb(append(dst, 1), v) // the version of the format (jsonb_recv)
	case formJSON:
		return v.AppendJSON(dst), nil
	case formUUID:
		return e.uuid(dst, t, v)
	case formName:
		return e.identifier(dst, t, v)
	case formArray:
		return e.array(dst, t, f, v)
	}
	panic("postgres: no encoding for type " + t.name)
}

// syntax is the fault of a value that is not of the type's kind.
func syntax(t *columnType) *fault {
	return &fault{invalidText, "invalid input syntax for type " + t.name}
}

func beyond(t *columnType) *fault {
	return &fault{outOfRange, "value is out of range for type " + t.name}
}

// numberText returns the JSON number that a value is or, if SCHEMA allows it, has as its text. It is valid until the next call.
func (e *encoder) numberText(f *schema.Field, v *rows.Value) (number []byte, ok bool) {
	switch v.Kind {
	case rows.Number, rows.Decimal:
		return v.Text, true
	case rows.Integer:
		e.number = strconv.AppendInt(e.number[:0], v.Int, 10)
		return e.number, true
	case rows.Double:
		if math.IsNaN(v.Float) || math.IsInf(v.Float, 0) {
			return nil, false
		}
		e.number = v.AppendText(e.number[:0])
		return e.number, true
	case rows.String:
		if e.texts(f) {
			e.number, ok = shred.AppendNumber(e.number[:0], v.Text)
			return e.number, ok
		}
	}
	return nil, false
}

func (e *encoder) integer(t *columnType, f *schema.Field, v *rows.Value, least, greatest int64) (int64, *fault) {
	n := v.Int
	if v.Kind != rows.Integer {
		number, ok := e.numberText(f, v)
		if !ok {
			return 0, syntax(t)
		}
		if n, ok = shortInteger(number); !ok {
			var whole bool
			if n, whole, ok = readNumeral(number).integer(); !whole {
				return 0, syntax(t)
			} else if !ok {
				return 0, beyond(t)
			}
		}
	}
	if n < least || n > greatest {
		return 0, beyond(t)
	}
	return n, nil
}

// shortInteger reads an integer of up to 18 digits without a fraction or an exponent, as most are.
func shortInteger(number []byte) (n int64, ok bool) {
	digits := number
	if digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) > 18 {
		return 0, false
	}
	for _, c := range digits {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if number[0] == '-' {
		n = -n
	}
	return n, true
}

func (e *encoder) double(t *columnType, f *schema.Field, v *rows.Value) (float64, *fault) {
	switch v.Kind {
	case rows.Double:
		return v.Float, nil
	case rows.Integer:
		return float64(v.Int), nil
	}
	number, ok := e.numberText(f, v)
	if !ok {
		return e.notFinite(t, f, v)
	}
	n, _, _, ok := shred.ScanDouble(number, 0)
	if !ok {
		return 0, beyond(t)
	}
	return n, nil
}

func (e *encoder) real(t *columnType, f *schema.Field, v *rows.Value) (float32, *fault) {
	if v.Kind == rows.Double && (math.IsNaN(v.Float) || math.IsInf(v.Float, 0)) {
		return float32(v.Float), nil
	}
	number, ok := e.numberText(f, v)
	if !ok {
		n, refused := e.notFinite(t, f, v)
		return float32(n), refused
	}
	n, err := strconv.ParseFloat(string(number), 32)
	if err != nil || n == 0 && readNumeral(number).count > 0 { // too small: float4in refuses that, too
		return 0, beyond(t)
	}
	return float32(n), nil
}

// notFinite reads the texts that stand for numbers which JSON does not have, if SCHEMA says so.
func (e *encoder) notFinite(t *columnType, f *schema.Field, v *rows.Value) (float64, *fault) {
	if v.Kind == rows.String && f != nil && f.NonFinite && e.texts(f) {
		switch string(v.Text) {
		case "NaN":
			return math.NaN(), nil
		case "Infinity":
			return math.Inf(1), nil
		case "-Infinity":
			return math.Inf(-1), nil
		}
	}
	return 0, syntax(t)
}

func (e *encoder) numeric(dst []byte, t *columnType, f *schema.Field, v *rows.Value) ([]byte, *fault) {
	number, ok := e.numberText(f, v)
	if !ok {
		return dst, syntax(t)
	}
	if dst, ok = readNumeral(number).appendNumeric(dst); !ok {
		return dst, &fault{outOfRange, "value overflows numeric format"}
	}
	return dst, nil
}

func (e *encoder) boolean(dst []byte, t *columnType, f *schema.Field, v *rows.Value) ([]byte, *fault) {
	switch {
	case v.Kind == rows.Bool:
		return append(dst, byte(v.Int)), nil
	case v.Kind == rows.String && e.texts(f) && bytes.EqualFold(v.Text, []byte("true")):
		return append(dst, 1), nil
	case v.Kind == rows.String && e.texts(f) && bytes.EqualFold(v.Text, []byte("false")):
		return append(dst, 0), nil
	}
	return dst, syntax(t)
}

func (e *encoder) text(dst []byte, v *rows.Value) ([]byte, *fault) {
	begin := len(dst)
	dst = v.AppendText(dst)
	if bytes.IndexByte(dst[begin:], 0) >= 0 {
		return dst, &fault{notInRepertoire, `invalid byte sequence for encoding "UTF8": 0x00`}
	}
	return dst, nil
}

// identifier appends a value of the type name, whose receive function gives an error that is not one of data.
func (e *encoder) identifier(dst []byte, t *columnType, v *rows.Value) ([]byte, *fault) {
	const longest = 63 // NAMEDATALEN less the NUL
	begin := len(dst)
	dst, refused := e.text(dst, v)
	if refused == nil && len(dst)-begin > longest {
		return dst, &fault{tooLong, "value too long for type " + t.name}
	}
	return dst, refused
}

// jsonb appends JSON text, in which jsonb allows neither U+0000 nor half a surrogate pair (manual, "JSON Types").
func (e *encoder) jsonb(dst []byte, v *rows.Value) ([]byte, *fault) {
	begin := len(dst)
	dst = v.AppendJSON(dst)
	escaped := bytes.IndexByte(dst[begin:], '\\')
	switch {
	case escaped < 0:
	case hasEscapedNUL(dst[begin+escaped:]):
		return dst, &fault{untranslatableText, "unsupported Unicode escape sequence"}
	case jsonscan.HasLoneSurrogate(dst[begin+escaped:]):
		return dst, &fault{invalidText, "invalid input syntax for type json"}
	}
	return dst, nil
}

// hasEscapedNUL reports whether JSON text has the escape of U+0000.
func hasEscapedNUL(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return false
		}
		if bytes.HasPrefix(text[i+1:], []byte("u0000")) {
			return true
		}
		text = text[i+2:]
	}
}

// uuid reads the forms that string_to_uuid reads: 32 hexadecimal digits, with a hyphen after any group of four, maybe in braces.
func (e *encoder) uuid(dst []byte, t *columnType, v *rows.Value) ([]byte, *fault) {
	text := v.Text
	if v.Kind != rows.String {
		return dst, syntax(t)
	}
	if len(text) > 2 && text[0] == '{' && text[len(text)-1] == '}' {
		text = text[1 : len(text)-1]
	}
	for i := range 16 {
		if len(text) < 2 {
			return dst, syntax(t)
		}
		high, low := hexDigit(text[0]), hexDigit(text[1])
		if high > 15 || low > 15 {
			return dst, syntax(t)
		}
		dst, text = append(dst, high<<4|low), text[2:]
		if i%2 == 1 && i < 15 && len(text) > 0 && text[0] == '-' {
			text = text[1:]
		}
	}
	if len(text) > 0 {
		return dst, syntax(t)
	}
	return dst, nil
}

func hexDigit(c byte) byte {
	switch {
	case c-'0' <= 9:
		return c - '0'
	case c|0x20-'a' <= 5:
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}

// array appends an array of one dimension (array_recv): the number of dimensions, whether there are nulls, the elements' type, the
// length, the lower bound, and the elements as fields of a row are written. An empty array has no dimension.
func (e *encoder) array(dst []byte, t *columnType, f *schema.Field, v *rows.Value) ([]byte, *fault) {
	malformed := &fault{invalidText, "malformed array literal"}
	if v.Kind != rows.JSON || len(v.Text) == 0 || v.Text[0] != '[' {
		return dst, malformed
	}
	var element *schema.Field
	if f != nil {
		element = f.Element
	}
	begin, count, nulls := len(dst), 0, uint32(0)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, t.element.oid)
	text := v.Text
	i := jsonscan.Space(text, 1)
	if i < len(text) && text[i] == ']' {
		return dst, nil
	}
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 1)
	for more := true; more; count++ {
		var item rows.Value
		var p jsonscan.Problem
		if item, i, e.scratch, p = rows.Scan(text, i, 1, e.scratch[:0]); p != jsonscan.None {
			return dst, malformed
		}
		if item.Kind == rows.JSON && item.Text[0] == '[' && !e.holdsArrays(t.element, element) {
			return dst, malformed // PostgreSQL's own dimensions must be of equal lengths; JSON's are not
		}
		at := len(dst)
		var refused *fault
		if dst, refused = e.field(dst, t.element, element, &item); refused != nil {
			return dst, refused
		}
		if dst[at] == 0xff {
			nulls = 1
		}
		if more, i, p = jsonscan.Separator(text, i, ']'); p != jsonscan.None {
			return dst, malformed
		}
	}
	binary.BigEndian.PutUint32(dst[begin:], 1)
	binary.BigEndian.PutUint32(dst[begin+4:], nulls)
	binary.BigEndian.PutUint32(dst[begin+12:], uint32(count))
	return dst, nil
}

// holdsArrays reports whether an array may be an element: as JSON, or as its text where SCHEMA coerces it.
func (e *encoder) holdsArrays(t *columnType, f *schema.Field) bool {
	return t.form == formJSON || t.form == formJSONB || t.form == formText && e.coerce && f != nil
}
