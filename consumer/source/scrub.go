//go:build !race

package source

const scrubbing = false
