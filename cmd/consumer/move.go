package main

import (
	"bufio"
	"bytes"
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

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers/layout"
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

// mover moves positions of shards.
type mover struct {
	store checkpoint.Store
	notes notes
	// ahead allows positions ahead of the present one.
	ahead  bool
	to     checkpoint.Position
	reason string
	out    io.Writer
}

func moveShards(ctx context.Context, name, usage string, args []string, out io.Writer) (err error) {
	cfg := toolSettings()
	m := mover{ahead: name == "set", out: out}
	var shards list
	var to string
	f := newFlags("checkpoint "+name, usage, out)
	f.Var(&shards, "shard", "`id` of a shard; may be given several times")
	all := f.Bool("all", false, "all shards of the table")
	f.StringVar(&to, "to", "", "`position`: "+positionForms)
	yes := f.Bool("yes", false, "do not ask")
	f.StringVar(&m.reason, "reason", "", "`text` for the note")
	bucket := f.String("bucket", cfg.Bucket, "`name` of the bucket for the note (BUCKET)")
	manifests := f.String("manifest-prefix", cfg.ManifestPrefix, "`prefix` of the manifests (MANIFEST_PREFIX)")
	noNote := f.Bool("no-note", false, "write no note: audits will report the move as a fault")
	if err := parse(f, args); err != nil {
		return err
	}
	if m.to, err = parsePosition(to, time.Now()); err != nil {
		return fmt.Errorf("--to=%q: %w", to, err)
	}
	_, sequence := m.to.SequenceNumber()
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
		m.notes = notes{client: bucketClient(account, cfg), bucket: *bucket, manifestPrefix: *manifests}
	}
	if m.store, err = openTable(ctx, cfg); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.store.Close()) }()
	var ask io.Reader
	if !*yes {
		ask = os.Stdin
	}
	return m.run(ctx, shards, ask)
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

// run shows what will be done to the shards, all of them if none are named, asks, and does it. A nil ask is a yes.
func (m *mover) run(ctx context.Context, shards []string, ask io.Reader) error {
	leases, err := m.leases(ctx, shards)
	if err != nil {
		return err
	}
	moving, err := m.plan(leases, len(shards) > 0)
	if err != nil {
		return err
	}
	if len(moving) == 0 {
		_, err := fmt.Fprintln(m.out, "nothing to move")
		return err
	}
	if ask != nil && !confirmed(ask, m.out) {
		return errors.New("nothing was moved")
	}
	for i, l := range moving {
		if err := m.move(ctx, l); err != nil {
			return fmt.Errorf("%d of %d shards were moved: %w", i, len(moving), err)
		}
	}
	return nil
}

func (m *mover) leases(ctx context.Context, shards []string) ([]checkpoint.Lease, error) {
	if len(shards) == 0 {
		snap, err := m.store.Scan(ctx)
		slices.SortFunc(snap.Leases, func(a, b checkpoint.Lease) int { return strings.Compare(a.Shard, b.Shard) })
		return snap.Leases, err
	}
	var leases []checkpoint.Lease
	for _, shard := range slices.Compact(slices.Sorted(slices.Values(shards))) {
		l, err := m.store.Lease(ctx, shard)
		if err != nil {
			return nil, fmt.Errorf("shard %s: %w", shard, err)
		}
		leases = append(leases, l)
	}
	return leases, nil
}

// plan prints what is to be done, and returns the leases that move. A named shard that can not be moved so is an error.
func (m *mover) plan(leases []checkpoint.Lease, named bool) (moving []checkpoint.Lease, err error) {
	w := tabwriter.NewWriter(m.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SHARD\tOWNER\tFROM\tTO\tEFFECT")
	for _, l := range leases {
		way := direction(l, m.to)
		if way == ahead && !m.ahead {
			if named {
				return nil, fmt.Errorf("%s is ahead of shard %s, which is at %s: that skips records; checkpoint set does", m.to, l.Shard, l.Checkpoint)
			}
			way = stays
		}
		if way != stays {
			moving = append(moving, l)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", l.Shard, l.Owner, l.Checkpoint, m.to, way)
	}
	return moving, w.Flush()
}

// way is where a move leads.
type way string

const (
	stays way = "stays as it is"
	back  way = "records behind it are delivered AGAIN"
	ahead way = "records before it are SKIPPED"
)

// direction tells where a position lies from the lease's. A time is held against the arrival of the last committed
// record.
func direction(l checkpoint.Lease, to checkpoint.Position) way {
	from := l.Checkpoint
	at, isTime := to.Timestamp()
	before, wasTime := from.Timestamp()
	_, fromSequence := from.SequenceNumber()
	_, toSequence := to.SequenceNumber()
	switch {
	case to == from:
		return stays
	case isTime && from == checkpoint.ShardEnd && !l.Arrival.IsZero() && at.After(l.Arrival):
		return stays // the shard has no records behind that
	case to == checkpoint.TrimHorizon, from == checkpoint.ShardEnd:
		return back
	case to == checkpoint.ShardEnd, from == checkpoint.TrimHorizon:
		return ahead
	case isTime && wasTime:
		return backIf(at.Before(before))
	case isTime:
		return backIf(!at.After(l.Arrival))
	case fromSequence && toSequence:
		return backIf(record.CompareSequence(string(to), string(from)) < 0)
	}
	return ahead // to a record, from a time before which nothing is committed
}

func backIf(b bool) way {
	if b {
		return back
	}
	return ahead
}

// confirmed asks and takes nothing but the word yes.
func confirmed(in io.Reader, out io.Writer) bool {
	fmt.Fprint(out, "\nType yes to go on: ")
	line, err := bufio.NewReader(in).ReadString('\n')
	return (err == nil || errors.Is(err, io.EOF)) && strings.TrimSpace(line) == "yes"
}

// moveAttempts bounds how often a move is tried while commits come between.
const moveAttempts = 10

// move moves one position. A commit that comes between reading the row and changing it moves the position itself: then
// the row is read again.
func (m *mover) move(ctx context.Context, l checkpoint.Lease) error {
	for attempt := 1; ; attempt++ {
		switch way := direction(l, m.to); {
		case way == stays: // by an attempt whose answer was lost
			_, err := fmt.Fprintf(m.out, "%s is at %s, lease counter %d\n", l.Shard, l.Checkpoint, l.Counter)
			return err
		case way == ahead && !m.ahead:
			return fmt.Errorf("shard %s is at %s now, and %s is ahead of that", l.Shard, l.Checkpoint, m.to)
		}
		// The note comes first: a position that moved without one would look like a fault for ever, a note without a
		// move says nothing.
		if err := m.notes.write(ctx, l, m.to, m.reason); err != nil {
			return fmt.Errorf("shard %s: write the note: %w", l.Shard, err)
		}
		moved, err := m.store.Rewind(ctx, l, m.to)
		if err == nil {
			_, err := fmt.Fprintf(m.out, "moved %s: %s -> %s, lease counter %d\n", moved.Shard, l.Checkpoint, moved.Checkpoint, moved.Counter)
			return err
		}
		if !errors.Is(err, checkpoint.ErrConflict) || attempt == moveAttempts {
			return fmt.Errorf("shard %s: %w", l.Shard, err)
		}
		shard := l.Shard
		if l, err = m.store.Lease(ctx, shard); err != nil {
			return fmt.Errorf("shard %s: %w", shard, err)
		}
	}
}

// notes writes what an audit needs to know of moves. Its zero value writes none.
type notes struct {
	client         *s3.Client
	bucket         string
	manifestPrefix string
}

func (n notes) write(ctx context.Context, l checkpoint.Lease, to checkpoint.Position, reason string) error {
	if n.client == nil {
		return nil
	}
	note := layout.Move{
		Shard: l.Shard, From: l.Checkpoint, To: to, Counter: l.Counter + 1, At: time.Now().UTC(), By: operator(), Reason: reason,
	}
	body, err := note.Encode()
	if err != nil {
		return err
	}
	_, err = n.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &n.bucket, Key: aws.String(note.Key(n.manifestPrefix, uuid.NewString())), Body: bytes.NewReader(body),
		ContentType: aws.String("application/json"),
	})
	return err
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
