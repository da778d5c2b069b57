package source

import (
	"context"
	"strings"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/record"
)

// place is a reader's position in its shard, and decodes what comes next.
type place struct {
	source  *Source
	id      string
	from    checkpoint.Position
	decoder Decoder                // nil before the first read
	wholly  func(data []byte) bool // of the decoder, if it can tell; see answer
	stop    *stop                  // nil if the shard is read without an end

	last  string // sequence number of the last record read, or the starting position if that was a sequence number
	count int    // records in the last answer
}

// prepare makes the decoder.
func (p *place) prepare() error {
	if p.decoder != nil {
		return nil
	}
	decoder, err := p.source.cfg.Decoder(p.id)
	if err != nil {
		return err
	}
	p.decoder = decoder
	if w, ok := decoder.(interface{ Whole(data []byte) bool }); ok {
		p.wholly = w.Whole
	}
	return nil
}

// take adds the records of an answer to a fetch and moves on. It returns the bytes that Kinesis counts as read. The
// shard has ended only if the answer names its children (see GetRecords in the API reference of Kinesis): an end cannot
// be taken back. The only error is ctx's, and ends the reading of the shard.
func (p *place) take(ctx context.Context, in *fetched, a *answer) (charged int, err error) {
	f := &in.fetch
	// Kinesis documents MillisBehindLatest as optional.
	f.Behind, f.Tip, f.AsOf = time.Duration(a.behind)*time.Millisecond, a.behind == 0, time.Time{}
	if f.Tip && a.told {
		f.AsOf = in.asked
	}
	f.End, f.Children = a.next == "" && len(a.children) > 0, a.children
	if in.records == nil {
		in.records = records.get(len(a.entries.s))
		if p.source.cfg.Raw {
			in.raw = records.get(len(a.entries.s))
		}
	}
	taken := in.records.s
	repeated := 0
	last, delivered := p.last, ""
	follows := false // the record is known to come after last
	for i := range a.entries.s {
		raw := a.record(&a.entries.s[i])
		charged += len(raw.Data) + len(raw.PartitionKey)
		if !follows && last != "" && record.CompareSequence(raw.SequenceNumber, last) <= 0 {
			repeated++
			continue
		}
		follows = a.ordered
		before := last
		last = raw.SequenceNumber
		if p.stop != nil && !p.stop.takes(raw, before) {
			continue
		}
		if f.Count == 0 {
			f.FirstArrival = raw.Arrival
		}
		delivered = last
		f.LastArrival = raw.Arrival
		f.Count++
		f.Bytes += len(raw.Data)
		if in.raw != nil {
			in.raw.s = append(in.raw.s, raw)
			in.raw.s[len(in.raw.s)-1].Shard = p.id
		}
		if a.whole {
			taken = append(taken, raw)
			continue
		}
		n := len(taken)
		taken, err = p.decode(ctx, taken, raw)
		if err != nil {
			return charged, err
		}
		in.apart += inflated(taken[n:], len(raw.Data))
	}
	if p.stop != nil && p.stop.looking {
		f.AsOf = time.Time{} // records were left out
	}
	p.count = len(a.entries.s)
	a.free()
	in.records.s, f.Records = taken, taken
	if in.raw != nil {
		f.Raw = in.raw.s
	}
	if last != p.last {
		p.last = strings.Clone(last) // it outlives the answer
	}
	if delivered == last {
		f.Last = p.last
	} else if delivered != "" {
		f.Last = strings.Clone(delivered)
	}
	in.settle(p.source.cfg.Budget)
	p.source.metrics.BehindLatest.WithLabelValues(p.id).Set(f.Behind.Seconds())
	p.source.metrics.LastRead.WithLabelValues(p.id).SetToCurrentTime()
	if repeated > 0 {
		p.source.metrics.RecordsRepeated.Add(float64(repeated))
		p.source.log.Warn("dropped records that were read twice",
			logkey.Shard, p.id, logkey.Count, repeated, logkey.Sequence, p.last)
	}
	return charged, nil
}

// inflated returns how many bytes of the records cannot share the memory of the payload that they came from.
func inflated(records []record.Record, payload int) int {
	sum := 0
	for i := range records {
		sum += len(records[i].Data)
	}
	return max(0, sum-payload)
}

func (p *place) decode(ctx context.Context, records []record.Record, raw record.Record) ([]record.Record, error) {
	n := len(records)
	records, err := p.decoder.Append(ctx, records, raw)
	for i := n; i < len(records); i++ {
		if corruptAggregate(&records[i]) {
			p.source.metrics.AggregateFault.Inc()
		}
	}
	return records, err
}

func corruptAggregate(r *record.Record) bool {
	return r.Fault != nil && (r.Fault.Code == record.CodeAggregateCorrupt || r.Fault.Code == record.CodeAggregateTooManyRecords)
}
