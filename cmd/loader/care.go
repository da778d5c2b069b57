package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/apache/iceberg-go/table"
	"github.com/spf13/cobra"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/loader/iceberg"
	"aws-streaming-pipeline/loader/iceberg/care"
)

func expireCommand() *cobra.Command {
	var age time.Duration
	var keep int
	cmd := &cobra.Command{
		Use: "expire", Short: "expire snapshots",
		Long: `For an Apache Iceberg table. Removes old snapshots from its metadata, as the loader does by itself. Queries can no longer go
back to them. The files that only they needed stay until "loader orphans --remove".`,
		Example: "loader expire\nloader expire --older-than 48h --keep 10",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return expireSnapshots(cmd.Context(), age, keep, cmd.OutOrStdout())
		},
	}
	cmd.Flags().DurationVar(&age, "older-than", 0, "`age` from which snapshots expire; default: TABLE_SNAPSHOT_AGE")
	cmd.Flags().IntVar(&keep, "keep", 0, "`number` of newest snapshots that stay; default: TABLE_SNAPSHOTS")
	return cmd
}

func expireSnapshots(ctx context.Context, age time.Duration, keep int, out io.Writer) error {
	if age < 0 || keep < 0 {
		return command.Usagef("--older-than %s --keep %d: want values above 0", age, keep)
	}
	return withIceberg(ctx, "expire", func(s *site, to *iceberg.Table) error {
		if age == 0 {
			age = s.cfg.TableSnapshotAge
		}
		if keep == 0 {
			keep = s.cfg.TableSnapshots
		}
		t, err := to.Now(ctx)
		if err != nil {
			return err
		}
		n, after, err := care.Expire(ctx, t, age, keep)
		if err != nil {
			return fmt.Errorf("%w; if another program has changed the table meanwhile, try again", err)
		}
		_, err = fmt.Fprintf(out, "expired %d snapshots, %d are left\n", n, len(after.Metadata().Snapshots()))
		return err
	})
}

func orphansCommand() *cobra.Command {
	var o orphansOptions
	cmd := &cobra.Command{
		Use: "orphans", Short: "find and remove files that no snapshot needs",
		Long: `For an Apache Iceberg table. Lists the files under its location that no snapshot needs: what commits left that failed, and what
only expired snapshots needed. With --replaced it lists the daemon's own files instead that were loaded and that no snapshot
needs any more, because they were compacted or their rows deleted. --remove deletes what was listed, after it has asked.

After a rollback run "loader reload" first: what it would add again looks like a file that was replaced.`,
		Example: "loader orphans\nloader orphans --older-than 168h --remove",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.ask = command.Asker(cmd, o.yes)
			return removeOrphans(cmd.Context(), o, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.age, "older-than", 72*time.Hour, "`age` of the files, at least 24h")
	f.BoolVar(&o.replaced, "replaced", false, "the daemon's files that no snapshot needs any more")
	f.BoolVar(&o.remove, "remove", false, "delete them")
	f.BoolVar(&o.yes, "yes", false, "do not ask for confirmation")
	return cmd
}

// orphansOptions are the flags of orphans, and where it asks.
type orphansOptions struct {
	age                   time.Duration
	replaced, remove, yes bool
	ask                   io.Reader
}

func removeOrphans(ctx context.Context, o orphansOptions, out io.Writer) error {
	return withIceberg(ctx, "orphans", func(s *site, to *iceberg.Table) error {
		find := func(ctx context.Context) ([]table.OrphanFile, error) {
			t, err := to.Now(ctx)
			if err != nil {
				return nil, err
			}
			if o.replaced {
				return care.Unneeded(ctx, s.window(to.URI, command.Moment{}, command.Moment{Time: time.Now().Add(-o.age)}), s.store, t)
			}
			return care.Orphans(ctx, t, o.age)
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
		if !o.remove || len(files) == 0 {
			return nil
		}
		if err := confirm(o.ask, out); err != nil {
			return err
		}
		n, err := care.Remove(ctx, files, find, func(path string) error { return to.Files().Delete(ctx, path) })
		fmt.Fprintf(out, "removed %d files\n", n)
		return err
	})
}

func compactCommand() *cobra.Command {
	target, most := consumer.Bytes(128<<20), consumer.Bytes(512<<20)
	var quiet time.Duration
	var apply bool
	cmd := &cobra.Command{
		Use: "compact", Short: "merge the small files of quiet partitions",
		Long: `For an Apache Iceberg table. Rewrites the small files of each partition into larger ones, in one commit. It reads and writes the
data in this process, so it is for small tables: docs/tables.md names engines for large ones. Without --apply it shows what it
would do.`,
		Example: "loader compact\nloader compact --target 256MiB --apply",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := care.Compaction{Target: int64(target), Quiet: quiet, Most: int64(most), Now: time.Now()}
			return compactTable(cmd.Context(), c, apply, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.Func("target", "`size` of the files to make (default 128MiB)", target.Decode)
	f.Func("most", "`size` of what is read at most in this run (default 512MiB)", most.Decode)
	f.DurationVar(&quiet, "quiet", 2*time.Hour, "leave partitions alone that got a file from a batch begun within this `time`")
	f.BoolVar(&apply, "apply", false, "do it")
	return cmd
}

func compactTable(ctx context.Context, c care.Compaction, apply bool, out io.Writer) error {
	return withIceberg(ctx, "compact", func(s *site, to *iceberg.Table) error {
		t, err := to.Now(ctx)
		if err != nil {
			return err
		}
		plan, err := care.PlanCompaction(ctx, t, c)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%d small files of %d partitions, %s; %d groups of files are left for another run\n", plan.Files, plan.Partitions, consumer.Bytes(plan.Bytes), plan.Left)
		if !apply || plan.Files == 0 {
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
