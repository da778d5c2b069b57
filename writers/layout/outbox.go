package layout

import "strings"

const (
	outbox     = "outbox/"
	listSuffix = ".json.zst"
)

// OutboxFolder is where the lists of files of batches lie that are in the outbox and have too many files for their item.
func OutboxFolder(manifestPrefix string) string { return manifestPrefix + outbox }

// OutboxKey is where the list of a batch's files lies until the batch is published.
func OutboxKey(manifestPrefix, batch string) string {
	return OutboxFolder(manifestPrefix) + batch + listSuffix
}

// ParseOutboxKey returns the batch whose list of files lies under the key; false if the key is not that of such a list.
func ParseOutboxKey(manifestPrefix, key string) (batch string, ok bool) {
	name, ok := strings.CutPrefix(key, OutboxFolder(manifestPrefix))
	if !ok {
		return "", false
	}
	batch, ok = strings.CutSuffix(name, listSuffix)
	return batch, ok && wholeBatchID.MatchString(batch)
}
