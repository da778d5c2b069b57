package s3sink

import (
	"fmt"
	"sync"
	"time"
)

// Trouble is a request that S3 refuses or does not answer and that is being retried.
type Trouble struct {
	Operation string
	Bucket    string
	Key       string
	Since     time.Time // of the first failed attempt
	Attempts  int       // so far
	Err       error     // of the last attempt
}

func (t *Trouble) Error() string {
	return fmt.Sprintf("%s s3://%s/%s has failed since %s, %d attempts: %v", t.Operation, t.Bucket, t.Key, t.Since.UTC().Format(time.RFC3339), t.Attempts, t.Err)
}

func (t *Trouble) Unwrap() error { return t.Err }

// health holds the requests that are being retried.
type health struct {
	mu       sync.Mutex
	troubles map[*Trouble]struct{}
}

func newHealth() *health { return &health{troubles: make(map[*Trouble]struct{})} }

// failed records a failed attempt.
func (h *health) failed(t *Trouble, err error) (attempts int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.Attempts == 0 {
		t.Since = time.Now()
	}
	t.Attempts++
	t.Err = err
	h.troubles[t] = struct{}{}
	return t.Attempts
}

// over records the end of a request, successful or not.
func (h *health) over(t *Trouble) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.troubles, t)
}

// worst returns a copy of the Trouble that has lasted longest, or nil.
func (h *health) worst() *Trouble {
	h.mu.Lock()
	defer h.mu.Unlock()
	var worst *Trouble
	for t := range h.troubles {
		if worst == nil || t.Since.Before(worst.Since) {
			worst = t
		}
	}
	if worst == nil {
		return nil
	}
	found := *worst
	return &found
}
