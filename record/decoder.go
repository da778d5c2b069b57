package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// SplitMode selects whether a payload may hold several user records.
type SplitMode string

const (
	// SplitNone treats each payload as one user record.
	SplitNone SplitMode = "none"
	// SplitJSON makes each JSON value a user record. White space between the values is optional.
	SplitJSON SplitMode = "json"
	// SplitLines makes each line that is not blank a user record, whatever it holds.
	SplitLines SplitMode = "lines"
)

// LogEventMode selects how to handle the envelopes in which CloudWatch Logs subscriptions send log events. They are
// compressed, so Inflate must be on too. CONTROL_MESSAGEs, by which CloudWatch Logs checks that it can reach the
// stream, hold no log events and are kept whole in every mode.
type LogEventMode string

const (
	// LogEventsNone treats the envelope as one user record.
	LogEventsNone LogEventMode = "none"
	// LogEventsMessage makes each log event's message a user record and drops the rest, like Firehose's processor
	// CloudWatchLogProcessing.
	LogEventsMessage LogEventMode = "message"
	// LogEventsObject makes each log event a user record: its object (id, timestamp, message), with the envelope's
	// owner, logGroup and logStream added.
	LogEventsObject LogEventMode = "event"
)

// DefaultMaxOpenedBytes is the default bound on the opened payloads of one Kinesis record. A Kinesis record has at most
// 10 MiB.
const DefaultMaxOpenedBytes = 64 << 20

// DecoderOptions select what a Decoder does besides splitting aggregates. With the zero value it does nothing else.
type DecoderOptions struct {
	// Inflate decompresses payloads that begin like a gzip stream.
	Inflate bool
	// Split and LogEvents select how payloads, inflated or not, are split. Empty is the same as "none". Split applies to
	// payloads that are not an envelope of log events.
	Split     SplitMode
	LogEvents LogEventMode
	// Frames opens payloads that name their schema; if it is nil, they are left as they are. An opened payload is one user
	// record, whatever Split and LogEvents say.
	Frames Frames
	// MaxOpenedBytes bounds the memory for the opened payloads of one Kinesis record: inflated payloads, the contents of
	// frames, and log events with the envelope's members. 0 means DefaultMaxOpenedBytes.
	MaxOpenedBytes int
	// MaxRecords bounds the user records of one aggregate, and separately the parts into which the payloads of one Kinesis
	// record are split. 0 means DefaultMaxRecords. The size of the payload bounds them, too: on average, a user record must
	// take up at least some ten bytes of it, and its keys count.
	MaxRecords int
}

// Frames opens payloads that the serializers of a schema registry have framed with the id of their schema.
type Frames interface {
	// Framed reports whether a payload begins with a frame. No JSON text may begin like one.
	Framed(payload []byte) bool
	// Open returns the content of a framed payload as JSON text of at most limit bytes, or a Fault. The text may share
	// memory with the payload. Open waits for the schema as long as necessary; it returns no error but ctx's. strange, 0 at
	// the start of each Kinesis record, is where Open counts the schemas that it did not find, to bound its lookups.
	Open(ctx context.Context, payload []byte, limit int, strange *int) (text []byte, fault *Fault, err error)
}

// Decoder decodes Kinesis records. It is immutable and safe for concurrent use.
type Decoder struct {
	o  DecoderOptions
	in *HashRange
}

// NewDecoder returns a decoder with the options. Its error lists every invalid option.
func NewDecoder(o DecoderOptions) (*Decoder, error) {
	var faults []error
	if o.Split = orNone(o.Split, SplitNone); !slices.Contains([]SplitMode{SplitNone, SplitJSON, SplitLines}, o.Split) {
		faults = append(faults, fmt.Errorf("split %q: want none, json or lines", o.Split))
	}
	if o.LogEvents = orNone(o.LogEvents, LogEventsNone); !slices.Contains([]LogEventMode{LogEventsNone, LogEventsMessage, LogEventsObject}, o.LogEvents) {
		faults = append(faults, fmt.Errorf("log events %q: want none, message or event", o.LogEvents))
	}
	if o.MaxOpenedBytes < 0 {
		faults = append(faults, fmt.Errorf("max opened bytes %d: want 0 or more", o.MaxOpenedBytes))
	}
	if o.MaxRecords < 0 {
		faults = append(faults, fmt.Errorf("max records %d: want 0 or more", o.MaxRecords))
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("record decoder: %w", errors.Join(faults...))
	}
	if o.MaxOpenedBytes == 0 {
		o.MaxOpenedBytes = DefaultMaxOpenedBytes
	}
	if o.MaxRecords == 0 {
		o.MaxRecords = DefaultMaxRecords
	}
	return &Decoder{o: o}, nil
}

func orNone[M ~string](mode, none M) M {
	if mode == "" {
		return none
	}
	return mode
}

// WithRange returns a decoder that drops every aggregate with a user record that belongs to a shard other than the one
// that serves r, like the Java KCL. It has the same options as d.
//
// The KPL groups user records by the shard that it predicts. If a reshard routes them elsewhere, it sends them again, so
// a consumer that drops nothing receives them twice. Other producers ignore shards when they aggregate, and do not send
// again: with those, dropping loses records. Only someone who knows the producers can choose.
func (d *Decoder) WithRange(r HashRange) *Decoder {
	return &Decoder{o: d.o, in: &r}
}

// Append appends the user records of a Kinesis record to dst: it splits the aggregate (see AppendRecords), inflates each
// payload, then opens its frame or splits it. The records are in the order of the payload's bytes. Their data share
// memory with raw's unless they were inflated.
//
// Data that cannot be decoded are appended with a Fault, in the form they had when decoding failed. Append drops nothing,
// and no record makes it fail: a panic becomes a Fault of the whole Kinesis record. The only error is ctx's; the records
// returned with it must not be used. Without Frames, Append waits for nothing and returns no error.
// WithRange is the one exception: nothing of an aggregate that it drops is appended.
//
// In a payload with several JSON values, those before a fault become user records, and the rest, from the beginning of
// the faulty value, becomes one with a Fault: there is no telling where the next value begins. A payload with at most
// one user record yields one, without a part number.
func (d *Decoder) Append(ctx context.Context, dst []Record, raw Record) (all []Record, err error) {
	first := len(dst)
	defer keepWhole(&all, dst, &raw)
	left := newBudget(&raw, d.o.MaxOpenedBytes, d.o.MaxRecords)
	dst, dropped := appendUserRecords(dst, raw, &left, d.in)
	if dropped || !d.opens() {
		return dst, nil
	}
	return d.openAll(ctx, dst, first, left)
}

// Whole reports whether a Kinesis record with these data is one user record, which Append appends as it is.
func (d *Decoder) Whole(data []byte) bool {
	_, aggregate := aggregateMessage(data)
	return !aggregate && !d.opens()
}

// openAll opens the user records of dst from first on. left is a copy, so that the memory that it takes is allocated only here.
func (d *Decoder) openAll(ctx context.Context, dst []Record, first int, left budget) (_ []Record, err error) {
	if len(dst) == first+1 {
		return d.open(ctx, dst[:first], dst[first], &left)
	}
	users := slices.Clone(dst[first:])
	dst = dst[:first]
	for _, u := range users {
		if dst, err = d.open(ctx, dst, u, &left); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// keepWhole, deferred, turns a panic into a Fault of the whole record, and drops the parts that were appended.
func keepWhole(all *[]Record, before []Record, raw *Record) {
	if v := recover(); v != nil {
		whole := *raw
		whole.Fault = Panicked(v)
		*all = append(before, whole)
	}
}

// budget is what decoding one Kinesis record may still use up.
type budget struct {
	bytes        int // of opened payloads
	parts        int // user records of an aggregate, and again parts of the payloads
	descriptions int // see describe
	strange      int // schemas that Frames did not find
}

const (
	// descriptionBytes is what a user record takes up besides its payload and keys: as a Record, and as a line under the
	// error prefix, where every record that is not an object ends up.
	descriptionBytes = 400
	// objectBytes is the same for a record that begins like an object, with its sequence number in the line.
	objectBytes = 280
	// descriptionsPerByte bounds the descriptions of the user records by the size of the Kinesis record: in a payload of
	// 10 MiB, user records of one byte would take up hundreds of times that. Any number of {"a":1} passes.
	descriptionsPerByte = objectBytes / len(`{"a":1}`)
	// inflatedDescriptions is the same per byte of gzip, which holds some ten bytes of JSON, or more if the objects are
	// short and similar.
	inflatedDescriptions = 32 * descriptionsPerByte
	// someDescriptions are free.
	someDescriptions = 64 * descriptionBytes
)

func newBudget(raw *Record, bytes, parts int) budget {
	return budget{bytes: bytes, parts: parts, descriptions: someDescriptions + descriptionsPerByte*len(raw.Data)}
}

// describe takes a user record's description from the budget, and reports whether there was enough.
func (b *budget) describe(r *Record) bool {
	b.descriptions -= len(r.PartitionKey) + len(r.ExplicitHashKey)
	if len(r.Data) > 0 && r.Data[0] == '{' {
		b.descriptions -= objectBytes
	} else {
		b.descriptions -= descriptionBytes
	}
	return b.descriptions >= 0
}

// inflated adds the descriptions that an inflated payload may need.
func (b *budget) inflated(from, to int) {
	b.bytes -= to
	b.descriptions += min((inflatedDescriptions-descriptionsPerByte)*from, descriptionsPerByte*to)
}

func (d *Decoder) opens() bool {
	return d.o.Inflate || d.o.Frames != nil || d.o.Split != SplitNone || d.o.LogEvents != LogEventsNone
}

// open appends the user records of one payload.
func (d *Decoder) open(ctx context.Context, dst []Record, u Record, left *budget) ([]Record, error) {
	if u.Fault != nil {
		return append(dst, u), nil
	}
	if d.o.Inflate && isGzip(u.Data) {
		data, fault := inflate(u.Data, left.bytes)
		if fault != nil {
			u.Fault = fault
			return append(dst, u), nil
		}
		left.inflated(len(u.Data), len(data))
		u.Data = data
	}
	if d.o.Frames != nil && d.o.Frames.Framed(u.Data) {
		text, fault, err := d.o.Frames.Open(ctx, u.Data, left.bytes, &left.strange)
		if err != nil {
			return dst, err
		}
		if u.Fault = fault; fault == nil {
			left.bytes -= len(text)
			u.Data = text
		}
		return append(dst, u), nil
	}
	if d.o.LogEvents != LogEventsNone {
		if e, ok := readLogEnvelope(u.Data); ok {
			return appendLogEvents(dst, u, e, d.o.LogEvents, left), nil
		}
	}
	switch d.o.Split {
	case SplitJSON:
		return appendValues(dst, u, left), nil
	case SplitLines:
		return appendLines(dst, u, left), nil
	}
	return append(dst, u), nil
}
