package prefix

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// timePattern is a compiled pattern of Java's DateTimeFormatter (Java SE 8 to 17, package java.time.format, "Patterns for
// Formatting and Parsing"), with the texts of Locale.ENGLISH. Letters whose meaning in Firehose is unknown are refused with
// a reason: see refused.
type timePattern []timeField

// timeField is a letter with its repetitions, or a literal (letter 0).
type timeField struct {
	letter  byte
	count   int
	literal string
}

// most is how often a letter may be repeated, where Java bounds it. Java accepts any number of y, u, A, n and N; more than
// 19 fail on evaluation.
var most = map[byte]int{
	'G': 5, 'y': 19, 'u': 19, 'M': 5, 'L': 5, 'Q': 5, 'q': 5, 'd': 2, 'D': 3, 'E': 5, 'a': 1, 'H': 2, 'h': 2, 'K': 2, 'k': 2,
	'm': 2, 's': 2, 'S': 9, 'n': 19, 'A': 19, 'N': 19, 'V': 2, 'O': 4, 'X': 5, 'x': 5, 'Z': 5,
}

// refused has the reason why a letter of Java's is not supported here.
var refused = map[byte]string{
	'Y': "the year of weeks, which depends on a locale and is not the calendar's at New Year: use yyyy",
	'w': "the week of the year, which depends on a locale: use y, M and d",
	'W': "the week of the month, which depends on a locale: use y, M and d",
	'e': "the day of the week, counted by a locale: use E",
	'c': "the day of the week, counted by a locale: use E",
	'F': "two things in different versions of Java: use d",
	'B': "the period of the day, of Java 16 and later: use a",
	'g': "the Julian day, of Java 19 and later: use D",
	'z': "the name of a time zone, which depends on a locale: use VV, O, X, x or Z",
	'v': "the name of a time zone, which depends on a locale: use VV, O, X, x or Z",
	'p': "padding with spaces: repeat the letter for zeros",
}

func compilePattern(pattern string) (timePattern, error) {
	var p timePattern
	var depth int
	var err error
	for i := 0; i < len(pattern); {
		c := pattern[i]
		switch {
		case c == '\'':
			text, n, err := quoted(pattern[i:])
			if err != nil {
				return nil, err
			}
			p = append(p, timeField{literal: text})
			i += n
		case isLetter(c):
			n := len(pattern[i:]) - len(strings.TrimLeft(pattern[i:], string(c)))
			f := timeField{letter: c, count: n}
			if err := f.check(); err != nil {
				return nil, err
			}
			p = append(p, f)
			i += n
		case c == '[' || c == ']':
			if depth, err = section(c, depth); err != nil {
				return nil, err
			}
			i++
		case c == '{' || c == '}' || c == '#':
			return nil, fmt.Errorf("%q is reserved in time patterns: put it in single quotes", string(c))
		default:
			n := len(pattern[i:]) - len(strings.TrimLeftFunc(pattern[i:], isPlain))
			p = append(p, timeField{literal: pattern[i : i+n]})
			i += n
		}
	}
	return p, nil
}

// section counts the optional sections that are open. A time has all fields, so optional sections are always written. Java
// allows a pattern to end with open sections.
func section(bracket byte, depth int) (int, error) {
	if bracket == '[' {
		return depth + 1, nil
	}
	if depth == 0 {
		return 0, errors.New(`"]" closes no optional section: put it in single quotes`)
	}
	return depth - 1, nil
}

// quoted reads literal text in single quotes, where two quotes mean one. n is the length of what it has read.
func quoted(s string) (text string, n int, err error) {
	if strings.HasPrefix(s, "''") {
		return "'", 2, nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != '\'' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		return b.String(), i + 1, nil
	}
	return "", 0, errors.New("a single quote is not closed")
}

// isPlain reports whether a character represents itself.
func isPlain(c rune) bool {
	return c >= utf8.RuneSelf || !isLetter(byte(c)) && !strings.ContainsRune("'[]{}#", c)
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func (f timeField) check() error {
	limit, known := most[f.letter]
	switch {
	case refused[f.letter] != "":
		return fmt.Errorf("%q is %s", string(f.letter), refused[f.letter])
	case !known:
		return fmt.Errorf("%q is not a letter of time patterns: put text in single quotes", string(f.letter))
	case f.count > limit:
		return fmt.Errorf("%q may be repeated at most %d times, not %d", string(f.letter), limit, f.count)
	case f.letter == 'V' && f.count != 2:
		return errors.New(`"V" must stand twice: VV`)
	case f.letter == 'O' && f.count != 1 && f.count != 4:
		return errors.New(`"O" must stand once or four times`)
	}
	return nil
}

// step is the least time for which the field stays the same, on the clock of a zone that keeps its offset; 0 for fractions
// of a second.
func (f timeField) step() time.Duration {
	switch f.letter {
	case 'S', 'n', 'A', 'N':
		return 0
	case 's':
		return time.Second
	case 'm':
		return time.Minute
	case 'H', 'h', 'K', 'k', 'a':
		return time.Hour
	}
	return longestStep
}

func (p timePattern) step() time.Duration {
	step := longestStep
	for _, f := range p {
		step = min(step, f.step())
	}
	return step
}

func (p timePattern) appendTo(b []byte, t time.Time) []byte {
	for i := range p {
		b = p[i].appendTo(b, t)
	}
	return b
}

func (f *timeField) appendTo(b []byte, t time.Time) []byte {
	switch f.letter {
	case 0:
		return append(b, f.literal...)
	case 'G':
		if t.Year() <= 0 {
			return append(b, [...]string{"BC", "BC", "BC", "Before Christ", "B"}[f.count-1]...)
		}
		return append(b, [...]string{"AD", "AD", "AD", "Anno Domini", "A"}[f.count-1]...)
	case 'y':
		if t.Year() <= 0 {
			return f.year(b, 1-t.Year())
		}
		return f.year(b, t.Year())
	case 'u':
		return f.year(b, t.Year())
	case 'M', 'L':
		return f.named(b, int(t.Month()), t.Month().String())
	case 'Q', 'q':
		return f.quarter(b, (int(t.Month())+2)/3)
	case 'd':
		return pad(b, int64(t.Day()), f.count)
	case 'D':
		return pad(b, int64(t.YearDay()), f.count)
	case 'E':
		day := t.Weekday().String()
		return append(b, [...]string{day[:3], day[:3], day[:3], day, day[:1]}[f.count-1]...)
	case 'a':
		if t.Hour() < 12 {
			return append(b, "AM"...)
		}
		return append(b, "PM"...)
	case 'H':
		return pad(b, int64(t.Hour()), f.count)
	case 'k':
		return pad(b, int64((t.Hour()+23)%24+1), f.count)
	case 'K':
		return pad(b, int64(t.Hour()%12), f.count)
	case 'h':
		return pad(b, int64((t.Hour()+11)%12+1), f.count)
	case 'm':
		return pad(b, int64(t.Minute()), f.count)
	case 's':
		return pad(b, int64(t.Second()), f.count)
	case 'S':
		return append(b, fmt.Sprintf("%09d", t.Nanosecond())[:f.count]...)
	case 'n':
		return pad(b, int64(t.Nanosecond()), f.count)
	case 'A':
		return pad(b, ofDay(t).Milliseconds(), f.count)
	case 'N':
		return pad(b, ofDay(t).Nanoseconds(), f.count)
	default:
		return f.zone(b, t)
	}
}

// year writes a year. As in Java, two letters mean its last two digits, and with four or more letters, a year with more
// digits than letters has a sign.
func (f *timeField) year(b []byte, year int) []byte {
	if f.count == 2 {
		return pad(b, int64(((year%100)+100)%100), 2)
	}
	if f.count >= 4 && f.count < 19 && year >= int(math.Pow10(f.count)) {
		b = append(b, '+')
	}
	return pad(b, int64(year), f.count)
}

// named writes a month as a number, or by its name.
func (f *timeField) named(b []byte, number int, name string) []byte {
	switch f.count {
	case 3:
		return append(b, name[:3]...)
	case 4:
		return append(b, name...)
	case 5:
		return append(b, name[:1]...)
	}
	return pad(b, int64(number), f.count)
}

func (f *timeField) quarter(b []byte, q int) []byte {
	switch f.count {
	case 3:
		return fmt.Appendf(b, "Q%d", q)
	case 4:
		return append(b, [...]string{"1st", "2nd", "3rd", "4th"}[q-1]+" quarter"...)
	case 5:
		return pad(b, int64(q), 1)
	}
	return pad(b, int64(q), f.count)
}

// zone writes the fields that name the time zone or its offset.
func (f *timeField) zone(b []byte, t time.Time) []byte {
	_, seconds := t.Zone()
	switch f.letter {
	case 'V':
		return append(b, t.Location().String()...)
	case 'O':
		return gmt(b, seconds, f.count == 4)
	case 'X':
		if seconds == 0 {
			return append(b, 'Z')
		}
		return offset(b, seconds, f.count)
	case 'x':
		return offset(b, seconds, f.count)
	}
	switch f.count { // Z
	case 4:
		return gmt(b, seconds, true)
	case 5:
		if seconds == 0 {
			return append(b, 'Z')
		}
		return offset(b, seconds, 5)
	}
	return offset(b, seconds, 2)
}

// offset writes +hhmm in the forms of x: 1 +hh or +hhmm, 2 +hhmm, 3 +hh:mm, 4 and 5 with seconds if there are any.
func offset(b []byte, seconds, form int) []byte {
	sign := byte('+')
	if seconds < 0 {
		sign, seconds = '-', -seconds
	}
	b = pad(append(b, sign), int64(seconds/3600), 2)
	minutes, rest := seconds/60%60, seconds%60
	if form == 1 && minutes == 0 {
		return b
	}
	colon := form == 3 || form == 5
	if colon {
		b = append(b, ':')
	}
	b = pad(b, int64(minutes), 2)
	if form >= 4 && rest != 0 {
		if colon {
			b = append(b, ':')
		}
		b = pad(b, int64(rest), 2)
	}
	return b
}

// gmt writes an offset as GMT+1 or, in full, as GMT+01:00.
func gmt(b []byte, seconds int, full bool) []byte {
	b = append(b, "GMT"...)
	switch {
	case seconds == 0:
		return b
	case full:
		return offset(b, seconds, 5)
	}
	sign := byte('+')
	if seconds < 0 {
		sign, seconds = '-', -seconds
	}
	b = strconv.AppendInt(append(b, sign), int64(seconds/3600), 10)
	minutes, rest := seconds/60%60, seconds%60
	if minutes != 0 || rest != 0 {
		b = pad(append(b, ':'), int64(minutes), 2)
	}
	if rest != 0 {
		b = pad(append(b, ':'), int64(rest), 2)
	}
	return b
}

func ofDay(t time.Time) time.Duration {
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute +
		time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
}

// pad appends n with leading zeros to the width.
func pad(b []byte, n int64, width int) []byte {
	if n < 0 {
		b, n = append(b, '-'), -n
	}
	var digits [20]byte
	text := strconv.AppendInt(digits[:0], n, 10)
	for i := len(text); i < width; i++ {
		b = append(b, '0')
	}
	return append(b, text...)
}
