package layout

import (
	"regexp"
	"time"

	"github.com/google/uuid"
)

// batchID is a UUID version 7 (RFC 9562, section 5.7).
const batchID = `[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`

var wholeBatchID = regexp.MustCompile(`^` + batchID + `$`)

// NewBatchID returns an id for a batch that begins now, unique across workers and time.
func NewBatchID() string { return uuid.Must(uuid.NewV7()).String() }

// BatchTime returns the time, in milliseconds, at which a batch was begun; false if id is not a batch id.
func BatchTime(id string) (time.Time, bool) {
	if !wholeBatchID.MatchString(id) {
		return time.Time{}, false
	}
	u, err := uuid.Parse(id)
	if err != nil {
		return time.Time{}, false
	}
	var ms int64
	for _, b := range u[:6] {
		ms = ms<<8 | int64(b)
	}
	return time.UnixMilli(ms).UTC(), true
}
