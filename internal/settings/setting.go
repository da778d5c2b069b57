package settings

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Setting describes an environment variable, from the tags of its field.
type Setting struct {
	Name     string
	Required bool
	Default  string // empty for none
	Meaning  string // sentences; the first says what the setting does
	// OneOf are the values allowed, and Min and Max the bounds, both included. All may be empty.
	OneOf    []string
	Min, Max string
	// Pattern is a regular expression of valid texts, which Form describes. Both may be empty.
	Pattern, Form string
	Secret        bool // the value must not be shown
	Type          reflect.Type
}

// Group is the settings of one subject.
type Group struct {
	Title    string
	Settings []Setting
}

func describe(field reflect.StructField) Setting {
	tag := field.Tag
	s := Setting{
		Name: tag.Get("envconfig"), Required: tag.Get("required") == "true", Default: tag.Get("default"), Meaning: tag.Get("desc"),
		Min: tag.Get("min"), Max: tag.Get("max"), Pattern: tag.Get("pattern"), Form: tag.Get("form"),
		Secret: tag.Get("secret") == "true", Type: field.Type,
	}
	if list := tag.Get("oneof"); list != "" {
		s.OneOf = strings.Split(list, ",")
	}
	return s
}

// Groups describes the variables of a struct type by subject: a group for each embedded struct, whose tag gives the title.
// Settings outside of an embedded struct form groups without a title.
func Groups[T any]() []Group {
	var groups []Group
	config := reflect.New(reflect.TypeFor[T]()).Elem()
	loose := false // the last group is of settings outside of an embedded struct
	for i := range config.NumField() {
		field := config.Type().Field(i)
		if field.Anonymous || !loose {
			groups = append(groups, Group{Title: field.Tag.Get("group")})
		}
		loose = !field.Anonymous
		g := &groups[len(groups)-1]
		if loose {
			g.Settings = append(g.Settings, describe(field))
			continue
		}
		eachField(config.Field(i), func(s Setting, _ reflect.StructField, _ reflect.Value) { g.Settings = append(g.Settings, s) })
	}
	return groups
}

// Bounds describes the allowed values, such as "1s to 24h" or "2 or more". It is empty if the tags set no bounds.
func (s Setting) Bounds() string {
	switch {
	case s.Min != "" && s.Max != "":
		return s.Min + " to " + s.Max
	case s.Min != "":
		return s.Min + " or more"
	case s.Max != "":
		return "at most " + s.Max
	}
	return ""
}

// Help returns the meaning, the bounds and the default. A default that depends on other settings is part of the meaning.
func (s Setting) Help() string {
	var rest []string
	if bounds := s.Bounds(); bounds != "" {
		rest = append(rest, bounds)
	}
	switch {
	case s.Required:
		rest = append(rest, "required")
	case s.Default != "":
		rest = append(rest, "default "+s.Default)
	}
	if len(rest) == 0 {
		return s.Meaning
	}
	return s.Meaning + " (" + strings.Join(rest, "; ") + ")"
}

// Camel converts a variable's name to the style of chart values and template parameters: COMMIT_INTERVAL becomes
// commitInterval.
func Camel(name string) string {
	first, rest, _ := strings.Cut(strings.ToLower(name), "_")
	var b strings.Builder
	b.WriteString(first)
	for word := range strings.SplitSeq(rest, "_") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// Want describes the valid values for an error: "a duration from 1s to 24h, such as 5m".
func (s Setting) Want() string {
	if len(s.OneOf) > 0 {
		return Either(s.OneOf)
	}
	if s.Form != "" {
		return s.Form
	}
	want, unit := kindOf(reflect.New(s.Type).Elem())
	if bounds := s.Bounds(); s.Min != "" && s.Max != "" {
		want += " from " + bounds
	} else if bounds != "" {
		want += " of " + bounds
	}
	if unit {
		want += ", such as " + s.Default
	}
	return want
}

// kindOf describes the values of a type, and reports whether they are numbers with a unit. A type with its own form
// describes it with a method Want.
func kindOf(field reflect.Value) (kind string, unit bool) {
	switch f := field.Addr().Interface().(type) {
	case interface{ Want() string }:
		return f.Want(), field.CanInt()
	case *time.Duration:
		return "a duration", true
	case *bool:
		return "true or false", false
	case *int:
		return "a whole number", false
	case *float64:
		return "a number", false
	}
	return "a text", false
}

// Either lists alternatives: none, json or lines.
func Either(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	last := len(values) - 1
	return fmt.Sprintf("%s or %s", strings.Join(values[:last], ", "), values[last])
}
