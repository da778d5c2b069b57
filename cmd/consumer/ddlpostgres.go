package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/pflag"

	"aws-streaming-pipeline/loader/postgres/pgddl"
	"aws-streaming-pipeline/record/schema"
)

// postgresFlags say what a table in PostgreSQL is like, as the settings of the same names do.
type postgresFlags struct {
	print, unique, daily bool
	key                  string
}

func (p *postgresFlags) add(f *pflag.FlagSet) {
	f.BoolVar(&p.print, "postgres", false, "print the table and the loader's own tables for PostgreSQL; TABLE_CREATE makes them without a statement")
	f.BoolVar(&p.unique, "unique", false, "with --postgres: a unique index on event_id, as POSTGRES_UNIQUE makes")
	f.StringVar(&p.key, "key", "", "with --postgres: columns that identify a row, separated by commas, as in POSTGRES_KEY")
	f.BoolVar(&p.daily, "daily", false, "with --postgres: a partition for each day of the arrival, as with POSTGRES_PARTITION=day")
}

// check returns what is wrong with the flags.
func (p *postgresFlags) check(name string) error {
	switch {
	case !p.print && (p.unique || p.daily || p.key != ""):
		return errors.New("--unique, --key and --daily: want --postgres, too")
	case p.print && !postgresTable.MatchString(name):
		return fmt.Errorf("--table=%q: want table or schema.table, with names of at most 63 of A-Z a-z 0-9 _ $", name)
	}
	return nil
}

// By the names that TABLE takes.
var postgresTable = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_$]{0,62}\.)?[A-Za-z_][A-Za-z0-9_$]{0,62}$`)

// write prints the statements for a table [schema.]name; s is nil without a schema.
func (p *postgresFlags) write(out io.Writer, name string, s *schema.Schema) error {
	namespace, table, qualified := strings.Cut(name, ".")
	if !qualified {
		namespace, table = "public", name
	}
	t := pgddl.Table{Namespace: namespace, Name: table, Schema: s, Unique: p.unique, Daily: p.daily}
	if p.key != "" {
		t.Key = strings.Split(p.key, ",")
	}
	statements, err := t.Create()
	if err != nil {
		return err
	}
	for _, statement := range append(statements, t.LedgerTables()...) {
		if _, err := fmt.Fprintf(out, "%s;\n\n", statement); err != nil {
			return err
		}
	}
	return nil
}
