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

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/positions"
)

const positionForms = "TRIM_HORIZON, SHARD_END, an RFC 3339 time such as 2026-01-31T00:00:00Z, how long ago, such as 36h, or the sequence number of the last record to treat as delivered"

const rewindUsage = `checkpoint rewind --shard S|--all --to POSITION [--yes]

Moves shards back. Every record after the new position that the stream still holds is read and DELIVERED AGAIN, to new
files; existing files stay. The lease is taken from its holder and its counter is raised, so no earlier commit can
succeed late; workers pick the shard up again by themselves.

A shard that has not passed the position does not move. A shard at SHARD_END is read again if the stream still holds it.
Meanwhile children that are being read continue, so records of parent and child may arrive out of order; children that
have not started wait for it. Children without a row begin at the same time, or at their oldest record.

Before a position moves, a note is written next to the manifests, so that an audit can tell the rewind from a fault.`

const setUsage = `checkpoint set --shard S|--all --to POSITION [--yes]

Moves shards to any position. Moving ahead means LOSS: the records between the old position and the new one are never
delivered to the bucket, unless you rewind the shard while the stream still holds them. SHARD_END skips the rest of a
shard, including records that an open shard has yet to receive, and lets its children begin. Otherwise it works like
rewind.`

func rewindShards(ctx context.Context, args []string, out io.Writer) error {
	return moveShards(ctx, "rewind", rewindUsage, args, out)
}

func setShards(ctx context.Context, args []string, out io.Writer) error {
	return moveShards(ctx, "set", setUsage, args, out)
}

func moveShards(ctx context.Context, name, usage string, args []string, out io.Writer) (err error) {
	cfg := toolSettings()
	m := positions.Mover{Ahead: name == "set"}
	var shards command.List
	var to string
	f := newFlags("checkpoint "+name, usage, out)
	f.Var(&shards, "shard", "`id` of a shard; may be repeated")
	all := f.Bool("all", false, "all shards of the table")
	f.StringVar(&to, "to", "", "`position`: "+positionForms)
	yes := f.Bool("yes", false, "do not ask for confirmation")
	reason := f.String("reason", "", "`text` for the note")
	bucket := f.String("bucket", cfg.Bucket, "`name` of the bucket for the note (BUCKET)")
	manifests := f.String("manifest-prefix", cfg.ManifestPrefix, "`prefix` of the manifests (MANIFEST_PREFIX)")
	noNote := f.Bool("no-note", false, "write no note; audits will report the move as a fault")
	if err := command.Parse(f, args); err != nil {
		return err
	}
	if m.To, err = parsePosition(to, time.Now()); err != nil {
		return fmt.Errorf("--to=%q: %w", to, err)
	}
	_, sequence := m.To.SequenceNumber()
	switch {
	case *all == (len(shards) > 0):
		return errors.New("want either --shard or --all")
	case *all && sequence:
		return errors.New("a sequence number belongs to one shard: name it with --shard")
	case *bucket == "" && !*noNote:
		return errors.New("the note needs a bucket: set BUCKET or --bucket, or write none with --no-note")
	}
	if !*noNote {
		account, err := loadAccount(ctx)
		if err != nil {
			return err
		}
		m.Notes = positions.Notes{
			API: bucketClient(account, cfg), Bucket: *bucket, ManifestPrefix: *manifests, By: operator(), Reason: *reason,
		}
	}
	if m.Store, err = openTable(ctx, cfg); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Store.Close()) }()
	var ask io.Reader
	if !*yes {
		ask = os.Stdin
	}
	return runMoves(ctx, m, shards, ask, out)
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
