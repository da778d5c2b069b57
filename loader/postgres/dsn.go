package postgres

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"aws-streaming-pipeline/record/table"
)

// dsn is a connection string: the values of libpq's keywords (PostgreSQL manual, "Database Connection Control Functions",
// parameter key words). It may hold a password.
type dsn map[string]string

// Keywords of libpq. No other word of a connection string is repeated in an error, because a part of a password that was not
// quoted looks like one.
var (
	known = []string{
		"host", "port", "dbname", "user", "password", "connect_timeout", "options", "sslmode", "sslcert", "sslkey", "channel_binding",
		"require_auth", "target_session_attrs",
	}
	// ignored are those whose meaning the loader has a rule of its own for, or that change nothing for it.
	ignored = []string{
		"application_name", "fallback_application_name", "client_encoding", "gssencmode", "keepalives", "keepalives_count", "keepalives_idle",
		"keepalives_interval", "tcp_user_timeout",
	}
	instead = map[string]string{
		"sslrootcert": "POSTGRES_CA_FILE", "service": "the keywords themselves", "servicefile": "the keywords themselves",
		"passfile": "POSTGRES_DSN_FILE or POSTGRES_SECRET", "hostaddr": "host", "sslpassword": "a key without a password",
	}
)

// parseDSN parses a connection string in either form that libpq takes. Its errors repeat nothing of the text.
func parseDSN(text string) (d dsn, err error) {
	text = strings.TrimSpace(text)
	if strings.IndexByte(text, 0) >= 0 {
		return nil, errors.New("it has a zero byte")
	}
	if rest, ok := cutScheme(text); ok {
		d, err = parseURL(rest)
	} else {
		d, err = parsePairs(text)
	}
	if err != nil {
		return nil, err
	}
	for key := range d {
		switch use, found := instead[key]; {
		case found:
			return nil, fmt.Errorf("keyword %s: want %s instead", key, use)
		case slices.Contains(ignored, key):
			delete(d, key)
		case !slices.Contains(known, key):
			return nil, errors.New("it has a keyword other than " + strings.Join(known, ", ") + "; a value with spaces needs quotes")
		}
	}
	return d, d.check()
}

func cutScheme(text string) (rest string, ok bool) {
	for _, scheme := range []string{"postgres://", "postgresql://"} {
		if rest, ok := strings.CutPrefix(text, scheme); ok {
			return rest, true
		}
	}
	return "", false
}

// TableAt returns the URI of a table in the schema public of the database that a connection string names. Local reports whether the
// server is on this machine, where TLS is rarely set up. Errors repeat nothing of the string.
func TableAt(text, name string) (uri table.URI, local bool, err error) {
	d, err := parseDSN(text)
	if err != nil {
		return table.URI{}, false, err
	}
	all := d.servers()
	if len(all) == 0 {
		all = []server{{"localhost", number(d["port"])}}
	}
	first := all[0]
	local = first.host == "localhost" || first.socket() || net.ParseIP(first.host).IsLoopback()
	if first.socket() {
		first = server{"localhost", usualPort} // the string itself says where to connect to
	}
	if d["dbname"] == "" {
		return table.URI{}, false, errors.New("it names no database: " + urlForm)
	}
	uri, err = table.ParseURI("postgres://" + first.String() + "/" + d["dbname"] + "/" + name)
	return uri, local, err
}

const urlForm = "want postgres://user:password@host:port/database, with %XX for each special character of the password"

// parseURL parses a connection URI after its scheme, by the rules of the manual's section "Connection URIs".
func parseURL(rest string) (dsn, error) {
	d := dsn{}
	var escaped bool
	set := func(key, value string) {
		text, err := url.PathUnescape(value)
		escaped = escaped || err != nil
		if text != "" {
			d[key] = text
		}
	}
	// Only a slash ends the search, so a password may have a question mark.
	if at := strings.IndexAny(rest, "@/"); at >= 0 && rest[at] == '@' {
		user, password, _ := strings.Cut(rest[:at], ":")
		set("user", user)
		set("password", password)
		rest = rest[at+1:]
	}
	rest, query, _ := strings.Cut(rest, "?")
	servers, database, _ := strings.Cut(rest, "/")
	set("dbname", database)
	if err := d.setServers(servers); err != nil {
		return nil, err
	}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, errors.New(urlForm + "; after ? want keyword=value pairs separated by &")
		}
		set(key, value)
	}
	if escaped {
		return nil, errors.New(urlForm + "; a % is not followed by two hexadecimal digits")
	}
	return d, nil
}

// setServers sets host and port from a list such as one:5432,[::1].
func (d dsn) setServers(list string) error {
	if list == "" {
		return nil
	}
	var hosts, ports []string
	for server := range strings.SplitSeq(list, ",") {
		host, port := server, ""
		if inner, after, bracketed := strings.Cut(strings.TrimPrefix(server, "["), "]"); bracketed && server[0] == '[' {
			host, port = inner, strings.TrimPrefix(after, ":")
		} else {
			host, port, _ = strings.Cut(server, ":")
		}
		host, err := url.PathUnescape(host)
		if err != nil {
			return errors.New(urlForm)
		}
		hosts, ports = append(hosts, host), append(ports, port)
	}
	if text := strings.Join(hosts, ","); text != "" {
		d["host"] = text
	}
	if text := strings.Join(ports, ","); strings.Trim(text, ",") != "" {
		d["port"] = text
	}
	return nil
}

const pairForm = "want keyword=value pairs separated by spaces, with values that have spaces in single quotes, or postgres://user:password@host:port/database"

// parsePairs parses keyword=value pairs, by the rules of the manual's section "Keyword/Value Connection Strings".
func parsePairs(text string) (dsn, error) {
	d := dsn{}
	for text != "" {
		key, rest, ok := strings.Cut(text, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" || strings.ContainsAny(key, " \t\r\n") {
			return nil, errors.New(pairForm)
		}
		value, after, err := cutValue(strings.TrimLeft(rest, " \t\r\n"))
		if err != nil {
			return nil, err
		}
		if d[key] = value; value == "" {
			delete(d, key)
		}
		text = strings.TrimLeft(after, " \t\r\n")
	}
	return d, nil
}

// cutValue cuts a value off, which may be quoted. A backslash takes the character after it as it is.
func cutValue(text string) (value, after string, err error) {
	quoted := strings.HasPrefix(text, "'")
	if quoted {
		text = text[1:]
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case quoted && c == '\'':
			return b.String(), text[i+1:], nil
		case !quoted && strings.IndexByte(" \t\r\n", c) >= 0:
			return b.String(), text[i:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", "", errors.New(pairForm + "; a quote is not closed")
	}
	return b.String(), "", nil
}

// check checks the values that are not free. Errors repeat none of them, because a password with a slash or a colon may have
// got there.
func (d dsn) check() error {
	hosts, ports := strings.Split(d["host"], ","), strings.Split(d["port"], ",")
	if len(ports) > 1 && len(ports) != len(hosts) {
		return fmt.Errorf("it has %d ports for %d hosts: want one for each, or one for all", len(ports), len(hosts))
	}
	for _, port := range ports {
		if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
			return errors.New("a port is not a number from 1 to 65535; in a URL, special characters of the password need %XX")
		}
	}
	if _, err := strconv.ParseUint(d["connect_timeout"], 10, 16); d["connect_timeout"] != "" && err != nil {
		return errors.New("connect_timeout is not a number of seconds")
	}
	for _, c := range []struct {
		key  string
		want []string
	}{
		{"sslmode", []string{"", "disable", "allow", "prefer", "require", "verify-ca", "verify-full"}},
		{"channel_binding", []string{"", "disable", "prefer", "require"}},
		{"target_session_attrs", []string{"", "any", "read-write", "primary"}},
	} {
		if !slices.Contains(c.want, d[c.key]) {
			return fmt.Errorf("%s: want one of %s", c.key, strings.Join(c.want[1:], ", "))
		}
	}
	if (d["sslcert"] == "") != (d["sslkey"] == "") {
		return errors.New("want both sslcert and sslkey, or neither")
	}
	return nil
}

// servers returns the servers to try, in order; nil if the string names none.
func (d dsn) servers() []server {
	if d["host"] == "" {
		return nil
	}
	ports := strings.Split(d["port"], ",")
	var all []server
	for i, host := range strings.Split(d["host"], ",") {
		all = append(all, server{host, number(ports[min(i, len(ports)-1)])})
	}
	return all
}

// timeout is how long an attempt to connect may take.
func (d dsn) timeout() time.Duration {
	if n, _ := strconv.Atoi(d["connect_timeout"]); n > 0 {
		return time.Duration(n) * time.Second
	}
	return connectBound
}
