package prefix

import (
	"hash/maphash"
	"sync/atomic"
)

// nameCache caches evaluated partitions, so that a recurring partition is the same string and allocates nothing. An entry
// is dropped when another one takes its slot.
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
