package ddl

import (
	"fmt"
	"strings"
	"time"

	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/record/schema"
)

// unit is a field of a date with what Athena calls its interval.
type unit struct {
	letters  string
	interval string
	column   string
}

// units are the fields of a date, from the largest.
var units = []unit{{"yu", "YEARS", "year"}, {"ML", "MONTHS", "month"}, {"d", "DAYS", "day"}, {"H", "HOURS", "datehour"}, {"m", "MINUTES", "dateminute"}, {"s", "SECONDS", "datesecond"}}

// lastYear is the last year of columns that are years.
const lastYear = 2100

// time makes a column of the fields of a time that pieces begin with, and returns how many pieces it stands for.
func (b *builder) time(pieces []prefix.Piece) int {
	run := dateRun(pieces)
	format, last, ok := dateFormat(run)
	if !ok {
		b.field(pieces[0])
		return 1
	}
	start := time.Date(b.layout.FromYear, 1, 1, 0, 0, 0, 0, time.UTC)
	end := "NOW"
	if b.layout.Zone.String() != "UTC" {
		end = "NOW+1DAY" // NOW is in UTC, and the folders of the zone may be ahead
	}
	first := ""
	for _, p := range run {
		first += p.Text
		if p.Letter != 0 {
			first += p.Time(start)
		}
	}
	b.column(units[last].column, "string", run,
		schema.Property{Key: "type", Value: "date"}, schema.Property{Key: "format", Value: format},
		schema.Property{Key: "range", Value: first + "," + end},
		schema.Property{Key: "interval", Value: "1"}, schema.Property{Key: "interval.unit", Value: units[last].interval})
	return len(run)
}

// dateRun returns the pieces of one expression that may be a date: fields, with text between them that has no letters.
func dateRun(pieces []prefix.Piece) []prefix.Piece {
	n := 1
	for i := 1; i < len(pieces); i++ {
		p := pieces[i]
		if p.Expression != pieces[0].Expression || p.Text != "" && !separates(p.Text) {
			break
		}
		if p.Letter != 0 {
			n = i + 1
		}
	}
	return pieces[:n]
}

// separates reports whether a text may be in a date: it means itself in the pattern, and no name=.
func separates(text string) bool { return strings.Trim(text, "/-_.: ") == "" }

// dateFormat returns the pattern of a run, and its smallest unit. ok is false unless the run has a year and each unit from there on once,
// with fixed widths where nothing separates them: then Athena can compute the dates one after the other.
func dateFormat(run []prefix.Piece) (format string, last int, ok bool) {
	seen := make(map[int]bool)
	for i, p := range run {
		if p.Text != "" {
			format += p.Text
			continue
		}
		u := unitOf(p.Letter)
		if u < 0 || seen[u] || u == 0 && p.Count != 4 || u > 0 && p.Count > 2 {
			return "", 0, false
		}
		if i > 0 && run[i-1].Letter != 0 && (p.Count == 1 || run[i-1].Count == 1) {
			return "", 0, false
		}
		seen[u] = true
		last = max(last, u)
		format += strings.Repeat(string(p.Letter), p.Count)
	}
	return format, last, len(seen) > 1 && len(seen) == last+1
}

func unitOf(letter byte) int {
	for i, u := range units {
		if strings.IndexByte(u.letters, letter) >= 0 {
			return i
		}
	}
	return -1
}

// numbers are the fields that are numbers, unless a month or quarter is written as text, with their ranges.
var numbers = map[byte]struct {
	column string
	from   int
	to     int
}{
	'M': {"month", 1, 12}, 'L': {"month", 1, 12}, 'Q': {"quarter", 1, 4}, 'q': {"quarter", 1, 4}, 'd': {"day", 1, 31}, 'D': {"yearday", 1, 366},
	'H': {"hour", 0, 23}, 'k': {"hour", 1, 24}, 'K': {"hour", 0, 11}, 'h': {"hour", 1, 12}, 'm': {"minute", 0, 59}, 's': {"second", 0, 59},
}

// texts are the names of the columns of other fields.
var texts = map[byte]string{'M': "month", 'L': "month", 'Q': "quarter", 'q': "quarter", 'E': "weekday", 'a': "half", 'G': "era", 'V': "zone", 'O': "zone", 'X': "zone", 'x': "zone", 'Z': "zone"}

// enumYears is for how many years the values of a field are listed: the offsets of a zone may change.
const enumYears = 15

// field makes a column of one field.
func (b *builder) field(p prefix.Piece) {
	one := []prefix.Piece{p}
	if p.Letter == 'y' || p.Letter == 'u' {
		if p.Count == 2 {
			b.column("year", "int", one, integer(0, 99, 2)...)
			return
		}
		b.column("year", "int", one, integer(b.layout.FromYear, lastYear, p.Count)...)
		return
	}
	if n, ok := numbers[p.Letter]; ok && (p.Count <= 2 || p.Letter == 'D') {
		b.column(n.column, "int", one, integer(n.from, n.to, p.Count)...)
		return
	}
	values, ok := p.Values(b.layout.Zone, b.layout.FromYear, b.layout.FromYear+enumYears)
	if !ok {
		b.fault("the field %s of the time has too many values for Athena: partition projection has dates down to seconds, integers, enum and injected (Athena User Guide, \"Supported types for partition projection\")",
			strings.Repeat(string(p.Letter), p.Count))
		return
	}
	b.column(texts[p.Letter], "string", one, schema.Property{Key: "type", Value: "enum"}, schema.Property{Key: "values", Value: strings.Join(values, ",")})
}

// integer is the projection of a number that is filled up with zeros to a number of digits.
func integer(from, to, digits int) []schema.Property {
	properties := []schema.Property{{Key: "type", Value: "integer"}, {Key: "range", Value: fmt.Sprintf("%d,%d", from, to)}}
	if digits > 1 {
		properties = append(properties, schema.Property{Key: "digits", Value: fmt.Sprint(digits)})
	}
	return properties
}
