package prefix

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// Calendar knows the folders of data files that belong to a period: a year, a quarter, a month, a day, an hour or a minute
// of TIME_ZONE. All records that arrive in the period are stored in its folders, and no others ever.
type Calendar struct {
	fields []timeField // of the folder's name
	zone   *time.Location
	unit   unit
}

// Period is a period with at least one folder. It has several where the name contains the zone's offset and that changes.
// Where clocks are set back, so that local times occur twice, a period lasts until they have occurred for the last time.
type Period struct {
	Begin   time.Time
	End     time.Time // exclusive
	Folders []string  // each ends with a slash
}

// unit is the length of a period.
type unit int

const (
	noUnit unit = iota
	minute
	hour
	wholeDay
	month
	quarter
	year
)

var unitNames = [...]string{"", "minute", "hour", "day", "month", "quarter", "year"}

func (u unit) String() string { return unitNames[u] }

// Calendar returns the calendar of the data prefix. The folders are the longest part of it that ends with a slash and has
// no partition key and no random string. The error says why they do not tell a period.
func (r *Router) Calendar() (*Calendar, error) {
	c := &Calendar{fields: r.data.folder(), zone: r.data.zone}
	var err error
	if c.unit, err = periodOf(c.fields); err != nil {
		return nil, err
	}
	return c, decodable(c.fields)
}

// folder returns the template up to its last slash before any key or random string, with texts as literals.
func (t *template) folder() []timeField {
	var fields []timeField
	for _, p := range t.pieces {
		if p.kind != kindText && p.kind != kindTime {
			break
		}
		if p.kind == kindText {
			fields = append(fields, timeField{literal: p.text})
		}
		fields = append(fields, p.time...)
	}
	for len(fields) > 0 {
		last := &fields[len(fields)-1]
		if i := strings.LastIndexByte(last.literal, '/'); i >= 0 {
			last.literal = last.literal[:i+1]
			break
		}
		fields = fields[:len(fields)-1]
	}
	return fields
}

// periodOf returns the period that the fields of a folder's name tell. Each finer field than that would give the period
// several folders by turns.
func periodOf(fields []timeField) (unit, error) {
	has := make(map[byte]bool)
	finest := noUnit
	for _, f := range fields {
		if f.letter == 0 {
			continue
		}
		has[f.letter] = true
		if f.step() < time.Minute {
			return noUnit, fmt.Errorf("the period of its folders is shorter than a minute, by %q", string(f.letter))
		}
		if s := f.smallest(); s != noUnit && (finest == noUnit || s < finest) {
			finest = s
		}
	}
	u := noUnit
	of := func(letters string) bool {
		return strings.ContainsFunc(letters, func(c rune) bool { return has[byte(c)] })
	}
	if of("yu") {
		u = year
	}
	months := slices.ContainsFunc(fields, func(f timeField) bool { return (f.letter == 'M' || f.letter == 'L') && f.count < 5 })
	switch {
	case u == noUnit:
	case of("D") || months && of("d"):
		u = wholeDay
	case months:
		u = month
	case of("Qq"):
		u = quarter
	}
	if u == wholeDay && (of("Hk") || of("Kh") && of("a")) {
		u = hour
	}
	if u == hour && of("m") {
		u = minute
	}
	switch {
	case finest == noUnit:
		return noUnit, errors.New("it has no folder for a time before its first key or random string")
	case u == noUnit:
		return noUnit, errors.New("its folders recur, because their names lack the year")
	case finest < u:
		return noUnit, fmt.Errorf("its folders recur, because their names have a part of the %s but not all that is between the two", u)
	}
	return u, nil
}

// smallest is the longest period in which the field never changes; noUnit for those that change with the zone alone, or never.
func (f timeField) smallest() unit {
	switch f.letter {
	case 'm':
		return minute
	case 'H', 'h', 'K', 'k', 'a':
		return hour
	case 'd', 'D', 'E':
		return wholeDay
	case 'M', 'L':
		return month
	case 'Q', 'q':
		return quarter
	case 'y', 'u':
		return year
	}
	return noUnit
}

// decodable refuses names that two periods may share, because digits of several fields run into each other: 2026111 of yyyyMd
// is in January and in November.
func decodable(fields []timeField) error {
	for i, f := range fields {
		if !f.varies() {
			continue
		}
		if i > 0 && fields[i-1].endsInDigit() && f.isNumber() || i+1 < len(fields) && fields[i+1].beginsWithDigit() {
			return fmt.Errorf("two periods may have the same folder: %q has no fixed number of digits, and digits next to it", string(f.letter))
		}
	}
	return nil
}

// varies reports whether the field's text has different lengths, so that it may be told from its neighbours by what it has
// only. No name of a month or a day begins with another one.
func (f timeField) varies() bool {
	switch f.letter {
	case 'M', 'L', 'd', 'H', 'h', 'K', 'k', 'm':
		return f.count == 1
	case 'D':
		return f.count < 3
	case 'O', 'X', 'x', 'Z':
		return true
	}
	return false
}

func (f timeField) isNumber() bool {
	switch f.letter {
	case 'y', 'u', 'd', 'D', 'H', 'h', 'K', 'k', 'm':
		return true
	case 'M', 'L', 'Q', 'q':
		return f.count < 3
	}
	return false
}

func (f timeField) beginsWithDigit() bool {
	if f.letter == 0 {
		return f.literal != "" && isDigit(f.literal[0])
	}
	return f.isNumber() || (f.letter == 'Q' || f.letter == 'q') && f.count > 3
}

func (f timeField) endsInDigit() bool {
	if f.letter == 0 {
		return f.literal != "" && isDigit(f.literal[len(f.literal)-1])
	}
	return f.isNumber() || (f.letter == 'Q' || f.letter == 'q') && f.count != 4 || f.varies()
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// Ended returns the periods that ended after since and not after until, in the order of their ends. So calls that begin
// where the one before ended return every period once. A period that no clock of the zone has shown is left out.
func (c *Calendar) Ended(since, until time.Time) iter.Seq[Period] {
	return func(yield func(Period) bool) {
		clock := c.unit.begin(onClock(since.In(c.zone)))
		for {
			before := c.unit.next(clock, -1)
			if p := c.period(before); !p.End.After(since) {
				break
			}
			clock = before
		}
		for {
			p := c.period(clock)
			if p.End.After(until) {
				return
			}
			if p.End.After(since) && len(p.Folders) > 0 && !yield(p) {
				return
			}
			clock = c.unit.next(clock, 1)
		}
	}
}

// widest is more than the distance of any zone's clock from UTC (RFC 9636, section 3.2: -25 to 26 hours).
const widest = 26 * time.Hour

// period returns the period that begins when the zone's clock shows a time. A later one never ends earlier.
func (c *Calendar) period(clock time.Time) Period {
	var p Period
	next := c.unit.next(clock, 1)
	latest := next.Add(widest)
	for at := clock.Add(-widest); at.Before(latest); {
		local := at.In(c.zone)
		_, seconds := local.Zone()
		offset := time.Duration(seconds) * time.Second
		_, change := local.ZoneBounds()
		if change.IsZero() || change.After(latest) {
			change = latest
		}
		// The clock shows the period from begin to end, as far as it keeps its offset, and something earlier before.
		begin, end := later(at, clock.Add(-offset)), earlier(change, next.Add(-offset))
		if at.Before(end) {
			p.End = end.UTC()
		}
		if begin.Before(end) {
			if len(p.Folders) == 0 {
				p.Begin = begin.UTC()
			}
			if name := c.name(begin); !slices.Contains(p.Folders, name) {
				p.Folders = append(p.Folders, name)
			}
		}
		at = change
	}
	return p
}

func (c *Calendar) name(at time.Time) string {
	return string(timePattern(c.fields).appendTo(nil, at.In(c.zone)))
}

// onClock returns what the clock of t's zone shows at t, as a time of UTC.
func onClock(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// begin returns the beginning of the period that contains a time on a clock without changes.
func (u unit) begin(t time.Time) time.Time {
	y, m, d := t.Date()
	switch u {
	case minute:
		return t.Truncate(time.Minute)
	case hour:
		return t.Truncate(time.Hour)
	case month:
		d = 1
	case quarter:
		m, d = m-(m-1)%3, 1
	case year:
		m, d = time.January, 1
	}
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// next returns the beginning of the n-th period after the one that begins at t.
func (u unit) next(t time.Time, n int) time.Time {
	switch u {
	case minute:
		return t.Add(time.Duration(n) * time.Minute)
	case hour:
		return t.Add(time.Duration(n) * time.Hour)
	case wholeDay:
		return t.AddDate(0, 0, n)
	case month:
		return t.AddDate(0, n, 0)
	case quarter:
		return t.AddDate(0, 3*n, 0)
	}
	return t.AddDate(n, 0, 0)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
