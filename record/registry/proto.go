package registry

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/descriptorpb"
)

// appendJSON appends a message in Protobuf's wire format as JSON text. Before it stands the number of its type as a varint
// (awslabs/aws-glue-schema-registry, ProtobufWireFormatEncoder): all message types of the file, nested ones and the entries of
// maps included, are numbered from 0 in the order of their full names (MessageIndexFinder).
func (f protoFile) appendJSON(dst, data []byte, limit int) ([]byte, error) {
	number, n := protowire.ConsumeVarint(data)
	if n < 0 || number >= uint64(len(f)) {
		return dst, unfit("the data begin with the number of none of the %d message types", len(f))
	}
	r := protoReader{base: len(dst), limit: limit, joinable: len(data)}
	dst, err := r.message(dst, f[number], data[n:], 0)
	if err == nil {
		err = checkSize(dst[r.base:], limit)
	}
	return dst, err
}

// protoReader reads a message and those in it.
type protoReader struct {
	base     int          // of the text
	limit    int          // of its length
	joinable int          // how many bytes of messages that came in pieces may yet be joined
	sent     []occurrence // of the messages being read, the innermost last
}

// occurrence is where a field of a message lies in its data.
type occurrence struct {
	field int32
	at    int32 // behind the tag
	typ   protowire.Type
}

// sentMessage is a message whose fields have been found.
type sentMessage struct {
	*protoMessage
	data     []byte
	from, to int // in protoReader.sent, in the order of the fields
	depth    int
}

// message appends a message that lies in so many objects and arrays.
func (r *protoReader) message(dst []byte, t *protoMessage, data []byte, depth int) ([]byte, error) {
	dst, err := more(dst, r.base, r.limit)
	if err != nil {
		return dst, err
	}
	if err := checkDepth(depth + 1); err != nil {
		return dst, err
	}
	m := sentMessage{protoMessage: t, data: data, from: len(r.sent), depth: depth + 1}
	defer func() { r.sent = r.sent[:m.from] }()
	if err := r.find(&m); err != nil {
		return dst, err
	}
	if t.form != nil {
		return t.form(r, dst, m)
	}
	return r.object(dst, m)
}

// find finds the fields of a message. What the schema does not know is passed over.
func (r *protoReader) find(m *sentMessage) error {
	sorted, oneofs := true, false
	for at := 0; at < len(m.data); {
		number, typ, n := protowire.ConsumeTag(m.data[at:])
		if n < 0 {
			return unfit("a tag in a message of %d bytes is damaged", len(m.data))
		}
		at += n
		size := protowire.ConsumeFieldValue(number, typ, m.data[at:])
		if size < 0 {
			return unfit("a field of a message of %d bytes is cut off or damaged", len(m.data))
		}
		if i, ok := m.numbers[number]; ok {
			if f := &m.fields[i]; typ == f.wire || typ == protowire.BytesType && f.packable() {
				sorted = sorted && (len(r.sent) == m.from || r.sent[len(r.sent)-1].field <= i)
				oneofs = oneofs || f.oneof != noOneof
				if len(r.sent) == cap(r.sent) {
					r.sent = slices.Grow(r.sent, len(r.sent)+16) // twice as many, as for the text
				}
				r.sent = append(r.sent, occurrence{field: i, at: int32(at), typ: typ})
			}
		}
		at += size
	}
	if oneofs {
		r.keepLastOfOneofs(m)
	}
	if !sorted {
		slices.SortFunc(r.sent[m.from:], func(a, b occurrence) int {
			return cmp.Or(cmp.Compare(a.field, b.field), cmp.Compare(a.at, b.at))
		})
	}
	m.to = len(r.sent)
	for _, i := range m.required {
		if _, ok := slices.BinarySearchFunc(r.sent[m.from:m.to], i, func(o occurrence, i int32) int { return cmp.Compare(o.field, i) }); !ok {
			return unfit("the required field %s of %s is missing", m.fields[i].name, m.name)
		}
	}
	return nil
}

// keepLastOfOneofs drops the fields that a later one of their oneof has replaced.
func (r *protoReader) keepLastOfOneofs(m *sentMessage) {
	var replaced, last map[int32]int32
	kept := len(r.sent)
	for i := len(r.sent) - 1; i >= m.from; i-- {
		o := r.sent[i]
		if oneof := m.fields[o.field].oneof; oneof != noOneof {
			if last == nil {
				last, replaced = make(map[int32]int32), make(map[int32]int32)
			}
			if winner, ok := last[oneof]; !ok {
				last[oneof] = o.field
			} else if winner != o.field {
				replaced[oneof] = winner
			}
			if _, ok := replaced[oneof]; ok {
				continue
			}
		}
		kept--
		r.sent[kept] = o
	}
	r.sent = append(r.sent[:m.from], r.sent[kept:]...)
}

// object appends the fields that were sent and those that always have a value, in the schema's order.
func (r *protoReader) object(dst []byte, m sentMessage) ([]byte, error) {
	dst = append(dst, '{')
	always := m.always
	for i := m.from; i < m.to || len(always) > 0; {
		field := int32(math.MaxInt32)
		if i < m.to {
			field = r.sent[i].field
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		if len(always) > 0 && always[0] < field {
			f := &m.fields[always[0]]
			dst = append(append(dst, f.key...), f.zero...)
			always = always[1:]
			continue
		}
		if len(always) > 0 && always[0] == field {
			always = always[1:]
		}
		end := i + 1
		for end < m.to && r.sent[end].field == field {
			end++
		}
		var err error
		if dst, err = r.field(append(dst, m.fields[field].key...), m, i, end); err != nil {
			return dst, err
		}
		i = end
	}
	return append(dst, '}'), nil
}

// field appends the value of the field that lies at some of the places of its message.
func (r *protoReader) field(dst []byte, m sentMessage, from, to int) ([]byte, error) {
	f := &m.fields[r.sent[from].field]
	switch {
	case f.entries:
		return r.mapEntries(dst, m, from, to)
	case f.repeated:
		return r.list(dst, m, from, to)
	case f.message != nil:
		data, err := r.joined(m, from, to)
		if err != nil {
			return dst, err
		}
		return r.message(dst, f.message, data, m.depth)
	}
	dst, _, err := f.appendScalar(dst, m.data[r.sent[to-1].at:])
	return dst, err
}

// joined returns the data of a message. One that came in pieces is what the pieces are one after another ("Last One Wins" of
// the Protobuf documentation's "Encoding").
func (r *protoReader) joined(m sentMessage, from, to int) ([]byte, error) {
	data, _ := protowire.ConsumeBytes(m.data[r.sent[from].at:])
	if to == from+1 {
		return data, nil
	}
	data = bytes.Clone(data)
	for _, o := range r.sent[from+1 : to] {
		piece, _ := protowire.ConsumeBytes(m.data[o.at:])
		data = append(data, piece...)
	}
	if r.joinable -= len(data); r.joinable < 0 {
		return nil, unfit("messages came in pieces that lie in one another")
	}
	return data, nil
}

func (r *protoReader) list(dst []byte, m sentMessage, from, to int) ([]byte, error) {
	dst = append(dst, '[')
	for i := from; i < to; i++ {
		o := r.sent[i]
		f := &m.fields[o.field]
		values := m.data[o.at:]
		packed := o.typ == protowire.BytesType && f.packable()
		if packed {
			values, _ = protowire.ConsumeBytes(values)
		}
		for again := !packed || len(values) > 0; again; again = packed && len(values) > 0 {
			var err error
			if dst, err = more(dst, r.base, r.limit); err != nil {
				return dst, err
			}
			if dst[len(dst)-1] != '[' {
				dst = append(dst, ',')
			}
			if f.message != nil {
				data, _ := protowire.ConsumeBytes(values)
				dst, err = r.message(dst, f.message, data, m.depth)
			} else {
				var n int
				dst, n, err = f.appendScalar(dst, values)
				values = values[n:]
			}
			if err != nil {
				return dst, err
			}
		}
	}
	return append(dst, ']'), nil
}

// mapEntries appends a map. Of entries with the same key the last one counts.
func (r *protoReader) mapEntries(dst []byte, m sentMessage, from, to int) ([]byte, error) {
	entry := m.fields[r.sent[from].field].message
	last := make(map[string]int, min(to-from, 1024))
	keys := make([]string, 0, to-from)
	for i := from; i < to; i++ {
		data, _ := protowire.ConsumeBytes(m.data[r.sent[i].at:])
		key, err := r.mapKey(entry, data)
		if err != nil {
			return dst, err
		}
		last[key] = i
		keys = append(keys, key)
	}
	dst = append(dst, '{')
	for i := from; i < to; i++ {
		key := keys[i-from]
		if last[key] != i {
			continue
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		data, _ := protowire.ConsumeBytes(m.data[r.sent[i].at:])
		var err error
		if dst, err = r.mapValue(append(append(dst, key...), ':'), entry, data, m.depth); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// mapKey returns the key of an entry as a JSON string.
func (r *protoReader) mapKey(entry *protoMessage, data []byte) (string, error) {
	e := sentMessage{protoMessage: entry, data: data, from: len(r.sent)}
	defer func() { r.sent = r.sent[:e.from] }()
	if err := r.find(&e); err != nil {
		return "", err
	}
	text := entry.fields[0].zero
	for _, o := range r.sent[e.from:e.to] {
		if o.field == 0 {
			var err error
			if text, _, err = entry.fields[0].appendScalar(nil, data[o.at:]); err != nil {
				return "", err
			}
		}
	}
	if text[0] == '"' {
		return string(text), nil
	}
	return `"` + string(text) + `"`, nil
}

// mapValue appends the value of an entry; one that was not sent is the zero value.
func (r *protoReader) mapValue(dst []byte, entry *protoMessage, data []byte, depth int) ([]byte, error) {
	if err := checkSize(dst[r.base:], r.limit); err != nil {
		return dst, err
	}
	e := sentMessage{protoMessage: entry, data: data, from: len(r.sent), depth: depth + 1}
	defer func() { r.sent = r.sent[:e.from] }()
	if err := r.find(&e); err != nil {
		return dst, err
	}
	for i := e.from; i < e.to; i++ {
		if r.sent[i].field == 1 {
			return r.field(dst, e, i, e.to)
		}
	}
	if value := &entry.fields[1]; value.message != nil {
		return r.message(dst, value.message, nil, depth+1)
	}
	return append(dst, entry.fields[1].zero...), nil
}

// appendScalar appends the value that b begins with and tells its size. What find has found is whole, but not the values that
// lie in one.
func (f *protoField) appendScalar(dst, b []byte) (text []byte, size int, err error) {
	var v uint64
	switch f.wire {
	case protowire.VarintType:
		v, size = protowire.ConsumeVarint(b)
	case protowire.Fixed32Type:
		var u uint32
		u, size = protowire.ConsumeFixed32(b)
		v = uint64(u)
	case protowire.Fixed64Type:
		v, size = protowire.ConsumeFixed64(b)
	default:
		b, size = protowire.ConsumeBytes(b)
	}
	if size < 0 {
		return dst, 0, unfit("a value of the field %s is cut off or damaged", f.name)
	}
	switch f.kind {
	case descriptorpb.FieldDescriptorProto_TYPE_STRING:
		dst, err = appendString(dst, b)
	case descriptorpb.FieldDescriptorProto_TYPE_BYTES:
		dst = appendBase64(dst, b)
	case descriptorpb.FieldDescriptorProto_TYPE_BOOL:
		dst = strconv.AppendBool(dst, v != 0)
	case descriptorpb.FieldDescriptorProto_TYPE_DOUBLE:
		dst = appendFloat(dst, math.Float64frombits(v), 64)
	case descriptorpb.FieldDescriptorProto_TYPE_FLOAT:
		dst = appendFloat(dst, float64(math.Float32frombits(uint32(v))), 32)
	case descriptorpb.FieldDescriptorProto_TYPE_ENUM:
		if name, ok := f.enum[int32(v)]; ok {
			dst = append(dst, name...)
		} else {
			dst = strconv.AppendInt(dst, int64(int32(v)), 10)
		}
	case descriptorpb.FieldDescriptorProto_TYPE_UINT32, descriptorpb.FieldDescriptorProto_TYPE_FIXED32:
		dst = strconv.AppendUint(dst, uint64(uint32(v)), 10)
	case descriptorpb.FieldDescriptorProto_TYPE_UINT64, descriptorpb.FieldDescriptorProto_TYPE_FIXED64:
		dst = strconv.AppendUint(dst, v, 10)
	case descriptorpb.FieldDescriptorProto_TYPE_INT32, descriptorpb.FieldDescriptorProto_TYPE_SFIXED32:
		dst = strconv.AppendInt(dst, int64(int32(v)), 10)
	case descriptorpb.FieldDescriptorProto_TYPE_SINT32:
		dst = strconv.AppendInt(dst, protowire.DecodeZigZag(v&math.MaxUint32), 10)
	case descriptorpb.FieldDescriptorProto_TYPE_SINT64:
		dst = strconv.AppendInt(dst, protowire.DecodeZigZag(v), 10)
	default: // int64, sfixed64
		dst = strconv.AppendInt(dst, int64(v), 10)
	}
	return dst, size, err
}

// forms are the well-known types that are not written as objects ("ProtoJSON Format" of the Protobuf documentation).
func forms() map[string]protoForm {
	all := map[string]protoForm{
		"Timestamp": appendTimestamp, "Duration": appendDuration, "FieldMask": appendFieldMask,
		"Struct": (*protoReader).appendOnly, "ListValue": (*protoReader).appendOnly, "Value": (*protoReader).appendValue,
	}
	for _, name := range []string{"Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes"} {
		all[name+"Value"] = (*protoReader).appendOnly
	}
	return all
}

// appendOnly appends the value of the only field of a message.
func (r *protoReader) appendOnly(dst []byte, m sentMessage) ([]byte, error) {
	if m.from == m.to {
		return append(dst, m.fields[0].zero...), nil
	}
	return r.field(dst, m, m.from, m.to)
}

// appendValue appends the one value that a Value has.
func (r *protoReader) appendValue(dst []byte, m sentMessage) ([]byte, error) {
	if m.from == m.to {
		return append(dst, "null"...), nil
	}
	return r.field(dst, m, m.from, m.to)
}

// moment reads the seconds and nanoseconds of a Timestamp or a Duration.
func (r *protoReader) moment(m sentMessage) (seconds int64, nanos int32) {
	for _, o := range r.sent[m.from:m.to] {
		v, _ := protowire.ConsumeVarint(m.data[o.at:])
		if o.field == 0 {
			seconds = int64(v)
		} else {
			nanos = int32(v)
		}
	}
	return seconds, nanos
}

// digits is how many digits of a second ProtoJSON writes: 0, 3, 6 or 9.
func digits(nanos int32) int {
	switch {
	case nanos == 0:
		return 0
	case nanos%1_000_000 == 0:
		return 3
	case nanos%1_000 == 0:
		return 6
	}
	return 9
}

const (
	firstSecond = -62135596800 // of the year 1
	lastSecond  = 253402300799 // of the year 9999
	longest     = 315_576_000_000
	second      = 1_000_000_000
)

func appendTimestamp(r *protoReader, dst []byte, m sentMessage) ([]byte, error) {
	seconds, nanos := r.moment(m)
	if seconds < firstSecond || seconds > lastSecond || nanos < 0 || nanos >= second {
		return dst, unfit("a Timestamp is not of the years 0001 to 9999")
	}
	return appendTime(dst, time.Unix(seconds, int64(nanos)), digits(nanos), "Z")
}

func appendDuration(r *protoReader, dst []byte, m sentMessage) ([]byte, error) {
	seconds, nanos := r.moment(m)
	if seconds < -longest || seconds > longest || nanos <= -second || nanos >= second || seconds > 0 && nanos < 0 || seconds < 0 && nanos > 0 {
		return dst, unfit("a Duration is beyond 10,000 years, or its parts have different signs")
	}
	dst = append(dst, '"')
	if seconds < 0 || nanos < 0 {
		dst, seconds, nanos = append(dst, '-'), -seconds, -nanos
	}
	dst = strconv.AppendInt(dst, seconds, 10)
	dst = appendFraction(dst, int(nanos), digits(nanos))
	return append(dst, `s"`...), nil
}

// appendFieldMask appends the paths with the names of the .proto file, as those of the fields are.
func appendFieldMask(r *protoReader, dst []byte, m sentMessage) ([]byte, error) {
	var paths []byte
	for _, o := range r.sent[m.from:m.to] {
		if len(paths) > 0 {
			paths = append(paths, ',')
		}
		path, _ := protowire.ConsumeBytes(m.data[o.at:])
		paths = append(paths, path...)
	}
	return appendString(dst, paths)
}
