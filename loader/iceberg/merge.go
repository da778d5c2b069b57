package iceberg

import (
	"iter"
	"maps"
	"slices"

	"github.com/apache/iceberg-go"
	icebergtable "github.com/apache/iceberg-go/table"
)

// mergeDefault is Iceberg Java's (Apache Iceberg documentation, "Configuration", commit.manifest-merge.enabled). That of iceberg-go is
// false, with which a table gets a manifest with each commit.
const mergeDefault = true

// merged returns the manifests of the parent, with small ones replaced by fewer and larger ones as soon as a partition spec has
// commit.manifest.min-count-to-merge of them. So the number of manifests grows with the bytes in them, and not with the
// number of commits.
func (s *snapshot) merged(manifests []iceberg.ManifestFile) (merged []iceberg.ManifestFile, err error) {
	properties := s.metadata.Properties()
	target := int64(properties.GetInt(icebergtable.ManifestTargetSizeBytesKey, icebergtable.ManifestTargetSizeBytesDefault))
	least := properties.GetInt(icebergtable.ManifestMinMergeCountKey, icebergtable.ManifestMinMergeCountDefault)
	enabled := properties.GetBool(icebergtable.ManifestMergeEnabledKey, mergeDefault)
	small := make(map[int32][]iceberg.ManifestFile)
	for _, m := range manifests {
		switch {
		case m.ManifestContent() == iceberg.ManifestContentData && !m.HasAddedFiles() && !m.HasExistingFiles():
			// It only says which files the snapshot that wrote it has deleted.
		case enabled && m.ManifestContent() == iceberg.ManifestContentData && m.Length() < target/2 && s.keepsTuples(int(m.PartitionSpecID())):
			small[m.PartitionSpecID()] = append(small[m.PartitionSpecID()], m)
		default:
			merged = append(merged, m)
		}
	}
	for _, spec := range slices.Sorted(maps.Keys(small)) {
		few := small[spec]
		if len(few) < max(least, 2) {
			merged = append(merged, few...)
			continue
		}
		for bin := range bins(few, target) {
			m, err := s.merge(int(spec), bin)
			if err != nil {
				return nil, err
			}
			merged = append(merged, m)
		}
	}
	return merged, nil
}

// keepsTuples reports whether a manifest of a spec can be written again with the same partition tuples. Where the source of a field
// was dropped, the type of its values is not known, and they would become null. Then position deletes, which belong to files
// of the same tuple (Iceberg table specification, "Scan Planning"), would no longer apply.
func (s *snapshot) keepsTuples(spec int) bool {
	p := s.metadata.PartitionSpecByID(spec)
	return p != nil && !slices.ContainsFunc(p.PartitionType(s.metadata.CurrentSchema()).FieldList, func(f iceberg.NestedField) bool {
		_, unknown := f.Type.(iceberg.UnknownType)
		return unknown
	})
}

// bins returns groups of manifests, each of one or of such whose lengths add up to at most target.
func bins(manifests []iceberg.ManifestFile, target int64) iter.Seq[[]iceberg.ManifestFile] {
	return func(yield func([]iceberg.ManifestFile) bool) {
		for len(manifests) > 0 {
			n, size := 0, int64(0)
			for n < len(manifests) && (n == 0 || size+manifests[n].Length() <= target) {
				size += manifests[n].Length()
				n++
			}
			if !yield(manifests[:n]) {
				return
			}
			manifests = manifests[n:]
		}
	}
}

// merge writes the entries of manifests into one.
func (s *snapshot) merge(spec int, manifests []iceberg.ManifestFile) (iceberg.ManifestFile, error) {
	if len(manifests) == 1 {
		return manifests[0], nil
	}
	return s.manifest(spec, func(w *iceberg.ManifestWriter) error {
		for _, m := range manifests {
			for entry, err := range m.Entries(s.files, true) {
				if err != nil {
					return err
				}
				if err := w.Existing(entry); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
