package scaling

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// HistoryCapacity is how many changes a tag's value has room for: 256 characters (Kinesis Data Streams Developer Guide,
// "Tag your resources"), eleven each, and six for the shards of the last. A day has ten.
const HistoryCapacity = 20

// skew is how far the clocks of two hosts may differ, and how long a run may take until it reads what another wrote.
const skew = 2 * time.Minute

// ParseHistory returns the changes of the last day from the value of the stream's tag: seconds since 1970, separated by
// spaces. A time followed by "=4" is an attempt to change a stream of four shards. It counts as a change only if the stream
// has a different number of shards now. So an attempt that the service refused, or whose run died before it made the
// change, does not count, and need not be removed.
//
// An empty value has no changes. Entries that cannot be parsed are left out and named in the error; the result is usable.
func ParseHistory(value string, shards int, now time.Time) ([]time.Time, error) {
	var changes []time.Time
	var bad []string
	for _, word := range strings.Fields(value) {
		at, before, attempt := strings.Cut(word, "=")
		seconds, err := strconv.ParseInt(at, 10, 64)
		had := 0
		if err == nil && attempt {
			had, err = strconv.Atoi(before)
		}
		if err != nil {
			bad = append(bad, word)
			continue
		}
		t := time.Unix(seconds, 0).UTC()
		if happened := had != shards; happened && now.Sub(t) < day && t.Sub(now) < skew {
			changes = append(changes, t)
		}
	}
	if len(bad) > 0 {
		return changes, fmt.Errorf("parse scaling history: %q: want seconds since 1970 such as 1772452800, or 1772452800=4", bad)
	}
	return changes, nil
}

// FormatHistory formats the changes of the last day, the newest ones if there are too many, followed by the attempt about
// to be made on a stream with the given number of shards.
//
// Two runs that see the same stream write the same history except for the attempt's second, and the service makes one of
// their changes. So whichever attempt is written last represents the change that was made.
func FormatHistory(changes []time.Time, attempt time.Time, shards int) string {
	var words []string
	for _, t := range changes {
		if attempt.Sub(t) < day {
			words = append(words, strconv.FormatInt(t.Unix(), 10))
		}
	}
	words = append(words, fmt.Sprintf("%d=%d", attempt.Unix(), shards))
	return strings.Join(words[max(0, len(words)-HistoryCapacity):], " ")
}
