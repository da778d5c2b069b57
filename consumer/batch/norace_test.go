//go:build !race

package batch

// raceEnabled tells that the race detector is on, under which everything takes much longer.
const raceEnabled = false
