package firehose

import (
	"fmt"

	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/writers/layout"
)

// backup sets where the source records are kept. The files of the daemon's backup are in its batches, so the backup has no
// bucket, buffering and key of its own.
func (m *importer) backup(destination *node) {
	mode, to := destination.get("S3BackupMode"), destination.get("S3BackupDescription")
	switch {
	case mode.is("Enabled"):
	case mode == nil || mode.expression == "":
		to.skip()
		return
	default:
		m.leave(mode, "BACKUP_PREFIX is missing: "+mode.unknown())
		to.skip()
		return
	}
	if to == nil {
		m.leave(mode, "BACKUP_PREFIX is missing: the description does not say where the backup is")
		return
	}
	defer to.skip()
	m.backupKeys(destination, to)
	m.backupCompression(to)
	for _, of := range []struct {
		name, daemon string
		same         bool
	}{
		{"BucketARN", "to BUCKET", same(to.get("BucketARN"), destination.get("BucketARN"))},
		{"EncryptionConfiguration", "with the encryption of the data files", same(to.get("EncryptionConfiguration"), destination.get("EncryptionConfiguration"))},
	} {
		if n := to.get(of.name); n != nil && !of.same {
			m.leave(n, fmt.Sprintf("it is another than that of the data files, and the daemon writes the backup %s", of.daemon))
		}
	}
	if hints := to.get("BufferingHints"); hints != nil && !same(hints, destination.get("BufferingHints")) {
		m.note(hints, "backup files are closed and committed with the data files, by FILE_SIZE and COMMIT_INTERVAL")
	}
}

// backupKeys sets BACKUP_PREFIX. In Firehose the prefix may be that of the data, where the backup has a bucket of its own.
func (m *importer) backupKeys(destination, to *node) {
	text := to.get("Prefix")
	if !m.known(text) {
		return
	}
	full := prefix.CompleteBackup(text.text())
	_, err := prefix.NewBackup(full, nil)
	if err != nil {
		m.leave(text, fmt.Sprintf("%q: %v. BACKUP_PREFIX is missing", text.value, err))
		return
	}
	note := ""
	if full != text.text() {
		note = "Firehose appends the time to a Prefix without expressions"
	}
	for _, other := range []string{m.Value("PREFIX"), m.Value("ERROR_PREFIX")} {
		if !layout.Apart(full, other) {
			full, note = "backup/"+full, "under backup/, because the daemon has it in the bucket of the data files"
		}
	}
	m.set("BACKUP_PREFIX", full, from(text, to, "Prefix", "Firehose begins keys with the time"), note)
}

func (m *importer) backupCompression(to *node) {
	format := to.get("CompressionFormat")
	if m.Value("BACKUP_PREFIX") == "" || !m.known(format) {
		return
	}
	switch value, known := compressions[format.text()]; {
	case format == nil:
	case known:
		m.set("BACKUP_COMPRESSION", value, format.at, "")
	default:
		m.leave(format, fmt.Sprintf("BACKUP_COMPRESSION has no %s", format.value))
	}
}

// same reports whether two values are the same, as far as the description has them.
func same(a, b *node) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.value != b.value || a.expression != b.expression || len(a.members) != len(b.members) || len(a.elements) != len(b.elements) {
		return false
	}
	for name, member := range a.members {
		if !same(member, b.members[name]) {
			return false
		}
	}
	for i := range a.elements {
		if !same(a.elements[i], b.elements[i]) {
			return false
		}
	}
	return true
}
