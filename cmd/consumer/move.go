package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/operate/positions"
)

const positionForms = "TRIM_HORIZON, SHARD_END, a time as 2026-01-31T00:00:00Z or how long ago as 36h, or the sequence number of the last record that counts as delivered"

const rewindUsage = `checkpoint rewind --shard S|--all --to POSITION [--yes]

Moves shards back. Every record behind the new position that the stream still holds is read and DELIVERED AGAIN, into
new files: the ones that are there stay. The lease is taken from whoever holds it, and its counter is raised, so that no
commit from before can come late; workers take the shard up again by themselves.

A shard that is not behind the position stays as it is. A shard at SHARD_END is read again as long as the stream holds
it. Children that are being read go on meanwhile, so that the order between parent and child is not kept; children that
have not begun wait for it. Children that have no row yet begin at the same time, or at their oldest record.

Before a position moves, a note is written beside the manifests, by which an audit tells the rewind from a fault.`

const setUsage = `checkpoint set --shard S|--all --to POSITION [--yes]

Moves shards to any position. Ahead means LOSS: the records between the old position and the new one are never
delivered to the bucket, unless the shard is rewound while the stream still holds them. SHARD_END gives up the rest of
a shard, with what an open one is still to receive, and lets its children begin. Otherwise as rewind.`

func rewindShards(ctx context.Context, args []string, out io.Writer) error {
	return moveShards(ctx, "rewind", rewindUsage, args, out)
}

func setShards(ctx context.Context, args []string, out io.Writer) error {
	return moveShards(ctx, "set", setUsage, args, out)
}

func moveShards(ctx context.Context, name, usage string, args []string, out io.Writer) (err error) {
	cfg := toolSettings()
	m := positions.Mover{Ahead: name == "set"}
	var shards list
	var to string
	f := newFlags("checkpoint "+name, usage, out)
	f.Var(&shards, "shard", "`id` of a shard; may be given several times")
	all := f.Bool("all", false, "all shards of the table")
	f.StringVar(&to, "to", "", "`position`: "+positionForms)
	yes := f.Bool("yes", false, "do not ask")
	reason := f.String("reason", "", "`text` for the note")
	bucket := f.String("bucket", cfg.Bucket, "`name` of the bucket for the note (BUCKET)")
	manifests := f.String("manifest-prefix", cfg.ManifestPrefix, "`prefix` of the manifests (MANIFEST_PREFIX)")
	noNote := f.Bool("no-note", false, "write no note: audits will report the move as a fault")
	if err := parse(f, args); err != nil {
		return err
	}
	if m.To, err = parsePosition(to, time.Now()); err != nil {
		return fmt.Errorf("--to=%q: %w", to, err)
	}
	_, sequence := m.To.SequenceNumber()
	switch {
	case *all == (len(shards) > 0):
		return errors.New("name shards with --shard, or take --all of them")
	case *all && sequence:
		return errors.New("a sequence number belongs to one shard: name it with --shard")
	case *bucket == "" && !*noNote:
		return errors.New("there is no bucket for the note: set BUCKET, give --bucket, or go without it by --no-note")
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

// parsePosition reads a position as people write it.
func parsePosition(text string, now time.Time) (checkpoint.Position, error) {
	p := checkpoint.Position(text)
	if p.Validate() == nil {
		return p, nil
	}
	if t, err := parseMoment(text, now); err == nil {
		return checkpoint.AtTimestamp(t), nil
	}
	return "", errors.New("want " + positionForms)
}

// runMoves shows what will be done to the shards, all of them if none are named, asks, and does it. A nil ask is a yes.
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
	if ask != nil && !confirmed(ask, out) {
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

// confirmed asks and takes nothing but the word yes.
func confirmed(in io.Reader, out io.Writer) bool {
	fmt.Fprint(out, "\nType yes to go on: ")
	line, err := bufio.NewReader(in).ReadString('\n')
	return (err == nil || errors.Is(err, io.EOF)) && strings.TrimSpace(line) == "yes"
}

// operator names who runs this, as far as the system knows.
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
