// Package projection computes which objects a table of Athena with projected partitions reads, from the properties of the table alone. It
// follows the Athena User Guide, "Supported types for partition projection" and "Set up partition projection", and shares no code with what
// makes the tables.
package projection

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Table is what a CREATE TABLE statement says of a table.
type Table struct {
	Location   string
	Partitions []string // names of the partition columns
	Properties map[string]string
}

// Reads returns the values of the partition columns with which a query at a time reads an object, given as s3://bucket/key; false if no
// query does. Injected columns have any value.
func (t Table) Reads(object string, now time.Time) (values map[string]string, ok bool) {
	if len(t.Partitions) == 0 {
		return nil, strings.HasPrefix(object, t.Location)
	}
	template := t.Properties["storage.location.template"]
	if t.Properties["projection.enabled"] != "true" || !strings.HasSuffix(template, "/") {
		return nil, false
	}
	pattern := "^" + regexp.QuoteMeta(template)
	for _, name := range t.Partitions {
		placeholder := regexp.QuoteMeta("${" + name + "}")
		if strings.Count(pattern, placeholder) != 1 {
			return nil, false
		}
		pattern = strings.Replace(pattern, placeholder, "(?P<"+name+">"+t.shape(name)+")", 1)
	}
	expression := regexp.MustCompile(pattern)
	found := expression.FindStringSubmatch(object)
	if found == nil {
		return nil, false
	}
	values = make(map[string]string)
	for _, name := range t.Partitions {
		value := found[expression.SubexpIndex(name)]
		if !t.projects(name, value, now) {
			return nil, false
		}
		values[name] = value
	}
	return values, true
}

func (t Table) property(column, name string) string {
	return t.Properties["projection."+column+"."+name]
}

// shape is a regular expression for the values of a column.
func (t Table) shape(column string) string {
	switch t.property(column, "type") {
	case "integer":
		if digits := t.property(column, "digits"); digits != "" {
			return "[0-9]{" + digits + ",}?"
		}
		return "[0-9]+"
	case "date":
		return dateShape(t.property(column, "format")).String()
	case "enum":
		values := strings.Split(t.property(column, "values"), ",")
		slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
		for i := range values {
			values[i] = regexp.QuoteMeta(values[i])
		}
		return strings.Join(values, "|")
	case "injected":
		return "[^/]+?"
	}
	return "$^" // nothing
}

// projects reports whether a value is one that a column is computed to have.
func (t Table) projects(column, value string, now time.Time) bool {
	first, last, _ := strings.Cut(t.property(column, "range"), ",")
	switch t.property(column, "type") {
	case "integer":
		n, err := strconv.Atoi(value)
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		width, _ := strconv.Atoi(t.property(column, "digits"))
		return err == nil && err1 == nil && err2 == nil && from <= n && n <= to && value == fmt.Sprintf("%0*d", width, n)
	case "date":
		return t.hasDate(column, value, first, last, now)
	case "enum":
		return slices.Contains(strings.Split(t.property(column, "values"), ","), value)
	}
	return t.property(column, "type") == "injected"
}

// hasDate reports whether a date is one of those that begin with the first and follow one another at the interval, up to the last.
func (t Table) hasDate(column, value, first, last string, now time.Time) bool {
	format := t.property(column, "format")
	at, ok := dateOf(format, value)
	from, ok1 := dateOf(format, first)
	if !ok || !ok1 || t.property(column, "interval") != "1" {
		return false
	}
	to := now.UTC()
	switch last {
	case "NOW":
	case "NOW+1DAY":
		to = to.AddDate(0, 0, 1)
	default:
		return false
	}
	var whole time.Time
	switch t.property(column, "interval.unit") {
	case "MONTHS":
		whole = time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
	case "DAYS":
		whole = at.Truncate(24 * time.Hour)
	case "HOURS":
		whole = at.Truncate(time.Hour)
	case "MINUTES":
		whole = at.Truncate(time.Minute)
	case "SECONDS":
		whole = at.Truncate(time.Second)
	}
	return at.Equal(whole) && !at.Before(from) && !at.After(to)
}

var dateField = regexp.MustCompile(`y+|u+|M+|L+|d+|H+|m+|s+`)

// dateShape matches what is written in a pattern of Java's DateTimeFormatter that has only numbers.
func dateShape(format string) *regexp.Regexp {
	shape, at := "", 0
	for _, f := range dateField.FindAllStringIndex(format, -1) {
		width := f[1] - f[0]
		shape += regexp.QuoteMeta(format[at:f[0]])
		if width == 1 {
			shape += "[0-9]{1,2}"
		} else {
			shape += fmt.Sprintf("[0-9]{%d}", width)
		}
		at = f[1]
	}
	return regexp.MustCompile(shape + regexp.QuoteMeta(format[at:]))
}

// dateOf reads a date. Fields that the format lacks have their least value.
func dateOf(format, value string) (time.Time, bool) {
	fields := map[byte]int{'y': 1970, 'M': 1, 'd': 1}
	for format != "" {
		letter := format[0]
		if strings.IndexByte("yuMLdHms", letter) < 0 {
			if value == "" || value[0] != letter {
				return time.Time{}, false
			}
			format, value = format[1:], value[1:]
			continue
		}
		width := len(format) - len(strings.TrimLeft(format, string(letter)))
		digits := len(value) - len(strings.TrimLeft(value, "0123456789"))
		if width > 1 {
			digits = min(digits, width)
		}
		n, err := strconv.Atoi(value[:digits])
		if err != nil || digits < width {
			return time.Time{}, false
		}
		switch letter {
		case 'u':
			letter = 'y'
		case 'L':
			letter = 'M'
		}
		fields[letter] = n
		format, value = format[width:], value[digits:]
	}
	at := time.Date(fields['y'], time.Month(fields['M']), fields['d'], fields['H'], fields['m'], fields['s'], 0, time.UTC)
	exact := at.Month() == time.Month(fields['M']) && at.Day() == fields['d'] && at.Hour() == fields['H'] && at.Minute() == fields['m'] && at.Second() == fields['s']
	return at, value == "" && exact
}
