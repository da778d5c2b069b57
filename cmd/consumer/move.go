package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/positions"
)

const positionForms = "TRIM_HORIZON, SHARD_END, an RFC 3339 time such as 2026-01-31T00:00:00Z, how long ago, such as 36h, or the sequence number of the last record to treat as delivered"

func rewindCommand() *cobra.Command {
	return moveCommand(&cobra.Command{
		Use: "rewind", Short: "move shards back to an earlier position: the records after it are delivered again",
		Long: `Moves shards back. Every record after the new position that the stream still holds is read and DELIVERED AGAIN, to new
files; existing files stay. The lease is taken from its holder and its counter is raised, so no earlier commit can
succeed late; workers pick the shard up again by themselves.

A shard that has not passed the position does not move. A shard at SHARD_END is read again if the stream still holds it.
Meanwhile children that are being read continue, so records of parent and child may arrive out of order; children that
have not started wait for it. Children without a row begin at the same time, or at their oldest record.

Before a position moves, a note is written next to the manifests, so that an audit can tell the rewind from a fault.`,
		Example: "consumer checkpoint rewind --all --to 2h\nconsumer checkpoint rewind --shard shardId-000000000003 --to 2026-01-31T00:00:00Z --reason 'files deleted'",
	}, false)
}

func setCommand() *cobra.Command {
	return moveCommand(&cobra.Command{
		Use: "set", Short: "move shards to any position; moving ahead skips the records in between, and the bucket never gets them",
		Long: `Moves shards to any position. Moving ahead means LOSS: the records between the old position and the new one are never
delivered to the bucket, unless you rewind the shard while the stream still holds them. SHARD_END skips the rest of a
shard, including records that an open shard has yet to receive, and lets its children begin. Otherwise it works like
rewind.`,
		Example: "consumer checkpoint set --shard shardId-000000000003 --to 2026-01-31T00:00:00Z --reason 'the records before are not wanted'",
	}, true)
}

// moveOptions are the flags of the commands that move shards.
type moveOptions struct {
	shards           command.List
	to, reason       string
	all, yes, noNote bool
}

// moveCommand completes a command that moves shards: ahead as well, or only back.
func moveCommand(cmd *cobra.Command, ahead bool) *cobra.Command {
	var o moveOptions
	f := cmd.Flags()
	f.Var(&o.shards, "shard", "`id` of a shard; may be repeated")
	f.BoolVar(&o.all, "all", false, "all shards of the table")
	f.StringVar(&o.to, "to", "", "`position`: "+positionForms)
	f.BoolVar(&o.yes, "yes", false, "do not ask for confirmation")
	f.StringVar(&o.reason, "reason", "", "`text` for the note")
	f.String("bucket", "", "`name` of the bucket for the note; default: BUCKET")
	f.String("manifest-prefix", "", "`prefix` of the manifests; default: MANIFEST_PREFIX")
	f.BoolVar(&o.noNote, "no-note", false, "write no note; audits will report the move as a fault")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return moveShards(cmd, o, ahead) }
	return cmd
}

func moveShards(cmd *cobra.Command, o moveOptions, ahead bool) (err error) {
	ctx, cfg := cmd.Context(), toolSettings()
	bucket, manifests := flagOr(cmd, "bucket", cfg.Bucket), flagOr(cmd, "manifest-prefix", cfg.ManifestPrefix)
	m := positions.Mover{Ahead: ahead}
	if m.To, err = parsePosition(o.to, time.Now()); err != nil {
		return command.Usagef("--to=%q: %w", o.to, err)
	}
	_, sequence := m.To.SequenceNumber()
	switch {
	case o.all == (len(o.shards) > 0):
		return command.Usagef("want either --shard or --all")
	case o.all && sequence:
		return command.Usagef("a sequence number belongs to one shard: name it with --shard")
	case bucket == "" && !o.noNote:
		return command.Usagef("the note needs a bucket: set BUCKET or --bucket, or write none with --no-note")
	}
	if !o.noNote {
		account, err := loadAccount(ctx)
		if err != nil {
			return err
		}
		m.Notes = positions.Notes{
			API: bucketClient(account, cfg), Bucket: bucket, ManifestPrefix: manifests, By: operator(), Reason: o.reason,
		}
	}
	if m.Store, err = openTable(ctx, cfg); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Store.Close()) }()
	return runMoves(ctx, m, o.shards, command.Asker(cmd, o.yes), cmd.OutOrStdout())
}

// parsePosition reads a position in any of the forms that positionForms lists.
func parsePosition(text string, now time.Time) (checkpoint.Position, error) {
	p := checkpoint.Position(text)
	if p.Validate() == nil {
		return p, nil
	}
	if t, err := command.ParseMoment(text, now); err == nil {
		return checkpoint.AtTimestamp(t), nil
	}
	return "", errors.New("want " + positionForms)
}

// runMoves prints how the named shards will move, or all shards if none are named, asks for confirmation, and moves them. A
// nil ask means yes.
func runMoves(ctx context.Context, m positions.Mover, shards []string, ask io.Reader, out io.Writer) error {
	steps, err := m.Plan(ctx, shards)
	if err != nil {
		return err
	}
	if err := printSteps(out, steps, m.To); err != nil {
		return err
	}
	steps = slices.DeleteFunc(steps, func(s positions.Step) bool { return s.Effect == positions.Stays })
	if len(steps) == 0 {
		_, err := fmt.Fprintln(out, "nothing to move")
		return err
	}
	if ask != nil && !command.Confirmed(ask, out) {
		return errors.New("nothing was moved")
	}
	for i, s := range steps {
		before, now, err := m.Move(ctx, s.Lease)
		if err == nil {
			err = printMove(out, before, now)
		}
		if err != nil {
			return fmt.Errorf("%d of %d shards were moved: %w", i, len(steps), err)
		}
	}
	return nil
}

func printSteps(out io.Writer, steps []positions.Step, to checkpoint.Position) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SHARD\tOWNER\tFROM\tTO\tEFFECT")
	for _, s := range steps {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Shard, s.Owner, s.Checkpoint, to, s.Effect)
	}
	return w.Flush()
}

func printMove(out io.Writer, before, now checkpoint.Lease) (err error) {
	if now.Counter == before.Counter {
		_, err = fmt.Fprintf(out, "%s is at %s, lease counter %d\n", now.Shard, now.Checkpoint, now.Counter)
	} else {
		_, err = fmt.Fprintf(out, "moved %s: %s -> %s, lease counter %d\n", now.Shard, before.Checkpoint, now.Checkpoint, now.Counter)
	}
	return err
}

// operator returns the user and the host that run this command, as far as the system knows them.
func operator() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}
