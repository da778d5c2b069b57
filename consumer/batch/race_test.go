//go:build race

package batch

// raceEnabled reports whether the race detector is on, under which everything takes much longer.
const raceEnabled = true
