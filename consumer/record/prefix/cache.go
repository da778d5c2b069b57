package prefix

import (
	"sync/atomic"
	"time"
)

// quarter is the longest time in which no field of a clock changes in any time zone: offsets from UTC are multiples of
// a quarter of an hour.
const quarter = 15 * time.Minute

// timeCache remembers the last evaluated prefix for as long as its fields stand still. Records come in the order of
// their arrival, so that one entry serves nearly all.
type timeCache struct {
	step time.Duration // 0: fields change faster than is worth remembering
	last atomic.Pointer[cached]
}

type cached struct {
	slot int64
	text string
}

func (c *timeCache) get(at time.Time, evaluate func() string) string {
	if c.step == 0 {
		return evaluate()
	}
	slot := at.UnixMilli() / c.step.Milliseconds()
	if e := c.last.Load(); e != nil && e.slot == slot {
		return e.text
	}
	text := evaluate()
	c.last.Store(&cached{slot, text})
	return text
}

// step is how long an evaluated template stays the same at least.
func (t template) step() time.Duration {
	step := quarter
	for _, p := range t.pieces {
		if p.kind == kindTime {
			step = min(step, p.time.step())
		}
	}
	return step
}
