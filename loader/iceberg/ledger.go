package iceberg

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The ledger is a property of the table, changed in the same commit as the data. It lists the ids of batches, separated by
// commas.

// maxLedger bounds the ledger in bytes. 2000 ids of 36 characters, the most that one commit may add, take 74 KB.
const maxLedger = 512 << 10

// ledgerKey names the property, apart for each application that loads the table.
func ledgerKey(application string) string { return "aws-streaming-pipeline.ledger." + application }

// completeKey names the property that says up to which arrival time the table is complete, set in the same commit as the data.
func completeKey(application string) string {
	return "aws-streaming-pipeline.complete-up-to." + application
}

// summaryKey names the property of a snapshot that lists the batches that it added, for audits.
func summaryKey(application string) string { return "aws-streaming-pipeline.batches." + application }

var batchID = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)

func encodeLedger(ids []string) (string, error) {
	text := strings.Join(ids, ",")
	read, err := decodeLedger(text)
	if err == nil && !slices.Equal(read, ids) {
		err = errors.New("ledger: an id has a comma")
	}
	return text, err
}

// decodeLedger reads a ledger. One that cannot be read is an error and never an empty ledger, which would load batches again.
func decodeLedger(text string) ([]string, error) {
	if len(text) > maxLedger {
		return nil, fmt.Errorf("ledger of %d bytes: want at most %d", len(text), maxLedger)
	}
	ids := strings.Split(text, ",")
	seen := make(map[string]bool, len(ids))
	for i, id := range ids {
		if !batchID.MatchString(id) {
			return nil, fmt.Errorf("ledger: entry %d is not the id of a batch: want ids separated by commas", i+1)
		}
		if seen[id] {
			return nil, fmt.Errorf("ledger: batch %s occurs twice", id)
		}
		seen[id] = true
	}
	return ids, nil
}

// maxSummary bounds the ids in a snapshot's summary, which the metadata has once for each snapshot.
const maxSummary = 2000

// summarize returns the ids for a snapshot's summary. If they are too many, ... stands for the rest.
func summarize(ids []string) string {
	text := strings.Join(ids, ",")
	if len(text) <= maxSummary {
		return text
	}
	return text[:strings.LastIndexByte(text[:maxSummary], ',')] + ",..."
}
