// Package audit proves from the manifests and the bucket that a window of batches was delivered exactly once.
//
// Each batch leaves a manifest: the ranges of sequence numbers that it holds of each shard, and its files. If per shard
// every range begins where the one before ended, no record was left out and none was delivered by two batches. If every
// file is there, with the size and the ETag that S3 gave when it was completed, what was delivered is still there. A
// deep audit also reads the files: their rows are as many as the ranges have records, no event id is in a batch twice,
// and each belongs to a range of its batch. As ranges do not overlap, an id that is once in its batch is once in all.
// Where shards count their sequence numbers by themselves, as in some emulators, an id is in a batch once per shard.
//
// What it can not see: a manifest and its files that are gone from one end of the window, since nothing says that the
// chain went on; and what a producer sent twice, which is two records. Ranges of shards that share a manifest prefix
// are told apart by the shard's id alone: each application needs a prefix of its own.
//
// Memory is bounded by the number of shards, and 50 bytes or so for each manifest and each file of the window, however
// many records these hold. A deep audit holds up to 4 million hashes of ids and reads the files of larger batches
// several times.
package audit

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers/layout"
)

// Config says what is to be audited.
type Config struct {
	Bucket objects.Bucket
	// ManifestPrefix is that of the daemon.
	ManifestPrefix string
	// From and To bound the time at which batches were sealed: From included, To excluded. A zero From means from the
	// first manifest, a zero To now.
	From, To time.Time
	// Prefixes are the fixed beginnings of the keys of data and error files. Objects under them that no manifest names
	// are warned of: those with a key of a file as orphans of the pipeline, all others as somebody else's.
	Prefixes []string
	// Deep reads the files.
	Deep bool
	// Now tells the time; nil for time.Now.
	Now func() time.Time
}

const (
	// skew is how far the clocks of two workers may be apart. Manifests sealed so long before and behind the window are
	// read, too, only to see that the chain goes on there.
	skew = time.Hour
	// longestFill is how long a batch may have been open before it was sealed, with a day for the longest commit interval.
	longestFill = 25 * time.Hour

	// longestOutbox is the age from which the list of a batch's files is reported that is still in the outbox.
	longestOutbox = 24 * time.Hour

	chunk     = 64 // manifests fetched at a time
	parallel  = 16 // requests at a time
	downloads = 4  // files read at a time
	maxBody   = layout.MaxManifest
	// newLooks is how often the bucket is looked through for manifests that have appeared meanwhile, if one is missed.
	newLooks = 3
)

// Run audits the bucket. An error means that it could not be done, or not to its end; the report then holds what was
// found until then.
func Run(ctx context.Context, c Config) (*Report, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.To.IsZero() {
		c.To = c.Now()
	}
	a := &auditor{
		Config: c, seed: maphash.MakeSeed(),
		chains: make(map[string]*chain), moves: make(map[string][]layout.Move),
		seen: make(map[uint64]struct{}), batches: make(map[uint64]bool), named: make(map[uint64]struct{}),
		report: &Report{Bucket: c.Bucket.Name, From: c.From, To: c.To, Deep: c.Deep, Findings: []Finding{}, Warnings: []Finding{}, Counts: make(map[Kind]int64)},
	}
	err := a.run(ctx)
	a.report.sort()
	findings, _ := a.report.total()
	a.report.Sound = findings == 0 && err == nil
	return a.report, err
}

type auditor struct {
	Config
	seed   maphash.Seed
	chains map[string]*chain
	moves  map[string][]layout.Move // by shard

	// What was seen is kept as hashes: the keys of manifests, and of the files that they name. A collision would hide one
	// finding; at ten million files the chance of any is 1 in 10⁵.
	seen, named map[uint64]struct{}
	// batches are those that have a manifest; true for those whose manifest was read.
	batches map[uint64]bool

	mu     sync.Mutex
	report *Report
}

func (a *auditor) run(ctx context.Context) error {
	if err := a.readMoves(ctx); err != nil {
		return err
	}
	var ends, unnamed []Finding
	// While the bucket is read, batches are published. A manifest that appears behind the place where the listing is
	// leaves an apparent gap, so what seems to be missing is looked for again.
	for look := range newLooks {
		fresh, err := a.readManifests(ctx)
		if err != nil {
			return err
		}
		if look > 0 && fresh == 0 {
			break
		}
		ends = a.finishChains()
		if unnamed, err = a.unnamed(ctx); err != nil {
			return err
		}
		if len(ends)+len(unnamed) == 0 {
			break
		}
	}
	left, err := a.leftInOutbox(ctx)
	if err != nil {
		return err
	}
	for _, f := range slices.Concat(ends, unnamed, left) {
		a.found(f)
	}
	a.listShards()
	return nil
}

func (a *auditor) found(f Finding) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.add(f)
	if c := a.chains[f.Shard]; c != nil {
		c.Findings++
	}
}

// readMoves reads the notes of positions that were moved on purpose. They are few.
func (a *auditor) readMoves(ctx context.Context) error {
	for o, err := range a.Bucket.List(ctx, layout.MovesFolder(a.ManifestPrefix), "") {
		if err != nil {
			return err
		}
		body, _, err := a.Bucket.Read(ctx, *o.Key, maxBody)
		if err != nil {
			return err
		}
		m, err := layout.DecodeMove(body)
		if err != nil {
			a.found(Finding{Kind: BadManifest, Key: *o.Key, Message: "the note of a move can not be read: " + err.Error()})
			continue
		}
		a.moves[m.Shard] = append(a.moves[m.Shard], m)
	}
	return nil
}

// readManifests reads the manifests around the window that were not there before, and tells how many these are.
func (a *auditor) readManifests(ctx context.Context) (fresh int, err error) {
	var keys []string
	flush := func() error {
		fresh += len(keys)
		err := a.readChunk(ctx, keys)
		keys = keys[:0]
		return err
	}
	for key, err := range a.manifestKeys(ctx) {
		if err != nil {
			return fresh, err
		}
		if keys = append(keys, key); len(keys) == chunk {
			if err := flush(); err != nil {
				return fresh, err
			}
		}
	}
	return fresh, flush()
}

// manifestKeys goes through the manifests that are to be read and were not before. Those behind the window it only
// notes.
func (a *auditor) manifestKeys(ctx context.Context) func(yield func(string, error) bool) {
	after := ""
	if !a.From.IsZero() {
		after = layout.ManifestFolder(a.ManifestPrefix, a.From.Add(-skew))
	}
	last := layout.ManifestFolder(a.ManifestPrefix, a.To.Add(longestFill))
	return func(yield func(string, error) bool) {
		for o, err := range a.Bucket.List(ctx, a.ManifestPrefix, after) {
			if err != nil {
				yield("", err)
				return
			}
			if *o.Key > last && !strings.HasPrefix(*o.Key, last) {
				return
			}
			hour, batch, ok := layout.ParseManifestKey(a.ManifestPrefix, *o.Key)
			hash := a.hash(*o.Key)
			if _, known := a.seen[hash]; !ok || known {
				continue
			}
			a.seen[hash] = struct{}{}
			a.batches[a.hash(batch)] = false
			if hour.After(a.To.Add(skew)) {
				continue
			}
			if !yield(*o.Key, nil) {
				return
			}
		}
	}
}

func (a *auditor) hash(s string) uint64 { return maphash.String(a.seed, s) }

// manifest is one that was read.
type manifest struct {
	layout.Manifest
	key      string
	inWindow bool
}

// readChunk fetches manifests side by side, joins their ranges in order, and checks their files.
func (a *auditor) readChunk(ctx context.Context, keys []string) error {
	list := make([]*manifest, len(keys))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, key := range keys {
		g.Go(func() (err error) {
			list[i], err = a.read(gctx, key)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, m := range list {
		if m != nil {
			a.join(m)
		}
	}
	return a.checkFiles(ctx, list)
}

// read fetches one manifest; nil if it is no use, or gone again.
func (a *auditor) read(ctx context.Context, key string) (*manifest, error) {
	body, _, err := a.Bucket.Read(ctx, key, maxBody)
	if errors.Is(err, objects.ErrNotFound) {
		return nil, nil // removed since the listing; the chain tells
	}
	if err != nil {
		return nil, err
	}
	bad := func(format string, args ...any) (*manifest, error) {
		a.found(Finding{Kind: BadManifest, Key: key, Message: fmt.Sprintf(format, args...)})
		return nil, nil
	}
	m, err := layout.DecodeManifest(body)
	if err != nil {
		return bad("it is not JSON of a batch: %v", err)
	}
	if err := m.Validate(); err != nil {
		return bad("%v", err)
	}
	if want := m.Key(a.ManifestPrefix); want != key {
		return bad("it says that it is %s: it was copied or changed", want)
	}
	return &manifest{m, key, !m.Created.Before(a.From) && m.Created.Before(a.To)}, nil
}

// join puts a manifest's ranges into their chains, and counts.
func (a *auditor) join(m *manifest) {
	a.batches[a.hash(m.Batch)] = true
	var records, rows int64
	for _, r := range m.Ranges {
		c := a.chains[r.Shard]
		if c == nil {
			c = newChain(r.Shard, a.moves[r.Shard])
			a.chains[r.Shard] = c
		}
		for _, f := range c.add(r, m.Batch, m.inWindow) {
			a.found(f)
		}
		records += r.Records
	}
	for _, f := range m.Files {
		a.named[a.hash(f.Key)] = struct{}{}
		rows += f.Rows
		if m.inWindow {
			a.report.Bytes += f.Bytes
		}
	}
	if !m.inWindow {
		return
	}
	if records != rows {
		a.found(Finding{Kind: WrongCount, Batch: m.Batch, Key: m.key,
			Message: fmt.Sprintf("its ranges have %d records, its files %d rows", records, rows)})
	}
	a.report.Batches++
	a.report.Files += int64(len(m.Files))
	a.report.Records += records
}

// checkFiles looks at the files of the manifests in the window.
func (a *auditor) checkFiles(ctx context.Context, list []*manifest) error {
	if a.Deep {
		for _, m := range list {
			if m == nil || !m.inWindow {
				continue
			}
			if err := a.readBatch(ctx, m); err != nil {
				return err
			}
		}
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, m := range list {
		if m == nil || !m.inWindow {
			continue
		}
		for _, f := range m.Files {
			g.Go(func() error {
				info, err := a.Bucket.Head(ctx, f.Key)
				return a.checkInfo(m.Batch, f, info, err)
			})
		}
	}
	return g.Wait()
}

// checkInfo holds what S3 says of a file against its manifest. An error is one of the audit's.
func (a *auditor) checkInfo(batch string, f layout.ManifestFile, info objects.Info, err error) error {
	report := func(k Kind, format string, args ...any) {
		a.found(Finding{Kind: k, Batch: batch, Key: f.Key, Message: fmt.Sprintf(format, args...)})
	}
	etag := objects.Unquote(f.ETag)
	switch {
	case errors.Is(err, objects.ErrNotFound):
		report(MissingFile, "the manifest names it with %d rows and %d bytes, and it is not there", f.Rows, f.Bytes)
		return nil
	case err != nil:
		return err
	case info.BatchID != batch:
		report(ForeignFile, "it was written by batch %q", info.BatchID)
	case info.Size != f.Bytes:
		report(WrongSize, "it has %d bytes, the manifest says %d", info.Size, f.Bytes)
	case etag != "" && info.ETag != etag:
		report(Replaced, "its ETag is %s, the manifest says %s", info.ETag, etag)
	}
	return nil
}

// finishChains looks at the ends of what was joined.
func (a *auditor) finishChains() []Finding {
	var found []Finding
	a.report.Moves = nil
	for _, shard := range slices.Sorted(maps.Keys(a.chains)) {
		f, moves := a.chains[shard].finish()
		found = append(found, f...)
		a.report.Moves = append(a.report.Moves, moves...)
	}
	return found
}

func (a *auditor) listShards() {
	a.report.Shards = []Shard{}
	for _, shard := range slices.Sorted(maps.Keys(a.chains)) {
		if c := a.chains[shard]; c.Ranges > 0 || c.Findings > 0 {
			a.report.Shards = append(a.report.Shards, c.Shard)
		}
	}
}
