package registry

import (
	"encoding/binary"
	"math"
	"strconv"
	"time"
)

// maxFreeItems is how many items of arrays may take up no byte of the data: a few bytes could ask for any number of them.
const maxFreeItems = 1000

// appendJSON appends a datum in Avro's binary encoding as JSON text.
func (t *avroType) appendJSON(dst, data []byte, limit int) ([]byte, error) {
	r := avroReader{data: data, base: len(dst), limit: limit}
	dst, err := r.value(dst, t, 0)
	if err == nil && r.at < len(data) {
		err = unfit("%d bytes follow the value", len(data)-r.at)
	}
	if err == nil {
		err = checkSize(dst[r.base:], limit)
	}
	return dst, err
}

// avroReader is where reading stands in a datum.
type avroReader struct {
	data  []byte
	at    int
	base  int // of the text
	limit int // of its length
	free  int // items that took up no byte
}

// value appends the value of a type that lies in so many objects and arrays.
func (r *avroReader) value(dst []byte, t *avroType, depth int) ([]byte, error) {
	dst, err := more(dst, r.base, r.limit)
	if err != nil {
		return dst, err
	}
	switch t.kind {
	case "null":
		return append(dst, "null"...), nil
	case "boolean":
		b, err := r.take(1)
		if err != nil {
			return dst, err
		}
		switch b[0] {
		case 0:
			return append(dst, "false"...), nil
		case 1:
			return append(dst, "true"...), nil
		}
		return dst, unfit("a boolean at byte %d is neither 0 nor 1", r.at-1)
	case "int", "long":
		return r.integer(dst, t)
	case "float":
		b, err := r.take(4)
		if err != nil {
			return dst, err
		}
		return appendFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), 32), nil
	case "double":
		b, err := r.take(8)
		if err != nil {
			return dst, err
		}
		return appendFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(b)), 64), nil
	case "string":
		b, err := r.sized()
		if err != nil {
			return dst, err
		}
		return appendString(dst, b)
	case "bytes":
		b, err := r.sized()
		if err != nil {
			return dst, err
		}
		return appendAvroBytes(dst, b, t)
	case "fixed":
		b, err := r.take(int64(t.size))
		if err != nil {
			return dst, err
		}
		return appendAvroBytes(dst, b, t)
	case "enum":
		n, err := r.index(len(t.symbols), "symbols of an enum")
		if err != nil {
			return dst, err
		}
		return append(dst, t.symbols[n]...), nil
	case "union":
		n, err := r.index(len(t.branches), "branches of a union")
		if err != nil {
			return dst, err
		}
		return r.value(dst, t.branches[n], depth)
	}
	if err := checkDepth(depth + 1); err != nil {
		return dst, err
	}
	switch t.kind {
	case "array":
		return r.array(dst, t.items, depth+1)
	case "map":
		return r.object(dst, t.items, depth+1)
	}
	dst = append(dst, '{')
	for i := range t.fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, t.fields[i].key...)
		var err error
		if dst, err = r.value(dst, t.fields[i].typ, depth+1); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

func (r *avroReader) array(dst []byte, items *avroType, depth int) ([]byte, error) {
	dst = append(dst, '[')
	first := true
	err := r.blocks(func() (err error) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		before := r.at
		dst, err = r.value(dst, items, depth)
		if err == nil && r.at == before {
			if r.free++; r.free > maxFreeItems {
				err = unfit("more than %d items of arrays take up no bytes", maxFreeItems)
			}
		}
		return err
	})
	return append(dst, ']'), err
}

func (r *avroReader) object(dst []byte, values *avroType, depth int) ([]byte, error) {
	dst = append(dst, '{')
	first := true
	err := r.blocks(func() error {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		key, err := r.sized()
		if err != nil {
			return err
		}
		if dst, err = appendString(dst, key); err != nil {
			return err
		}
		dst, err = r.value(append(dst, ':'), values, depth)
		return err
	})
	return append(dst, '}'), err
}

// blocks calls item for each item of the blocks of an array or map. A block whose count is negative states its size, too.
func (r *avroReader) blocks(item func() error) error {
	for {
		count, err := r.long()
		if err != nil || count == 0 {
			return err
		}
		if count < 0 {
			if _, err := r.long(); err != nil {
				return err
			}
			if count = -count; count < 0 {
				return unfit("a block at byte %d has a count without meaning", r.at)
			}
		}
		for ; count > 0; count-- {
			if err := item(); err != nil {
				return err
			}
		}
	}
}

// integer appends an int or a long, or the date or time that it stands for.
func (r *avroReader) integer(dst []byte, t *avroType) ([]byte, error) {
	n, err := r.long()
	if err != nil {
		return dst, err
	}
	if t.kind == "int" && n != int64(int32(n)) {
		return dst, unfit("an int before byte %d has more than 32 bits", r.at)
	}
	switch t.logical {
	case "date":
		if dst, err = appendDate(append(dst, '"'), time.Unix(n*86400, 0).UTC()); err != nil {
			return dst, err
		}
		return append(dst, '"'), nil
	case "time-millis":
		return appendClock(dst, time.Duration(n)*time.Millisecond, 3)
	case "time-micros":
		if n < 0 || n >= 86400e6 {
			n = -1 // before it overflows
		}
		return appendClock(dst, time.Duration(n)*time.Microsecond, 6)
	case "timestamp-millis":
		return appendTime(dst, time.UnixMilli(n), 3, "Z")
	case "timestamp-micros":
		return appendTime(dst, time.UnixMicro(n), 6, "Z")
	case "timestamp-nanos":
		return appendTime(dst, time.Unix(0, n), 9, "Z")
	case "local-timestamp-millis":
		return appendTime(dst, time.UnixMilli(n), 3, "")
	case "local-timestamp-micros":
		return appendTime(dst, time.UnixMicro(n), 6, "")
	case "local-timestamp-nanos":
		return appendTime(dst, time.Unix(0, n), 9, "")
	}
	return strconv.AppendInt(dst, n, 10), nil
}

// appendAvroBytes appends bytes, or what they stand for.
func appendAvroBytes(dst, b []byte, t *avroType) ([]byte, error) {
	switch t.logical {
	case "decimal":
		return appendDecimal(dst, b, t.scale)
	case "uuid":
		return appendUUID(dst, b), nil
	case "duration":
		months, days, millis := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
		dst = strconv.AppendUint(append(dst, `"P`...), uint64(months), 10)
		dst = strconv.AppendUint(append(dst, 'M'), uint64(days), 10)
		dst = strconv.AppendUint(append(dst, "DT"...), uint64(millis/1000), 10)
		dst = appendFraction(dst, int(millis%1000)*1_000_000, 3)
		return append(dst, `S"`...), nil
	}
	return appendBase64(dst, b), nil
}

// index reads the number of one of n things.
func (r *avroReader) index(n int, of string) (int, error) {
	i, err := r.long()
	if err == nil && (i < 0 || i >= int64(n)) {
		err = unfit("the number before byte %d is none of the %d %s", r.at, n, of)
	}
	return int(i), err
}

// sized reads bytes that are preceded by their length.
func (r *avroReader) sized() ([]byte, error) {
	n, err := r.long()
	if err != nil {
		return nil, err
	}
	return r.take(n)
}

func (r *avroReader) take(n int64) ([]byte, error) {
	if n < 0 || n > int64(len(r.data)-r.at) {
		return nil, unfit("a value of %d bytes begins at byte %d of %d", n, r.at, len(r.data))
	}
	b := r.data[r.at : r.at+int(n)]
	r.at += int(n)
	return b, nil
}

// long reads a number in the variable-length zig-zag coding.
func (r *avroReader) long() (int64, error) {
	n, size := binary.Varint(r.data[r.at:])
	if size <= 0 {
		return 0, unfit("a number at byte %d of %d is cut off or has more than 64 bits", r.at, len(r.data))
	}
	r.at += size
	return n, nil
}
