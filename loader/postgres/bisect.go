package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"aws-streaming-pipeline/loader/postgres/pgddl"
)

// copy copies the rows of a chunk but for those that the database refuses, which it finds by trying fewer rows at a time: those before
// the one that the error names, if it names one, and otherwise half of them. After rows that were taken it tries twice as many. So
// a row is copied a few times if few are refused or the errors name them, and otherwise some log2(rows) times.
func (w *write) copy(ctx context.Context, c *chunk) error {
	step, suspect := len(c.rows), -1
	for from := 0; from < len(c.rows); {
		if from == suspect {
			step = 1
		}
		to := from + min(step, len(c.rows)-from)
		at, err := w.try(ctx, c, from, to)
		w.addition.Progress()
		answer, ok := errors.AsType[*pgconn.PgError](err)
		switch {
		case err == nil:
			from, step = to, 2*step
		case !ok || !isRow(answer):
			return err
		case to == from+1:
			c.refused = append(c.refused, refused{c.rows[from], refusalOf(answer)})
			w.countOf(c.rows[from]).rows--
			from, step = to, 1
		case at > 0 && from+at < to:
			suspect, step = from+at, at
		case at == 0:
			step = 1
		default:
			step = (to - from) / 2
		}
	}
	for _, row := range c.rows {
		w.countOf(row).rows++
	}
	slices.SortFunc(c.refused, func(a, b refused) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.number, b.number))
	})
	return w.records.add(ctx, c.refused)
}

// try copies rows under a savepoint. If the database refuses them, the table is as before, and at is the row that the error names,
// counted from the first of them, or -1.
func (w *write) try(ctx context.Context, c *chunk, from, to int) (at int, err error) {
	w.fence.begin()
	defer w.fence.end()
	tuples := io.MultiReader(strings.NewReader(copyHeader), bytes.NewReader(c.part(from, to)), strings.NewReader(copyTrailer))
	if len(w.d.Key) == 0 {
		_, err = w.session.conn.PgConn().CopyFrom(ctx, tuples, w.savepoint.next()+"COPY "+w.d.relation(w.d.ddl.Name)+" ("+w.plan.names+") FROM STDIN (FORMAT binary)")
	} else {
		_, err = w.session.conn.PgConn().CopyFrom(ctx, tuples, w.savepoint.next()+"TRUNCATE "+staged+"; COPY "+staged+" ("+w.plan.names+") FROM STDIN (FORMAT binary)")
	}
	at = lineOf(err)
	if err == nil && len(w.d.Key) > 0 {
		_, err = w.session.run(ctx, w.upsert())
	}
	if w.savepoint = rowsTaken; err != nil {
		w.savepoint = rowsRefused
	}
	return at, err
}

// savepoint is what has become of the rows that were sent last. What follows from it is part of the next message, so it takes no time
// of its own.
type savepoint int

const (
	noSavepoint savepoint = iota
	rowsTaken
	rowsRefused
)

// next are the statements before further rows.
func (s savepoint) next() string {
	return [...]string{"SAVEPOINT rows; ", "RELEASE SAVEPOINT rows; SAVEPOINT rows; ", "ROLLBACK TO SAVEPOINT rows; "}[s]
}

// end are the statements before anything else, which then stays whatever becomes of further rows.
func (s savepoint) end() string {
	return [...]string{"", "RELEASE SAVEPOINT rows; ", "ROLLBACK TO SAVEPOINT rows; RELEASE SAVEPOINT rows; "}[s]
}

// staged has the rows of a table with a key before they replace others.
const staged = "pg_temp.pipeline_staged"

// stage makes the table for rows that may replace others.
func (w *write) stage(ctx context.Context) error {
	if len(w.d.Key) == 0 {
		return nil
	}
	_, err := w.session.run(ctx, "CREATE TEMPORARY TABLE pipeline_staged ON COMMIT DROP AS SELECT "+w.plan.names+" FROM "+w.d.relation(w.d.ddl.Name)+" WITH NO DATA")
	return err
}

// upsert is the statement that adds the staged rows: of those with one key the last, if it comes after the one that the table has.
func (w *write) upsert() string {
	var key, set []string
	for _, k := range w.d.Key {
		key = append(key, pgddl.Quote(k))
	}
	sequence := ""
	for i, t := range w.plan.targets {
		if w.plan.sources[i] == fromSequence {
			sequence = pgddl.Quote(t.name)
		}
		set = append(set, fmt.Sprintf("%[1]s = EXCLUDED.%[1]s", pgddl.Quote(t.name)))
	}
	keys := strings.Join(key, ", ")
	return fmt.Sprintf(`INSERT INTO %[1]s AS t (%[2]s) SELECT DISTINCT ON (%[3]s) %[2]s FROM %[4]s ORDER BY %[3]s, %[5]s DESC NULLS LAST
ON CONFLICT (%[3]s) DO UPDATE SET %[6]s WHERE t.%[5]s IS NULL OR t.%[5]s < EXCLUDED.%[5]s`,
		w.d.relation(w.d.ddl.Name), w.plan.names, keys, staged, sequence, strings.Join(set, ", "))
}

// copyLine finds the line in the context of an error of COPY: "COPY trips, line 3, column price". Its words depend on the server's
// language.
var copyLine = regexp.MustCompile(`(?m)^COPY [^\n]*?, [^\n0-9]*([0-9]+)`)

// lineOf returns the row that an error of COPY names, from 0; -1 if it names none. It is a hint: a name of a table may look like it.
func lineOf(err error) int {
	answer, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return -1
	}
	m := copyLine.FindStringSubmatch(answer.Where)
	if m == nil {
		return -1
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n < 1 {
		return -1
	}
	return n - 1
}
