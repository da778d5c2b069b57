package layout

import "strings"

const (
	outbox     = "outbox/"
	listSuffix = ".json.zst"
)

// OutboxFolder returns the folder of the file lists of batches that are in the outbox and have too many files for their
// item.
func OutboxFolder(manifestPrefix string) string { return manifestPrefix + outbox }

// OutboxKey returns the key of the list of a batch's files, which exists until the batch is published.
func OutboxKey(manifestPrefix, batch string) string {
	return OutboxFolder(manifestPrefix) + batch + listSuffix
}

// ParseOutboxKey returns the batch whose file list has the key; false if it is not the key of such a list.
func ParseOutboxKey(manifestPrefix, key string) (batch string, ok bool) {
	name, ok := strings.CutPrefix(key, OutboxFolder(manifestPrefix))
	if !ok {
		return "", false
	}
	batch, ok = strings.CutSuffix(name, listSuffix)
	return batch, ok && wholeBatchID.MatchString(batch)
}
