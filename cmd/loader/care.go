package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/apache/iceberg-go/table"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/loader/iceberg"
	"aws-streaming-pipeline/loader/iceberg/care"
)

const expireUsage = `expire [--older-than D] [--keep N]

For an Apache Iceberg table. Removes old snapshots from its metadata, as the loader does by itself. Queries can no longer go
back to them. The files that only they needed stay until "loader orphans --remove".`

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
	return withIceberg(ctx, "expire", func(s *site, to *iceberg.Table) error {
		if *age == 0 {
			*age = s.cfg.TableSnapshotAge
		}
		if *keep == 0 {
			*keep = s.cfg.TableSnapshots
		}
		t, err := to.Now(ctx)
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

For an Apache Iceberg table. Lists the files under its location that no snapshot needs: what commits left that failed, and what
only expired snapshots needed. With --replaced it lists the daemon's own files instead that were loaded and that no snapshot
needs any more, because they were compacted or their rows deleted. --remove deletes what was listed, after it has asked.

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
	return withIceberg(ctx, "orphans", func(s *site, to *iceberg.Table) error {
		find := func(ctx context.Context) ([]table.OrphanFile, error) {
			t, err := to.Now(ctx)
			if err != nil {
				return nil, err
			}
			if *replaced {
				return care.Unneeded(ctx, s.window(to.URI, command.Moment{}, command.Moment{Time: time.Now().Add(-*age)}), s.store, t)
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
		n, err := care.Remove(ctx, files, find, func(path string) error { return to.Files().Delete(ctx, path) })
		fmt.Fprintf(out, "removed %d files\n", n)
		return err
	})
}

const compactUsage = `compact [--target SIZE] [--quiet D] [--most SIZE] [--apply]

For an Apache Iceberg table. Rewrites the small files of each partition into larger ones, in one commit. It reads and writes the
data in this process, so it is for small tables: docs/tables.md names engines for large ones. Without --apply it shows what it
would do.`

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
	return withIceberg(ctx, "compact", func(s *site, to *iceberg.Table) error {
		t, err := to.Now(ctx)
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
