//go:build !race

package hostile

// raceEnabled says whether the race detector is on, which takes memory of its own.
const raceEnabled = false
