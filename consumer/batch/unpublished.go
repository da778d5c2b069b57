package batch

import (
	"errors"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/writers"
)

// UnpublishedBatch is a committed batch that could not be published.
type UnpublishedBatch struct {
	Batch    string    `json:"batch"`
	Worker   string    `json:"worker"` // that has committed it
	Sealed   time.Time `json:"sealed"`
	Attempts int       `json:"attempts"`
	Tried    time.Time `json:"tried"` // the last time
	Reason   string    `json:"reason"`
	Error    string    `json:"error"`
}

// pause is the time between the last attempt to publish a batch and the next. What is gone comes back only by hand.
func (u UnpublishedBatch) pause() time.Duration {
	p := backoff.Policy{First: 10 * time.Second, Longest: time.Minute}
	if u.Reason == reasonGone {
		p.Longest = 10 * time.Minute
	}
	return p.Bound(u.Attempts)
}

// Reasons why a batch is not published.
const (
	reasonRefused     = "refused"     // by the bucket
	reasonForeign     = "foreign"     // an object is in a file's place
	reasonGone        = "gone"        // neither upload nor object is there, or the list of files is lost
	reasonUnknown     = "unknown"     // a later release has committed it, for whose workers it is
	reasonUnavailable = "unavailable" // anything that may pass
)

// reasons are the values of the metric of batches that are not published.
var reasons = []string{reasonRefused, reasonForeign, reasonGone, reasonUnknown, reasonUnavailable}

func reasonOf(err error) string {
	switch {
	case errors.Is(err, writers.ErrUploadGone), errors.Is(err, checkpoint.ErrNoList):
		return reasonGone
	case errors.Is(err, writers.ErrForeignObject):
		return reasonForeign
	case errors.Is(err, writers.ErrRefused):
		return reasonRefused
	case errors.Is(err, checkpoint.ErrUnknownKind):
		return reasonUnknown
	}
	return reasonUnavailable
}
