package simulate

import (
	"math/rand/v2"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// load notes in a range how many bytes of records it holds: what arrived in the shard in the meantime, with some noise.
func (w *Worker) load(r *checkpoint.Range, d time.Duration) {
	noise := 1 + w.fleet.Noise*(2*rand.Float64()-1)
	setBytes(r, int64(w.fleet.Rate(r.Shard)*d.Seconds()*noise))
}

// setBytes does nothing: the present release does not look at bytes.
func setBytes(*checkpoint.Range, int64) {}
