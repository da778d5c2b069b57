//go:build race

package checkpoint_test

// The race detector slows the model down tenfold, and its runs are of one goroutine at a time anyway.
func init() { *modelSeeds /= 10 }
