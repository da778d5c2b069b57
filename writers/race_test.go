//go:build race

package writers_test

// raceEnabled tells that the race detector is on, which takes memory of its own.
const raceEnabled = true
