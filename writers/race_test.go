//go:build race

package writers_test

// raceEnabled reports whether the race detector is on, which needs extra memory.
const raceEnabled = true
