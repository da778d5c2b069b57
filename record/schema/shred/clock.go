package shred

import (
	"math"
	"slices"
	"time"

	"aws-streaming-pipeline/record/schema"
)

// parseDate reads a full-date of RFC 3339, such as 2014-08-14, into days since 1970.
func parseDate(s []byte) (days int64, ok bool) {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	year, ok1 := decimal(s[0:4])
	month, ok2 := decimal(s[5:7])
	day, ok3 := decimal(s[8:10])
	if !ok1 || !ok2 || !ok3 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, false
	}
	return daysSince1970(year, month, day), true
}

// Calendar reads dates and timestamps. It remembers the last day that it read: the records of a stream mostly are of one.
type Calendar struct {
	// Loose reads timestamps as Hive and SQL write them, too.
	Loose bool

	text [10]byte
	days int64
}

// Date reads a full-date of RFC 3339 into days since 1970.
func (c *Calendar) Date(s []byte) (days int64, ok bool) {
	if len(s) == len(c.text) && string(s) == string(c.text[:]) {
		return c.days, true
	}
	if days, ok = parseDate(s); ok {
		copy(c.text[:], s)
		c.days = days
	}
	return days, ok
}

// parse reads a date in days, or a timestamp in microseconds.
func (c *Calendar) parse(k schema.Kind, text []byte) (int64, bool) {
	if k == schema.Date {
		return c.Date(text)
	}
	return c.Timestamp(text)
}

// Timestamp reads a date-time of RFC 3339 into microseconds since 1970 UTC; what is finer is cut off. In a Loose calendar the T
// may be a space, and the zone may be missing, which means UTC. Leap seconds are not read: this count has none.
func (c *Calendar) Timestamp(s []byte) (micros int64, ok bool) {
	if len(s) < 19 || s[10]|0x20 != 't' && !(c.Loose && s[10] == ' ') || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	days, ok := c.Date(s[:10])
	hour, minute, second := pair(s[11], s[12]), pair(s[14], s[15]), pair(s[17], s[18])
	if !ok || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	fraction, rest, ok1 := parseFraction(s[19:])
	offset, ok2 := parseZone(rest)
	if !ok1 || !ok2 || len(rest) == 0 && !c.Loose {
		return 0, false
	}
	seconds := days*86400 + (hour*60+minute-offset)*60 + second
	return seconds*1_000_000 + fraction, true
}

// leapSecond reports whether a text is a date-time with a leap second: second 60, at the end of a month in UTC (RFC 3339, section 5.7).
func (c *Calendar) leapSecond(s []byte) bool {
	if len(s) < 19 || string(s[17:19]) != "60" {
		return false
	}
	micros, ok := c.Timestamp(slices.Concat(s[:17], []byte("59"), s[19:]))
	next := time.UnixMicro(micros).UTC().Truncate(time.Second).Add(time.Second)
	return ok && next.Day() == 1 && next.Equal(next.Truncate(24*time.Hour))
}

// pair is the number of two digits, more than 99 if they are none.
func pair(tens, units byte) int64 {
	if !digit(tens) || !digit(units) {
		return math.MaxInt32
	}
	return int64(tens-'0')*10 + int64(units-'0')
}

// parseFraction reads a fraction of a second, if there is one, in microseconds.
func parseFraction(s []byte) (micros int64, rest []byte, ok bool) {
	if len(s) == 0 || s[0] != '.' {
		return 0, s, true
	}
	n := 1
	for ; n < len(s) && digit(s[n]); n++ {
		if n <= 6 {
			micros = micros*10 + int64(s[n]-'0')
		}
	}
	for i := n; i <= 6; i++ {
		micros *= 10
	}
	return micros, s[n:], n > 1
}

// parseZone reads Z, ±hh:mm or nothing, in minutes.
func parseZone(s []byte) (minutes int64, ok bool) {
	if len(s) == 0 || len(s) == 1 && s[0]|0x20 == 'z' {
		return 0, true
	}
	if len(s) != 6 || s[3] != ':' || (s[0] != '+' && s[0] != '-') {
		return 0, false
	}
	hour, ok1 := decimal(s[1:3])
	minute, ok2 := decimal(s[4:6])
	minutes = hour*60 + minute
	if s[0] == '-' {
		minutes = -minutes
	}
	return minutes, ok1 && ok2 && hour <= 23 && minute <= 59
}

func decimal(s []byte) (v int64, ok bool) {
	for _, c := range s {
		if !digit(c) {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	return v, true
}

func daysIn(year, month int64) int64 {
	switch {
	case month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0):
		return 29
	case month == 2:
		return 28
	case month == 4 || month == 6 || month == 9 || month == 11:
		return 30
	}
	return 31
}

// daysSince1970 counts days of the proleptic Gregorian calendar. Years begin in March here, so that the leap day is
// the last of its year.
func daysSince1970(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era := floorDiv(year, 400)
	yearOfEra := year - era*400
	dayOfYear := (153*(month-3)+2)/5 + day - 1
	dayOfEra := yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear
	return era*146097 + dayOfEra - 719468
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
