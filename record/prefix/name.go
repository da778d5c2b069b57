package prefix

import (
	"hash/maphash"
	"sync/atomic"
)

// nameCache remembers evaluated partitions, so that a partition that comes again is the same string and costs no
// memory. It forgets one when another takes its place.
type nameCache [512]atomic.Pointer[string]

var nameSeed = maphash.MakeSeed()

func (c *nameCache) string(name []byte) string {
	place := &c[maphash.Bytes(nameSeed, name)%uint64(len(c))]
	if s := place.Load(); s != nil && *s == string(name) {
		return *s
	}
	s := string(name)
	place.Store(&s)
	return s
}
