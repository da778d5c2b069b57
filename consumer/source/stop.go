package source

import (
	"context"
	"net/http"
	"strings"
	"time"

	smithyhttp "github.com/aws/smithy-go/transport/http"

	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/record"
)

// StopMargin is how far arrival times within a shard are assumed to be out of order. Kinesis promises neither that they
// are accurate nor that they always increase (API reference, Record). A reader stops only at a record that arrived this
// long after Config.Until, or this long after it at the tip: records from before that are still to come must be older
// than that.
const StopMargin = 10 * time.Second

// stop ends the reading of one shard. What is delivered is always a prefix of the shard, so that reading can go on after
// it, with another end, without a gap or a repetition. It ends with the last record that arrived in time.
//
// From the first late record on, what follows is only looked at. If that shows another record that arrived in time, the
// shard is read once more from where the looking began, and the late records in between are delivered with it. So are the
// last records of a shard that ends within the margin: its children may have records in time, and begin after its end.
//
// A shard that is stopped was open at the time of the stop, or accepted a record after it and the margin. So its children
// have no records in time.
type stop struct {
	until time.Time

	looking bool
	kept    string // the last record taken, or where the reader began, when the looking began
	through string // the last record seen while looking that arrived in time; to be taken with all before it
	over    bool   // a record showed that no more will come in time
}

// takes reports whether a record is to be delivered; before is the sequence number of the one in front of it.
func (s *stop) takes(raw record.Record, before string) bool {
	inTime := raw.Arrival.Before(s.until)
	if !s.looking {
		if inTime || s.through != "" && record.CompareSequence(raw.SequenceNumber, s.through) <= 0 {
			return true
		}
		s.looking, s.kept, s.through = true, strings.Clone(before), ""
	}
	switch {
	case s.over:
	case inTime:
		s.through = strings.Clone(raw.SequenceNumber)
	default:
		s.over = s.due(raw.Arrival)
	}
	return false
}

// due reports whether t, a time of the service's clock, is so late that what arrives from then on is not in time.
func (s *stop) due(t time.Time) bool { return !t.Before(s.until.Add(StopMargin)) }

// conclude decides after a read whether the shard is to be read further. If it returns true, reading continues after an
// earlier record, which is now the place's last one.
func (p *place) conclude(ctx context.Context, in *fetched) (back bool) {
	s, f := p.stop, &in.fetch
	if s == nil || f.End && !s.looking {
		return false
	}
	passed := s.over || f.Tip && !f.End && s.due(in.asked) && p.open(ctx)
	switch {
	case f.End && !passed:
		s.through = p.last
	case !passed:
		return false
	case !s.looking || s.through == "":
		f.Stop, f.End = true, false
		return false
	}
	p.source.log.Info("records that arrived after the stop position are delivered, too: one that did not comes after them, or the shard ends with them",
		logkey.Shard, p.id, logkey.Sequence, s.through)
	p.last, s.looking, s.over = s.kept, false, false
	f.End, f.Tip = false, false
	return true
}

// open reports whether the shard is open after what was read last: at its end, the last answer with records may look like
// any answer at the tip. If that is not known now, the next read at the tip asks again.
func (p *place) open(ctx context.Context) bool {
	if p.source.cfg.Closed == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, p.source.cfg.CallTimeout)
	defer cancel()
	closed, err := p.source.cfg.Closed(ctx, p.id)
	return err == nil && !closed
}

// asked bounds from below when the service was asked, by its own clock. It dates its answers (RFC 9110, section 6.6.1);
// the call has taken no longer than until now.
func asked(date, called time.Time) time.Time {
	if date.IsZero() {
		return time.Time{}
	}
	return date.Add(-time.Since(called))
}

// date returns the service's time of an answer; zero if it has none.
func date(resp *smithyhttp.Response) time.Time {
	t, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return t
}
