package postgres

import (
	"math"

	"aws-streaming-pipeline/loader/rows"
	"aws-streaming-pipeline/record/schema"
)

// Dates and timestamps count from 2000-01-01 (src/include/datatype/timestamp.h). They begin in 4713 BC.
const (
	epochDays  = 10957 // of 2000-01-01 since 1970
	leastDay   = -2451545
	lastDay    = 2147483493 - 2451545
	dayMicros  = 86_400_000_000
	epoch      = epochDays * dayMicros
	leastTime  = leastDay * dayMicros
	secondTime = 1_000_000
)

// date returns days since 2000-01-01.
func (e *encoder) date(t *columnType, v *rows.Value) (int32, *fault) {
	days := v.Int
	switch v.Kind {
	case rows.Date:
	case rows.String:
		var ok bool
		if days, ok = e.dates.Date(v.Text); !ok {
			return 0, badTime(t, v.Text)
		}
	default:
		return 0, &fault{invalidDatetime, "invalid input syntax for type " + t.name}
	}
	if days -= epochDays; days < leastDay || days > lastDay {
		return 0, &fault{datetimeOverflow, "date out of range"}
	}
	return int32(days), nil
}

// timestamp returns microseconds since 2000-01-01 UTC.
func (e *encoder) timestamp(t *columnType, f *schema.Field, v *rows.Value) (int64, *fault) {
	micros, ok := v.Int, true
	switch v.Kind {
	case rows.Instant:
	case rows.Date:
		if v.Int < math.MinInt64/dayMicros || v.Int > math.MaxInt64/dayMicros {
			return 0, &fault{datetimeOverflow, "timestamp out of range"}
		}
		micros = v.Int * dayMicros
	case rows.String:
		if micros, ok = e.instant(v.Text); !ok {
			if micros, ok = e.counted(f, v); !ok {
				return 0, badTime(t, v.Text)
			}
		}
	default:
		if f == nil || unitDigits[f.Unit] < 0 {
			return 0, &fault{invalidDatetime, "invalid input syntax for type " + t.name}
		}
		if micros, ok = e.counted(f, v); !ok {
			return 0, &fault{datetimeOverflow, "timestamp out of range"}
		}
	}
	if micros < leastTime+epoch {
		return 0, &fault{datetimeOverflow, "timestamp out of range"}
	}
	return micros - epoch, nil
}

// instant reads a text as microseconds since 1970 UTC.
func (e *encoder) instant(text []byte) (micros int64, ok bool) {
	if len(text) == len("2006-01-02") {
		days, ok := e.dates.Date(text)
		return days * dayMicros, ok
	}
	if micros, ok = e.dates.Timestamp(text); ok {
		return micros, true
	}
	const second = len("2006-01-02T15:04:")
	if len(text) < second+2 || string(text[second:second+2]) != "60" {
		return 0, false
	}
	e.scratch = append(e.scratch[:0], text...)
	e.scratch[second], e.scratch[second+1] = '5', '9'
	micros, ok = e.dates.Timestamp(e.scratch)
	return micros + secondTime, ok && micros%secondTime == 0 // PostgreSQL's second 60 has no fraction
}

// unitDigits are the powers of ten from a unit to the microsecond; -1 if numbers are not times.
var unitDigits = [...]int{schema.NoUnit: -1, schema.Seconds: 6, schema.Millis: 3, schema.Micros: 0}

// counted reads a number as a time, by the unit that SCHEMA gives.
func (e *encoder) counted(f *schema.Field, v *rows.Value) (micros int64, ok bool) {
	if f == nil || unitDigits[f.Unit] < 0 {
		return 0, false
	}
	number, ok := e.numberText(f, v)
	if !ok {
		return 0, false
	}
	n := readNumeral(number)
	n.point += unitDigits[f.Unit]
	micros, _, ok = n.integer()
	return micros, ok
}

// badTime is the fault of a text that is not a date or a timestamp: one that names a day that does not exist, or something else.
func badTime(t *columnType, text []byte) *fault {
	isDate := (len(text) == 10 || len(text) > 10 && t.form != formDate) && text[4] == '-' && text[7] == '-'
	for i := 0; isDate && i < 10; i++ {
		isDate = i == 4 || i == 7 || text[i]-'0' <= 9
	}
	if isDate {
		return &fault{datetimeOverflow, "date/time field value out of range"}
	}
	return &fault{invalidDatetime, "invalid input syntax for type " + t.name}
}
