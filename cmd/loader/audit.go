package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/loader/iceberg/care"
	database "aws-streaming-pipeline/loader/postgres/care"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers/layout"
)

func auditCommand() *cobra.Command {
	var o auditOptions
	cmd := &cobra.Command{
		Use: "audit", Short: "prove that what was delivered is in the table exactly once",
		Long: `Proves that TABLE has what was delivered for it, once. Of an Apache Iceberg table it proves, from the manifests in the bucket
and the table's own history, that each file of a loaded batch was added exactly once, and that the table has no other file of
the pipeline from that time; files that a compaction has replaced count as loaded. Of a table in PostgreSQL it reads the files,
and proves that each of their rows is in the table once, unless the database has refused it; with POSTGRES_KEY, that the table
has the newest row of each key. Where TABLE names two tables, each is audited, and --json prints one report after the other.
"consumer audit" proves that the files themselves hold each record once.

Exit code: 0 sound, 1 findings, 2 could not be checked.`,
		Example: "loader audit --from 24h\nloader audit --table glue://lake/trips --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return auditTable(cmd.Context(), o, cmd.OutOrStdout()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.table, "table", "", tableUsage)
	f.Var(&o.from, "from", "audit batches sealed at this `time` or later: "+command.MomentForms+"; default: from the first manifest")
	f.Var(&o.to, "to", "audit batches sealed before this `time`; default: now")
	f.BoolVar(&o.json, "json", false, "print the report as JSON")
	f.BoolVar(&o.strict, "strict", false, "treat warnings as findings")
	return cmd
}

// auditOptions are the flags of audit.
type auditOptions struct {
	table        string
	from, to     command.Moment
	json, strict bool
}

func auditTable(ctx context.Context, o auditOptions, out io.Writer) error {
	if o.to.IsZero() {
		o.to.Time = time.Now()
	}
	return command.Undone(withSite(ctx, func(s *site) error {
		tables, err := s.choose(o.table)
		if err != nil {
			return err
		}
		var found, undone error
		for _, uri := range tables {
			r, err := s.audit(ctx, uri, o.from, o.to)
			if err == nil {
				err = command.Print(out, o.json, r.report, r.text)
			}
			switch {
			case err != nil:
				undone = errors.Join(undone, fmt.Errorf("audit of table %s did not finish: %w", uri, err))
			case !r.sound || o.strict && r.warnings > 0:
				found = &command.ExitError{Code: command.ExitFindings, Err: errors.New("audit: there are findings")}
			}
		}
		if undone != nil {
			return undone
		}
		return found
	}))
}

// audited is the result of an audit.
type audited struct {
	report   any
	text     func(io.Writer) error
	sound    bool
	warnings int
}

func (s *site) audit(ctx context.Context, uri table.URI, from, to command.Moment) (a audited, err error) {
	if !uri.Iceberg() {
		return s.auditPostgres(ctx, uri, from, to)
	}
	t, err := s.openIceberg(ctx, uri)
	if err != nil {
		return a, err
	}
	r, err := care.Audit(ctx, s.window(uri, from, to), s.store, t.Now)
	if err != nil {
		return a, err
	}
	return audited{r, r.WriteText, r.Sound, len(r.Warnings)}, nil
}

func (s *site) auditPostgres(ctx context.Context, uri table.URI, from, to command.Moment) (a audited, err error) {
	of, err := s.database(ctx, uri, from, to)
	if err != nil {
		return a, err
	}
	r, err := database.Audit(ctx, of)
	if err != nil {
		return a, err
	}
	return audited{r, r.WriteText, r.Sound, len(r.Warnings)}, nil
}

// database is what the commands for a table in PostgreSQL work on.
func (s *site) database(ctx context.Context, uri table.URI, from, to command.Moment) (*database.Site, error) {
	connector, err := s.place(uri).Connector()
	if err != nil {
		return nil, err
	}
	prefixes, zone, err := s.cfg.ErrorPrefixes()
	if err != nil {
		return nil, err
	}
	definition, err := s.definition(ctx, uri.String())
	if err != nil {
		return nil, err
	}
	return &database.Site{
		Window: s.window(uri, from, to), Outbox: s.store, Application: s.cfg.Application, Table: uri, Key: s.cfg.KeyColumns(), Definition: definition,
		Connect: connector.Connect,
		ErrorKey: func(batch string, arrival time.Time, part int) string {
			begun, _ := layout.BatchTime(batch)
			return layout.RefusedFile(prefixes(batch, record.PostgresFailed, arrival)+s.cfg.Stream, begun.In(zone), batch, part).Key()
		},
	}, nil
}
