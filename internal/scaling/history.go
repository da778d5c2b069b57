package scaling

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// HistoryCapacity is how many changes a tag's value has room for: 256 characters (Kinesis Data Streams Developer Guide,
// "Tag your resources"), eleven each. A day has ten.
const HistoryCapacity = 20

// ParseHistory reads the changes of the last day from the value of a tag, which the stream carries wherever it goes:
// seconds since 1970 with spaces between them. An empty value has none. What it cannot read it
// leaves out and says so: the rest is still good.
func ParseHistory(value string, now time.Time) ([]time.Time, error) {
	var changes []time.Time
	var bad []string
	for _, word := range strings.Fields(value) {
		seconds, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			bad = append(bad, word)
			continue
		}
		if t := time.Unix(seconds, 0).UTC(); now.Sub(t) < day && !t.After(now) {
			changes = append(changes, t)
		}
	}
	if len(bad) > 0 {
		return changes, fmt.Errorf("parse scaling history: %q are no times", bad)
	}
	return changes, nil
}

// FormatHistory writes the changes of the last day as a tag's value, the newest ones if there are too many.
func FormatHistory(changes []time.Time, now time.Time) string {
	var words []string
	for _, t := range changes {
		if now.Sub(t) < day {
			words = append(words, strconv.FormatInt(t.Unix(), 10))
		}
	}
	return strings.Join(words[max(0, len(words)-HistoryCapacity):], " ")
}
