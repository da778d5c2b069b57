package batch

import (
	"errors"
	"time"

	"aws-streaming-pipeline/checkpoint"
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
	longest := time.Minute
	if u.Reason == reasonGone {
		longest = 10 * time.Minute
	}
	return min(5*time.Second<<min(u.Attempts, 10), longest)
}

// Reasons why a batch is not published.
const (
	reasonRefused     = "refused"     // by the bucket
	reasonForeign     = "foreign"     // an object is in a file's place
	reasonGone        = "gone"        // neither upload nor object is there, or the list of files is lost
	reasonUnavailable = "unavailable" // anything that may pass
)

// reasons are the values of the metric of batches that are not published.
var reasons = []string{reasonRefused, reasonForeign, reasonGone, reasonUnavailable}

func reasonOf(err error) string {
	switch {
	case errors.Is(err, writers.ErrUploadGone), errors.Is(err, checkpoint.ErrNoList):
		return reasonGone
	case errors.Is(err, writers.ErrForeignObject):
		return reasonForeign
	case errors.Is(err, writers.ErrRefused):
		return reasonRefused
	}
	return reasonUnavailable
}
