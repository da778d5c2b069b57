// Package catalog makes schemas of the columns of tables in the AWS Glue Data Catalog.
package catalog

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Source is a table of the AWS Glue Data Catalog, as SCHEMA names it.
type Source struct {
	Database, Table string
	// Catalog is the account that has the table; empty for that of the credentials.
	Catalog string
	// Region is that of the table; empty for that of the configuration.
	Region string
	// Version is the version of the table; empty for the current one.
	Version string
	// ExactCase compares names of columns and members by case. Otherwise the case of members does not matter, as by default in
	// Firehose (Amazon Data Firehose API Reference, "OpenXJsonSerDe", CaseInsensitive).
	ExactCase bool
}

// scheme is what a Source begins with.
const scheme = "glue://"

// IsSource reports whether a value of SCHEMA names a table, rather than a file.
func IsSource(text string) bool { return strings.HasPrefix(text, scheme) }

// Form is the form of a Source.
const Form = "glue://database/table, perhaps with ?catalog=123456789012&region=eu-west-1&version=7&case=exact"

var (
	// AWS Glue allows more (AWS Glue API Reference, NameString), and folds names to lower case.
	name    = regexp.MustCompile(`^[^/?#\s\pC]+$`) // with a repetition of 255 it would take 10 MB
	account = regexp.MustCompile(`^[0-9]{12}$`)
	region  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+$`)
	version = regexp.MustCompile(`^[0-9]{1,19}$`)
)

// maxName is the maximum length of a name in characters (AWS Glue API Reference, NameString).
const maxName = 255

func isName(s string) bool { return utf8.RuneCountInString(s) <= maxName && name.MatchString(s) }

// ParseSource parses the value of SCHEMA for a table. Its error does not repeat the text.
func ParseSource(text string) (Source, error) {
	rest, _ := strings.CutPrefix(text, scheme)
	path, query, _ := strings.Cut(rest, "?")
	database, table, _ := strings.Cut(path, "/")
	if !IsSource(text) || !isName(database) || !isName(table) {
		return Source{}, errors.New("want " + Form)
	}
	s := Source{Database: strings.ToLower(database), Table: strings.ToLower(table)}
	values, err := url.ParseQuery(query)
	if err != nil {
		return Source{}, errors.New("want " + Form)
	}
	for key, all := range values {
		p, known := parameters[key]
		switch {
		case !known:
			return Source{}, fmt.Errorf("%s: want catalog, region, version or case", key)
		case len(all) > 1 || !p.want.MatchString(all[0]):
			return Source{}, fmt.Errorf("%s=%s: want %s", key, strings.Join(all, ","), p.form)
		}
		p.set(&s, all[0])
	}
	return s, nil
}

// parameters are those of a Source, by name.
var parameters = map[string]struct {
	want *regexp.Regexp
	form string
	set  func(s *Source, value string)
}{
	"catalog": {account, "an account of 12 digits", func(s *Source, v string) { s.Catalog = v }},
	"region":  {region, "a region such as eu-west-1", func(s *Source, v string) { s.Region = v }},
	"version": {version, "the number of a version", func(s *Source, v string) { s.Version = v }},
	"case":    {regexp.MustCompile(`^exact$`), "exact", func(s *Source, _ string) { s.ExactCase = true }},
}

// String returns the value of SCHEMA.
func (s Source) String() string {
	var query []string
	for _, p := range []struct{ name, value string }{{"catalog", s.Catalog}, {"region", s.Region}, {"version", s.Version}} {
		if p.value != "" {
			query = append(query, p.name+"="+p.value)
		}
	}
	if s.ExactCase {
		query = append(query, "case=exact")
	}
	text := scheme + s.Database + "/" + s.Table
	if len(query) > 0 {
		text += "?" + strings.Join(query, "&")
	}
	return text
}
