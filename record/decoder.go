package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// SplitMode says whether a payload may hold several user records.
type SplitMode string

const (
	// SplitNone takes each payload as one user record.
	SplitNone SplitMode = "none"
	// SplitJSON takes each JSON value as a user record. The values follow each other with or without white space.
	SplitJSON SplitMode = "json"
	// SplitLines takes each line that is not blank as a user record, whatever it holds.
	SplitLines SplitMode = "lines"
)

// LogEventMode says what becomes of the envelopes in which CloudWatch Logs subscriptions send log events. They come
// compressed, so that Inflate has to be on too. CONTROL_MESSAGEs, by which CloudWatch Logs checks that it can reach the
// stream, hold no log events and stay whole in every mode.
type LogEventMode string

const (
	// LogEventsNone takes the envelope as one user record.
	LogEventsNone LogEventMode = "none"
	// LogEventsMessage makes each log event's message a user record, and drops the rest, as the processor
	// CloudWatchLogProcessing of Firehose does.
	LogEventsMessage LogEventMode = "message"
	// LogEventsObject makes each log event a user record: its own object (id, timestamp, message), with the envelope's
	// owner, logGroup and logStream added to it.
	LogEventsObject LogEventMode = "event"
)

// DefaultMaxOpenedBytes is the bound on the opened payloads of one Kinesis record where none is set. A Kinesis record
// has at most 10 MiB.
const DefaultMaxOpenedBytes = 64 << 20

// DecoderOptions switch on what a Decoder does besides taking aggregates apart. Its zero value does nothing else.
type DecoderOptions struct {
	// Inflate replaces payloads that begin like a gzip stream by what they inflate to.
	Inflate bool
	// Split and LogEvents say how payloads, inflated or not, are split. Empty is the same as "none". What is no
	// envelope of log events falls to Split.
	Split     SplitMode
	LogEvents LogEventMode
	// Frames opens payloads that name the schema by which they are written; nil takes them as they are. What it opens is one
	// user record, whatever Split and LogEvents say.
	Frames Frames
	// MaxOpenedBytes bounds the memory that opening the payloads of one Kinesis record may take up: what they inflate
	// to, what comes out of their frames, and log events with the envelope's members. 0 stands for DefaultMaxOpenedBytes.
	MaxOpenedBytes int
	// MaxRecords bounds the user records of one aggregate, and again the parts into which the payloads of one Kinesis
	// record are split. 0 stands for DefaultMaxRecords. Their size bounds them, too: on average a user record has some
	// ten bytes of the payload at least, and its keys count.
	MaxRecords int
}

// Frames opens payloads that name the schema by which they are written, as the serializers of a schema registry frame them.
type Frames interface {
	// Framed tells whether a payload begins with a frame. JSON text must not begin so.
	Framed(payload []byte) bool
	// Open returns what a framed payload says as JSON text of at most limit bytes, or why it cannot. The text may share
	// memory with the payload. Open waits for the schema as long as it has to; the only error is ctx's. strange, which begins
	// at 0 for each Kinesis record, is Open's own count of the schemas that it has looked for in vain, so that it need not
	// look for any number of them.
	Open(ctx context.Context, payload []byte, limit int, strange *int) (text []byte, fault *Fault, err error)
}

// Decoder takes Kinesis records apart. It does not change, and is safe for concurrent use.
type Decoder struct {
	o  DecoderOptions
	in *HashRange
}

// NewDecoder checks the options; its error names every fault of theirs.
func NewDecoder(o DecoderOptions) (*Decoder, error) {
	var faults []error
	if o.Split = orNone(o.Split, SplitNone); !slices.Contains([]SplitMode{SplitNone, SplitJSON, SplitLines}, o.Split) {
		faults = append(faults, fmt.Errorf("split %q is none of none, json, lines", o.Split))
	}
	if o.LogEvents = orNone(o.LogEvents, LogEventsNone); !slices.Contains([]LogEventMode{LogEventsNone, LogEventsMessage, LogEventsObject}, o.LogEvents) {
		faults = append(faults, fmt.Errorf("log events %q is none of none, message, event", o.LogEvents))
	}
	if o.MaxOpenedBytes < 0 {
		faults = append(faults, fmt.Errorf("max opened bytes %d is negative", o.MaxOpenedBytes))
	}
	if o.MaxRecords < 0 {
		faults = append(faults, fmt.Errorf("max records %d is negative", o.MaxRecords))
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

// WithRange returns a decoder that drops the aggregates of which a user record belongs to another shard than the one
// that serves r, as the Java KCL does. Its bounds and switches are the same.
//
// The KPL gathers user records for the shard that it expects to get them. If a reshard sends them elsewhere, it sends
// them again, and who drops nothing gets them twice. Other producers aggregate without regard to shards and do not send
// again; with those, dropping loses records. Only who knows the producers can choose.
func (d *Decoder) WithRange(r HashRange) *Decoder {
	return &Decoder{o: d.o, in: &r}
}

// Append appends the user records of a Kinesis record to dst: the aggregate is taken apart (see AppendRecords), then
// each payload is inflated, then taken out of its frame or split. The order is that of the payload's bytes. Their data
// share memory with raw's where nothing was inflated.
//
// What cannot be taken apart is appended with a Fault and the bytes as far as they could be taken apart; Append drops
// nothing, and fails for no record: a panic becomes a Fault of the whole Kinesis record. The only error is ctx's, of which
// the records that came with it are of no use; without Frames, Append waits for nothing and has none.
// The one exception is WithRange: of an aggregate dropped by it nothing is appended.
//
// In a payload that holds several JSON values, those before a fault are user records, and the rest from the beginning
// of the faulty value is one with a Fault: where the next value begins can not be told. A payload that holds no more
// than one user record gives that one, without a part number.
func (d *Decoder) Append(ctx context.Context, dst []Record, raw Record) (all []Record, err error) {
	first := len(dst)
	defer keepWhole(&all, dst, &raw)
	left := newBudget(&raw, d.o.MaxOpenedBytes, d.o.MaxRecords)
	dst, dropped := appendUserRecords(dst, raw, &left, d.in)
	if dropped || !d.opens() {
		return dst, nil
	}
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

// keepWhole, deferred, turns a panic into a Fault of the record, whatever parts of it were appended.
func keepWhole(all *[]Record, before []Record, raw *Record) {
	if v := recover(); v != nil {
		whole := *raw
		whole.Fault = Panicked(v)
		*all = append(before, whole)
	}
}

// budget is what taking one Kinesis record apart may still use up.
type budget struct {
	bytes        int // of opened payloads
	parts        int // user records of an aggregate, and again parts of the payloads
	descriptions int // see describe
	strange      int // schemas that Frames has looked for in vain
}

const (
	// descriptionBytes is what a user record takes up beside its payload and keys: as a Record, and as a line of the error
	// prefix, where all go that are no objects.
	descriptionBytes = 400
	// objectBytes is the same of what begins as an object, with its sequence number in the line.
	objectBytes = 280
	// descriptionsPerByte bounds the descriptions of what is taken out of a Kinesis record by its size: a record of
	// one byte, in a payload of 10 MiB of them, would take up hundreds of times that. Any number of {"a":1} passes.
	descriptionsPerByte = objectBytes / len(`{"a":1}`)
	// inflatedDescriptions is the same for a byte of gzip, which stands for some ten bytes of JSON, and for more of short
	// objects that are much alike.
	inflatedDescriptions = 32 * descriptionsPerByte
	// someDescriptions are free.
	someDescriptions = 64 * descriptionBytes
)

func newBudget(raw *Record, bytes, parts int) budget {
	return budget{bytes: bytes, parts: parts, descriptions: someDescriptions + descriptionsPerByte*len(raw.Data)}
}

// describe takes a user record's description from the budget, and tells whether there was enough.
func (b *budget) describe(r *Record) bool {
	b.descriptions -= len(r.PartitionKey) + len(r.ExplicitHashKey)
	if len(r.Data) > 0 && r.Data[0] == '{' {
		b.descriptions -= objectBytes
	} else {
		b.descriptions -= descriptionBytes
	}
	return b.descriptions >= 0
}

// inflated makes room for the descriptions of what is in an inflated payload.
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
