package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/loader/iceberg/care"
	definition "aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers/layout"
)

const expireUsage = `expire [--older-than D] [--keep N]

Removes old snapshots from the table's metadata, as the loader does by itself. Queries can no longer go back to them. The files
that only they needed stay until "loader orphans --remove".`

func expireSnapshots(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("expire", expireUsage, out)
	age := f.Duration("older-than", 0, "age from which snapshots expire; default: TABLE_SNAPSHOT_AGE")
	keep := f.Int("keep", 0, "number of newest snapshots that stay; default: TABLE_SNAPSHOTS")
	if err := command.Parse(f, args); err != nil {
		return command.UnlessHelp(err)
	}
	if *age < 0 || *keep < 0 {
		return fmt.Errorf("--older-than %s --keep %d: want values above 0", *age, *keep)
	}
	return withSite(ctx, func(s *site) error {
		if *age == 0 {
			*age = s.cfg.TableSnapshotAge
		}
		if *keep == 0 {
			*keep = s.cfg.TableSnapshots
		}
		t, err := s.table.Now(ctx)
		if err != nil {
			return err
		}
		n, after, err := care.Expire(ctx, t, *age, *keep)
		if err != nil {
			return fmt.Errorf("%w; if another program has changed the table meanwhile, try again", err)
		}
		_, err = fmt.Fprintf(out, "expired %d snapshots, %d are left\n", n, len(after.Metadata().Snapshots()))
		return err
	})
}

const orphansUsage = `orphans [--older-than D] [--remove] [--replaced] [--yes]

Lists the files under the table's location that no snapshot needs: what commits left that failed, and what only expired
snapshots needed. With --replaced it lists the daemon's own files instead that were loaded and that no snapshot needs any more,
because they were compacted or their rows deleted. --remove deletes what was listed, after it has asked.

After a rollback run "loader reload" first: what it would add again looks like a file that was replaced.`

func removeOrphans(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("orphans", orphansUsage, out)
	age := f.Duration("older-than", 72*time.Hour, "age of the files, at least 24h")
	replaced := f.Bool("replaced", false, "the daemon's files that no snapshot needs any more")
	remove := f.Bool("remove", false, "delete them")
	yes := f.Bool("yes", false, "do not ask for confirmation")
	if err := command.Parse(f, args); err != nil {
		return command.UnlessHelp(err)
	}
	return withSite(ctx, func(s *site) error {
		find := func(ctx context.Context) ([]table.OrphanFile, error) {
			t, err := s.table.Now(ctx)
			if err != nil {
				return nil, err
			}
			if *replaced {
				return care.Unneeded(ctx, s.window(command.Moment{}, command.Moment{Time: time.Now().Add(-*age)}), s.store, t)
			}
			return care.Orphans(ctx, t, *age)
		}
		files, err := find(ctx)
		if err != nil {
			return err
		}
		var size int64
		for _, file := range files {
			size += file.SizeBytes
			fmt.Fprintf(out, "%12d  %s\n", file.SizeBytes, file.Path)
		}
		fmt.Fprintf(out, "%d files, %s\n", len(files), consumer.Bytes(size))
		if !*remove || len(files) == 0 {
			return nil
		}
		if err := confirm(*yes, out); err != nil {
			return err
		}
		n, err := care.Remove(ctx, files, find, func(path string) error { return s.table.Files().Delete(ctx, path) })
		fmt.Fprintf(out, "removed %d files\n", n)
		return err
	})
}

const compactUsage = `compact [--target SIZE] [--quiet D] [--most SIZE] [--apply]

Rewrites the small files of each partition into larger ones, in one commit. It reads and writes the data in this process, so it is
for small tables: docs/tables.md names engines for large ones. Without --apply it shows what it would do.`

func compactTable(ctx context.Context, args []string, out io.Writer) error {
	target, most := consumer.Bytes(128<<20), consumer.Bytes(512<<20)
	f := newFlags("compact", compactUsage, out)
	f.Func("target", "`size` of the files to make (default 128MiB)", target.Decode)
	f.Func("most", "`size` of what is read at most in this run (default 512MiB)", most.Decode)
	quiet := f.Duration("quiet", 2*time.Hour, "leave partitions alone that got a file from a batch begun since then")
	apply := f.Bool("apply", false, "do it")
	if err := command.Parse(f, args); err != nil {
		return command.UnlessHelp(err)
	}
	return withSite(ctx, func(s *site) error {
		t, err := s.table.Now(ctx)
		if err != nil {
			return err
		}
		c := care.Compaction{Target: int64(target), Quiet: *quiet, Most: int64(most), Now: time.Now()}
		plan, err := care.PlanCompaction(ctx, t, c)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%d small files of %d partitions, %s; %d groups of files are left for another run\n", plan.Files, plan.Partitions, consumer.Bytes(plan.Bytes), plan.Left)
		if !*apply || plan.Files == 0 {
			return nil
		}
		result, err := care.Compact(ctx, t, c, plan)
		if err != nil {
			return fmt.Errorf("%w; if another program has changed the table meanwhile, try again", err)
		}
		_, err = fmt.Fprintf(out, "replaced %d files by %d\n", result.RemovedDataFiles, result.AddedDataFiles)
		return err
	})
}

const reloadUsage = `reload (--from-batch ID | --from T) [--apply]

Adds files again that no snapshot in the table's history has and whose batches are no longer in the outbox: those that a rollback
took out. It begins with the batch, or with the first sealed at the time. Without --apply it shows what it would add. It may be
repeated, and may run beside a loader.`

func reloadBatches(ctx context.Context, args []string, out io.Writer) error {
	var from command.Moment
	f := newFlags("reload", reloadUsage, out)
	batch := f.String("from-batch", "", "`id` of the first batch")
	f.Var(&from, "from", "`time`: "+command.MomentForms)
	apply := f.Bool("apply", false, "do it")
	if err := command.Parse(f, args); err != nil {
		return command.UnlessHelp(err)
	}
	if *batch != "" {
		began, ok := layout.BatchTime(*batch)
		if !ok {
			return fmt.Errorf("--from-batch %q: want the id of a batch, as manifests have it", *batch)
		}
		from.Time = began // it was sealed later
	}
	if from.IsZero() {
		return errors.New("name where to begin, with --from-batch or --from")
	}
	return withSite(ctx, func(s *site) error {
		r, err := care.Reload(ctx, s.window(from, command.Moment{Time: time.Now()}), s.store, s.state, *apply)
		did := "would add"
		if *apply {
			did = "added"
		}
		fmt.Fprintf(out, "%s %d files of %d batches with %d rows\n", did, r.Files, r.Batches, r.Rows)
		if r.Unknown > 0 {
			fmt.Fprintf(out, "%d files are left alone: they are not in the table and may have been compacted; the snapshots that would tell have expired\n", r.Unknown)
		}
		if r.Unfit > 0 {
			fmt.Fprintf(out, "%d files are left alone because the table cannot take them, the first: %s\n", r.Unfit, r.Reason)
		}
		return err
	})
}

// state loads the table as a loader does.
func (s *site) state(ctx context.Context) (care.State, error) {
	item, err := s.item(ctx)
	if err != nil {
		return nil, err
	}
	var previous *definition.Definition
	if len(item.Definition) > 0 {
		if err := json.Unmarshal(item.Definition, &previous); err != nil {
			return nil, fmt.Errorf("definition of table %s: %w", item.Name, err)
		}
	}
	state, err := s.table.Load(ctx, previous)
	if err != nil {
		return nil, err
	}
	return state.(care.State), nil // every state of an Iceberg table is one
}

const rebindUsage = `rebind [--yes]

Accepts that the table is another one than before, because it was dropped and created again under the same name. The loader
describes the new table to the workers. Batches whose files were written for the old one are not loaded: they wait until
"consumer checkpoint skip" lets each go.`

func rebindTable(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("rebind", rebindUsage, out)
	yes := f.Bool("yes", false, "do not ask for confirmation")
	if err := command.Parse(f, args); err != nil {
		return command.UnlessHelp(err)
	}
	return withSite(ctx, func(s *site) error {
		item, err := s.item(ctx)
		if err != nil {
			return err
		}
		t, err := s.table.Now(ctx)
		switch {
		case err == nil:
			fmt.Fprintf(out, "table %s now has the UUID %s\n", s.table.Name(), t.Metadata().TableUUID())
		case errors.Is(err, catalog.ErrNoSuchTable) && s.cfg.TableCreate:
			fmt.Fprintf(out, "table %s does not exist: the loader will create it\n", s.table.Name())
		default:
			return err
		}
		if len(item.Definition) == 0 {
			_, err := fmt.Fprintln(out, "no loader has described a table yet: there is nothing to rebind")
			return err
		}
		if err := confirm(*yes, out); err != nil {
			return err
		}
		item.Definition = nil
		if _, err := s.store.PutTable(ctx, item); err != nil {
			return fmt.Errorf("%w; a loader has written the item meanwhile: try again", err)
		}
		_, err = fmt.Fprintln(out, "the loader describes the new table in its next round")
		return err
	})
}
