package iceberg

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/apache/iceberg-go"
	icebergtable "github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/record/table"
)

// snapshot is one that appends files, while its manifests are written. They are written here, and not by a transaction of
// iceberg-go, because that repeats a commit without looking whether it was applied, and takes files of the current partition spec
// only.
type snapshot struct {
	metadata  icebergtable.Metadata
	files     Files
	locations icebergtable.LocationProvider

	id     int64
	commit uuid.UUID
	wrote  int // manifests

	added          map[int][]iceberg.DataFile // by partition spec
	rows, size     int64
	partitions     map[string]bool
	addedDataFiles int
}

func newSnapshot(t *icebergtable.Table, files Files) (*snapshot, error) {
	locations, err := t.LocationProvider()
	if err != nil {
		return nil, err
	}
	return &snapshot{
		metadata: t.Metadata(), files: files, locations: locations, id: rand.Int64(), commit: uuid.New(),
		added: make(map[int][]iceberg.DataFile), partitions: make(map[string]bool),
	}, nil
}

// add adds a file of a batch.
func (s *snapshot) add(location string, rows, size int64, d *table.Description) error {
	spec := s.metadata.PartitionSpecByID(d.Spec)
	if spec == nil {
		return fmt.Errorf("file %s: the table has no partition spec %d", location, d.Spec)
	}
	f, err := dataFileOf(spec, s.metadata.CurrentSchema(), location, rows, size, d)
	if err != nil {
		return fmt.Errorf("file %s: %w", location, err)
	}
	s.added[d.Spec] = append(s.added[d.Spec], f)
	s.addedDataFiles++
	s.rows += rows
	s.size += size
	s.partitions[fmt.Sprintf("%d %q", d.Spec, d.Partition)] = true
	return nil
}

// write writes the manifests and their list, and returns the snapshot for the commit. Its parent is the head of main.
func (s *snapshot) write(properties iceberg.Properties) (*icebergtable.Snapshot, error) {
	parent := s.metadata.CurrentSnapshot()
	var manifests []iceberg.ManifestFile
	for _, spec := range slices.Sorted(maps.Keys(s.added)) {
		m, err := s.manifest(spec, func(w *iceberg.ManifestWriter) error {
			for _, f := range s.added[spec] {
				if err := w.Add(iceberg.NewManifestEntry(iceberg.EntryStatusADDED, &s.id, nil, nil, f)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		manifests = append(manifests, m)
	}
	snapshot := &icebergtable.Snapshot{
		SnapshotID: s.id, SequenceNumber: s.metadata.LastSequenceNumber() + 1, SchemaID: &s.metadata.CurrentSchema().ID,
		// Catalogs refuse a snapshot that is older than the last.
		TimestampMs: max(time.Now().UnixMilli(), s.metadata.LastUpdatedMillis()),
		Summary:     &icebergtable.Summary{Operation: icebergtable.OpAppend, Properties: s.summary(parent, properties)},
	}
	if parent != nil {
		snapshot.ParentSnapshotID = &parent.SnapshotID
		inherited, err := parent.Manifests(s.files)
		if err != nil {
			return nil, fmt.Errorf("read the manifests of snapshot %d: %w", parent.SnapshotID, err)
		}
		if inherited, err = s.merged(inherited); err != nil {
			return nil, fmt.Errorf("merge manifests: %w", err)
		}
		manifests = append(manifests, inherited...)
	}
	var list bytes.Buffer
	if err := iceberg.WriteManifestList(2, &list, s.id, snapshot.ParentSnapshotID, &snapshot.SequenceNumber, 0, manifests); err != nil {
		return nil, err
	}
	snapshot.ManifestList = s.locations.NewMetadataLocation(fmt.Sprintf("snap-%d-0-%s.avro", s.id, s.commit))
	return snapshot, s.files.WriteFile(snapshot.ManifestList, list.Bytes())
}

// manifest writes a manifest.
func (s *snapshot) manifest(spec int, fill func(*iceberg.ManifestWriter) error) (iceberg.ManifestFile, error) {
	p := s.metadata.PartitionSpecByID(spec)
	if p == nil {
		return nil, fmt.Errorf("the table has no partition spec %d", spec)
	}
	var content bytes.Buffer
	w, err := iceberg.NewManifestWriter(2, &content, *p, s.metadata.CurrentSchema(), s.id)
	if err != nil {
		return nil, err
	}
	if err := fill(w); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	location := s.locations.NewMetadataLocation(fmt.Sprintf("%s-m%d.avro", s.commit, s.wrote))
	s.wrote++
	m, err := w.ToManifestFile(location, int64(content.Len()))
	if err != nil {
		return nil, err
	}
	return m, s.files.WriteFile(location, content.Bytes())
}

// summary returns the properties of the snapshot (Iceberg table specification, appendix F, "Optional Snapshot Summary Fields").
func (s *snapshot) summary(parent *icebergtable.Snapshot, properties iceberg.Properties) iceberg.Properties {
	summary := maps.Clone(properties)
	before := iceberg.Properties{}
	if parent != nil && parent.Summary != nil {
		before = parent.Summary.Properties
	}
	for name, added := range map[string]int64{"data-files": int64(s.addedDataFiles), "records": s.rows, "files-size": s.size} {
		summary["added-"+name] = strconv.FormatInt(added, 10)
		s.total(summary, parent, before, "total-"+name, added)
	}
	for _, name := range []string{"total-delete-files", "total-position-deletes", "total-equality-deletes"} {
		s.total(summary, parent, before, name, 0)
	}
	summary["changed-partition-count"] = strconv.Itoa(len(s.partitions))
	return summary
}

// total sets a total, unless that of the parent is not known.
func (s *snapshot) total(summary iceberg.Properties, parent *icebergtable.Snapshot, before iceberg.Properties, name string, added int64) {
	old, err := int64(0), error(nil)
	if parent != nil {
		old, err = strconv.ParseInt(before[name], 10, 64)
	}
	if err == nil {
		summary[name] = strconv.FormatInt(old+added, 10)
	}
}

// Append implements loader.State.
func (s *state) Append(ctx context.Context, a loader.Addition) error {
	next, err := s.append(ctx, a)
	if err != nil {
		return fmt.Errorf("append to table %s: %w", s.destination.Name(), err)
	}
	return s.commit(ctx, next)
}

// append writes what an addition adds to the table, and returns the commit that adds it.
func (s *state) append(ctx context.Context, a loader.Addition) (commit, error) {
	added := make([]string, 0, len(a.Batches))
	next, err := newSnapshot(s.table, s.destination.files.within(ctx))
	if err != nil {
		return commit{}, err
	}
	for _, b := range a.Batches {
		added = append(added, b.ID)
		for _, f := range b.Files {
			var d table.Description
			err := json.Unmarshal(f.Table, &d)
			if err == nil {
				err = next.add("s3://"+f.Bucket+"/"+f.Key, f.Rows, f.Bytes, &d)
			}
			if err != nil {
				return commit{}, fmt.Errorf("batch %s: %w", b.ID, err)
			}
		}
	}
	ledger, err := encodeLedger(slices.Concat(a.Keep, added))
	if err != nil {
		return commit{}, err
	}
	application := s.destination.Application
	snapshot, err := next.write(iceberg.Properties{summaryKey(application): summarize(added)})
	if err != nil {
		return commit{}, err
	}
	set := iceberg.Properties{ledgerKey(application): ledger}
	if !a.CompleteUpTo.IsZero() {
		set[completeKey(application)] = a.CompleteUpTo.UTC().Format(time.RFC3339Nano)
	}
	head, retention := s.head()
	return commit{
		requirements: []icebergtable.Requirement{icebergtable.AssertRefSnapshotID(icebergtable.MainBranch, head)},
		updates: []icebergtable.Update{
			icebergtable.NewAddSnapshotUpdate(snapshot),
			// It replaces the branch's own rules for expiry, too.
			icebergtable.NewSetSnapshotRefUpdate(icebergtable.MainBranch, snapshot.SnapshotID, icebergtable.BranchRef,
				value(retention.MaxRefAgeMs), value(retention.MaxSnapshotAgeMs), value(retention.MinSnapshotsToKeep)),
			icebergtable.NewSetPropertiesUpdate(set),
		},
	}, nil
}

// head returns the snapshot of main, nil if there is none, and the branch's rules for expiry.
func (s *state) head() (head *int64, retention icebergtable.SnapshotRef) {
	for name, ref := range s.table.Metadata().Refs() {
		if name == icebergtable.MainBranch {
			head, retention = &ref.SnapshotID, ref
		}
	}
	return head, retention
}

// CompleteUpTo implements loader.Stater.
func (s *state) CompleteUpTo() time.Time {
	t, err := time.Parse(time.RFC3339, s.table.Metadata().Properties()[completeKey(s.destination.Application)])
	if err != nil {
		return time.Time{} // it is missing, or somebody else has written it
	}
	return t
}

// StateComplete implements loader.Stater.
func (s *state) StateComplete(ctx context.Context, upTo time.Time) error {
	head, _ := s.head()
	return s.commit(ctx, commit{
		requirements: []icebergtable.Requirement{icebergtable.AssertRefSnapshotID(icebergtable.MainBranch, head)},
		updates: []icebergtable.Update{icebergtable.NewSetPropertiesUpdate(iceberg.Properties{
			completeKey(s.destination.Application): upTo.UTC().Format(time.RFC3339Nano),
		})},
	})
}

func value[T cmp.Ordered](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
