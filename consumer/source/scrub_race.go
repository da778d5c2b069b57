//go:build race

package source

// scrubbing overwrites what is released, so that tests under the race detector notice whoever kept a piece of it.
const scrubbing = true
