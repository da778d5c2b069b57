package simulate

import (
	"math"
	"math/rand/v2"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

// halfLife is that of the average in consumer/batch.
const halfLife = 5 * time.Minute

// load is the traffic of a shard that a commit stores: that of the row, and what has arrived since, with some noise.
func (f *Fleet) load(row checkpoint.Lease, since time.Duration) int64 {
	arrived := f.Rate(row.Shard) * (1 + f.Noise*(2*rand.Float64()-1))
	kept := 0.0
	if row.Load > 0 {
		kept = math.Exp2(-float64(since) / float64(halfLife))
	}
	return int64(float64(row.Load)*kept + arrived*(1-kept))
}
