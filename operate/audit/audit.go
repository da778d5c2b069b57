// Package audit proves from the manifests and the bucket that a window of batches was delivered exactly once.
//
// Each batch leaves a manifest that lists its files and, for each shard, the range of sequence numbers it holds. If every
// range of a shard begins where the previous one ended, no record was left out and none was delivered by two batches. If
// every file exists with the size and the ETag that S3 reported when it was completed, the delivered records are still
// there. A deep audit also reads the files but backups, which have no event ids: it checks that they have as many rows as the ranges have records, that no
// event id occurs twice in a batch, and that each id belongs to a range of its batch. Since ranges do not overlap, an id
// that is unique in its batch is unique everywhere. If shards count their sequence numbers independently, as in some
// emulators, an id may occur once per shard.
//
// An audit cannot detect manifests that are missing, with their files, at either end of the window, because nothing shows
// that the chain went on. Nor can it detect what a producer sent twice: that is two records. Ranges under a manifest
// prefix are told apart only by the shard's id, so each application needs a prefix of its own.
//
// Memory grows with the number of shards, and by about 50 bytes for each manifest and each file in the window, regardless
// of the number of records. A deep audit holds up to 4 million hashes of ids and reads the files of larger batches
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

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers/layout"
)

// Config configures an audit.
type Config struct {
	Bucket objects.Bucket
	// ManifestPrefix is the MANIFEST_PREFIX of the daemon.
	ManifestPrefix string
	// From (inclusive) and To (exclusive) bound the time at which batches were sealed. A zero From means from the first
	// manifest; a zero To means now.
	From, To time.Time
	// Prefixes are the fixed beginnings of the keys of data, error and backup files. Objects under them that no manifest names
	// are warnings: orphans of the pipeline if they have the key of a file, foreign objects otherwise.
	Prefixes []string
	// Beside reports whether a key under a prefix is that of an object which the daemon writes beside the files, such as a
	// marker of a complete folder; nil means that there are none.
	Beside func(key string) bool
	// Deep also reads the content of the files.
	Deep bool
	// Now returns the current time; nil means time.Now.
	Now func() time.Time
}

const (
	// skew is how far the clocks of two workers may differ. Manifests sealed that much before or after the window are
	// also read, to check that the chain continues there.
	skew = time.Hour
	// longestFill is how long a batch may be open before it is sealed: a day, the longest commit interval, plus a margin.
	longestFill = 25 * time.Hour

	// longestOutbox is the age from which a file list in the outbox is reported.
	longestOutbox = 24 * time.Hour

	chunk     = 64 // manifests fetched at a time
	parallel  = 16 // requests at a time
	downloads = 4  // files read at a time
	maxBody   = layout.MaxManifest
	// newLooks limits how often the bucket is searched again for manifests that may have appeared since, if one is
	// missing.
	newLooks = 3
)

// Run audits the bucket. An error means that the audit did not finish; the report then holds the findings so far.
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
		report: &Report{Bucket: c.Bucket.Name, From: c.From, To: c.To, Deep: c.Deep, Findings: []Finding{}, Warnings: []Finding{}, Counts: make(map[Kind]int64), movedTo: make(map[checkpoint.Position]bool)},
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

	// Keys of manifests, and of the files they name, are kept as hashes. A collision would hide one finding; with ten
	// million files the probability of a collision is 1 in 10⁵.
	seen, named map[uint64]struct{}
	// batches are those with a manifest; true if that manifest was read.
	batches map[uint64]bool

	mu     sync.Mutex
	report *Report
}

func (a *auditor) run(ctx context.Context) error {
	if err := a.readMoves(ctx); err != nil {
		return err
	}
	var ends, unnamed []Finding
	// Batches are published while the audit runs. A manifest that appears after the listing has passed its place leaves
	// an apparent gap, so anything missing is searched for again.
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

// readMoves reads the notes of moved positions. There are few.
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
			a.found(Finding{Kind: BadManifest, Key: *o.Key, Message: "cannot read the note of a move: " + err.Error()})
			continue
		}
		a.moves[m.Shard] = append(a.moves[m.Shard], m)
		a.report.movedTo[m.To] = true
	}
	return nil
}

// readManifests reads the manifests around the window that it has not read before, and returns how many there are.
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

// manifestKeys iterates over the manifests that are to be read for the first time. Manifests after the window are noted,
// not read.
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

// manifest is a manifest that was read.
type manifest struct {
	layout.Manifest
	key      string
	inWindow bool
}

// readChunk fetches manifests in parallel, joins their ranges in order, and checks their files.
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

// read fetches one manifest. It returns nil if the manifest is invalid or has been removed.
func (a *auditor) read(ctx context.Context, key string) (*manifest, error) {
	body, _, err := a.Bucket.Read(ctx, key, maxBody)
	if errors.Is(err, objects.ErrNotFound) {
		return nil, nil // removed since the listing: the chain shows the gap
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
		return bad("it is not a valid manifest: %v", err)
	}
	if err := m.Validate(); err != nil {
		return bad("%v", err)
	}
	if want := m.Key(a.ManifestPrefix); want != key {
		return bad("it belongs under %s: it was copied or changed", want)
	}
	return &manifest{m, key, !m.Created.Before(a.From) && m.Created.Before(a.To)}, nil
}

// join adds a manifest's ranges to their chains and counts them.
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
	var backups int64
	for _, f := range m.Files {
		a.named[a.hash(f.Key)] = struct{}{}
		if f.Backup {
			backups++
		} else {
			rows += f.Rows
		}
		if m.inWindow {
			a.report.Bytes += f.Bytes
		}
	}
	if !m.inWindow {
		return
	}
	if records != rows {
		a.found(Finding{Kind: WrongCount, Batch: m.Batch, Key: m.key,
			Message: fmt.Sprintf("its ranges have %d records, but its files have %d rows", records, rows)})
	}
	a.report.Batches++
	a.report.Files += int64(len(m.Files))
	a.report.Backups += backups
	a.report.Records += records
}

// checkFiles checks the files of the manifests in the window.
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

// checkInfo compares what S3 reports about a file with its manifest. It returns an error only if the audit itself failed.
func (a *auditor) checkInfo(batch string, f layout.ManifestFile, info objects.Info, err error) error {
	report := func(k Kind, format string, args ...any) {
		a.found(Finding{Kind: k, Batch: batch, Key: f.Key, Message: fmt.Sprintf(format, args...)})
	}
	etag := objects.Unquote(f.ETag)
	switch {
	case errors.Is(err, objects.ErrNotFound):
		report(MissingFile, "the manifest names it, with %d rows and %d bytes, but it does not exist", f.Rows, f.Bytes)
		return nil
	case err != nil:
		return err
	case info.BatchID != batch:
		report(ForeignFile, "it was written by batch %q", info.BatchID)
	case info.Size != f.Bytes:
		report(WrongSize, "it has %d bytes, but the manifest says %d", info.Size, f.Bytes)
	case etag != "" && info.ETag != etag:
		report(Replaced, "its ETag is %s, but the manifest says %s", info.ETag, etag)
	}
	return nil
}

// finishChains checks what is left unjoined.
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
	a.report.Shards, a.report.ends = []Shard{}, make(map[string]End, len(a.chains))
	for _, shard := range slices.Sorted(maps.Keys(a.chains)) {
		if end := a.chains[shard].end(); len(end.Segments) > 0 {
			a.report.ends[shard] = end
		}
		if c := a.chains[shard]; c.Ranges > 0 || c.Findings > 0 {
			a.report.Shards = append(a.report.Shards, c.Shard)
		}
	}
}
