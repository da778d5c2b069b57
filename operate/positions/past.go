package positions

import (
	"context"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/writers/layout"
)

// past is what a Restorer knows of the time before a shard began at a time. An application that first started at that time
// left nothing out. But if a daemon was started on a new table, with START_POSITION=LATEST or a time, after another table
// was lost, nobody has read what arrived between the loss and that time.
type past struct {
	// oldest is the time before which records are no longer in the stream.
	oldest time.Time
	// delivered is when an early record arrived that the application has delivered, or when its first batch was sealed if the
	// manifest does not say; zero if nothing was delivered.
	delivered time.Time
	// initial is START_POSITION.
	initial checkpoint.Position
	// noted reports whether an operator moved a shard to a position; nil if nobody moved any.
	noted func(checkpoint.Position) bool
}

// before returns the position from which nothing is left out, if a shard that begins at a position leaves out records that
// may be wanted; otherwise it returns none.
func (p past) before(begin checkpoint.Position) checkpoint.Position {
	if !p.leavesOut(begin) {
		return ""
	}
	first, isTime := p.initial.Timestamp()
	if at, _ := begin.Timestamp(); isTime && first.Before(at) && !p.leavesOut(p.initial) {
		return p.initial
	}
	return checkpoint.TrimHorizon
}

// leavesOut reports whether nothing shows that records before a position are unwanted.
func (p past) leavesOut(begin checkpoint.Position) bool {
	at, isTime := begin.Timestamp()
	switch {
	case !isTime || !at.After(p.oldest):
		return false
	case p.noted != nil && p.noted(begin):
		return false
	}
	return p.delivered.IsZero() || p.delivered.Before(at)
}

// past finds out when the application delivered first, also before the window of the audit.
func (r Restorer) past(ctx context.Context, now time.Time) (past, error) {
	about, err := r.Stream.Describe(ctx)
	if err != nil {
		return past{}, err
	}
	p := past{oldest: reach(about, now), initial: r.Initial, noted: r.Report.MovedTo}
	for _, s := range r.Report.Shards {
		p.delivered = earliest(p.delivered, s.FirstArrival)
	}
	from := ""
	if !about.Created.IsZero() {
		from = layout.ManifestFolder(r.ManifestPrefix, about.Created)
	}
	for o, err := range r.Bucket.List(ctx, r.ManifestPrefix, from) {
		if err != nil {
			return past{}, err
		}
		hour, _, ok := layout.ParseManifestKey(r.ManifestPrefix, *o.Key)
		if !ok {
			continue
		}
		body, _, err := r.Bucket.Read(ctx, *o.Key, layout.MaxManifest)
		if err != nil {
			return past{}, err
		}
		m, err := layout.DecodeManifest(body)
		if err != nil {
			m.Created = hour // the audit reports it
		}
		if err == nil && m.Created.Before(about.Created) {
			continue // of another stream of that name
		}
		p.delivered = earliest(p.delivered, m.Created)
		for _, part := range m.Ranges {
			p.delivered = earliest(p.delivered, part.FirstArrival)
		}
		break
	}
	return p, nil
}

// earliest returns the earlier of two times; a zero time is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
