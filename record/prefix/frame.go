package prefix

import (
	"sync/atomic"
	"time"
)

const day = 24 * time.Hour

// longestStep is the longest time for which a frame may be valid: a day, if its zone keeps its offset.
const longestStep = day

// frame is a template with its times evaluated: the texts between its keys. It is valid for arrivals from one instant
// (inclusive) to another (exclusive), in Unix milliseconds.
type frame struct {
	from, until int64
	texts       []string
}

// frame evaluates everything but the keys. If the template's step is 0, the frame is valid for no other time.
func (t *template) frame(at time.Time) *frame {
	local := at.In(t.zone)
	f := &frame{texts: t.texts(local, "")}
	f.from, f.until = t.span(local)
	return f
}

// span returns the instants between which no field of the template changes: the step on the local clock, cut off where
// the zone changes its offset or name.
func (t *template) span(local time.Time) (from, until int64) {
	if t.step == 0 {
		return 0, 0
	}
	_, offset := local.Zone()
	step := int64(t.step / time.Second)
	clock := local.Unix() + int64(offset)
	begin := clock - floorMod(clock, step) - int64(offset)
	end := begin + step
	zoneBegin, zoneEnd := local.ZoneBounds()
	if !zoneBegin.IsZero() {
		begin = max(begin, zoneBegin.Unix())
	}
	if !zoneEnd.IsZero() {
		end = min(end, zoneEnd.Unix())
	}
	return begin * 1000, end * 1000
}

func floorMod(n, m int64) int64 { return ((n % m) + m) % m }

// frameCache caches evaluated frames. Records come nearly in the order of their arrival, but shards are at different
// times: there is a slot for each of a few steps.
type frameCache [16]atomic.Pointer[frame]

// at returns the template's frame for a time. All calls must be for the same template.
func (c *frameCache) at(t *template, at time.Time) *frame {
	if t.step == 0 {
		return t.frame(at)
	}
	now := at.UnixMilli()
	place := &c[floorMod(now/t.step.Milliseconds(), int64(len(c)))]
	if f := place.Load(); f != nil && f.from <= now && now < f.until {
		return f
	}
	f := t.frame(at)
	place.Store(f)
	return f
}
