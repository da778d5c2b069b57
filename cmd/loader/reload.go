package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/iceberg/care"
	database "aws-streaming-pipeline/loader/postgres/care"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers/layout"
)

func reloadCommand() *cobra.Command {
	var o reloadOptions
	cmd := &cobra.Command{
		Use: "reload", Short: "load again what a rollback or a restored backup took out of the table",
		Long: `Loads again what a table has lost and the outbox no longer has: of an Apache Iceberg table, files that no snapshot in its
history has, which a rollback took out; of a table in PostgreSQL, batches of which it has no row, as after a backup was
restored, or a standby promoted that lacked more than POSTGRES_FAILOVER_WINDOW. A batch whose rows you have all deleted looks
like a lost one. It begins with the batch, or with the first sealed at the time. Without --apply it shows what it would load. It
may be repeated, and may run beside a loader.`,
		Example: "loader reload --from 24h\nloader reload --from-batch ID --apply",
		RunE:    func(cmd *cobra.Command, _ []string) error { return reloadBatches(cmd.Context(), o, cmd.OutOrStdout()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.batch, "from-batch", "", "`id` of the first batch")
	f.Var(&o.from, "from", "`time`: "+command.MomentForms)
	f.StringVar(&o.table, "table", "", tableUsage)
	f.BoolVar(&o.apply, "apply", false, "do it")
	return cmd
}

// reloadOptions are the flags of reload.
type reloadOptions struct {
	batch, table string
	from         command.Moment
	apply        bool
}

func reloadBatches(ctx context.Context, o reloadOptions, out io.Writer) error {
	from := o.from
	if o.batch != "" {
		began, ok := layout.BatchTime(o.batch)
		if !ok {
			return command.Usagef("--from-batch %q: want the id of a batch, as manifests have it", o.batch)
		}
		from.Time = began // it was sealed later
	}
	if from.IsZero() {
		return command.Usagef("name where to begin, with --from-batch or --from")
	}
	return withSite(ctx, func(s *site) error {
		uri, err := s.chooseOne(o.table)
		if err != nil {
			return err
		}
		if uri.Iceberg() {
			return s.reloadIceberg(ctx, uri, from, o.apply, out)
		}
		return s.reloadPostgres(ctx, uri, from, o.apply, out)
	})
}

func (s *site) reloadPostgres(ctx context.Context, uri table.URI, from command.Moment, apply bool, out io.Writer) error {
	of, err := s.database(ctx, uri, from, command.Moment{Time: time.Now()})
	if err != nil {
		return err
	}
	to, err := s.openPostgres(ctx, uri, 0) // the outbox has forgotten the batches: nothing is to be waited for
	if err != nil {
		return err
	}
	r, err := database.Reload(ctx, of, func(ctx context.Context) (loader.State, error) { return s.load(ctx, to) }, apply)
	fmt.Fprintf(out, "%s %d batches with %d files and %d rows\n", did(apply), r.Batches, r.Files, r.Rows)
	for _, id := range r.Partial {
		fmt.Fprintf(out, "batch %s is left alone: some of its rows are in the table, and others are not; see \"loader audit\"\n", id)
	}
	if r.Unfit > 0 {
		fmt.Fprintf(out, "%d batches are left alone because the table cannot take them, the first: %s\n", r.Unfit, r.Reason)
	}
	return err
}

func (s *site) reloadIceberg(ctx context.Context, uri table.URI, from command.Moment, apply bool, out io.Writer) error {
	to, err := s.openIceberg(ctx, uri)
	if err != nil {
		return err
	}
	load := func(ctx context.Context) (care.State, error) {
		state, err := s.load(ctx, to)
		if err != nil {
			return nil, err
		}
		return state.(care.State), nil // every state of an Iceberg table is one
	}
	r, err := care.Reload(ctx, s.window(uri, from, command.Moment{Time: time.Now()}), s.store, load, apply)
	fmt.Fprintf(out, "%s %d files of %d batches with %d rows\n", did(apply), r.Files, r.Batches, r.Rows)
	if r.Unknown > 0 {
		fmt.Fprintf(out, "%d files are left alone: they are not in the table and may have been compacted; the snapshots that would tell have expired\n", r.Unknown)
	}
	if r.Unfit > 0 {
		fmt.Fprintf(out, "%d files are left alone because the table cannot take them, the first: %s\n", r.Unfit, r.Reason)
	}
	return err
}

func did(apply bool) string {
	if apply {
		return "added"
	}
	return "would add"
}

// load loads the table as a loader does.
func (s *site) load(ctx context.Context, to loader.Destination) (loader.State, error) {
	previous, err := s.definition(ctx, to.Name())
	if err != nil {
		return nil, err
	}
	return to.Load(ctx, previous)
}

// definition is what a loader wrote of the table last; nil if there is none.
func (s *site) definition(ctx context.Context, name string) (d *table.Definition, err error) {
	item, err := s.item(ctx, name)
	if err != nil || len(item.Definition) == 0 {
		return nil, err
	}
	if err := json.Unmarshal(item.Definition, &d); err != nil {
		return nil, fmt.Errorf("definition of table %s: %w", name, err)
	}
	return d, nil
}
