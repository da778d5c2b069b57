package hostile

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// cost is the cost of a record.
type cost struct {
	cpu   time.Duration
	bytes uint64 // allocated
}

// over returns the ratio to another cost, in each respect.
func (c cost) over(honest cost) (cpu, bytes float64) {
	return float64(c.cpu) / float64(max(honest.cpu, 1)), float64(c.bytes) / float64(max(honest.bytes, 1))
}

// measure returns the least cost of several runs: other work on the machine can only increase it. Each run begins with empty
// pools, so that no record reuses memory that another one has to allocate.
func measure(runs int, do func()) cost {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	least := cost{cpu: time.Hour, bytes: 1 << 62}
	for range runs {
		runtime.GC()
		runtime.GC() // a pool survives one collection
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := threadTime()
		do()
		took := threadTime() - began
		runtime.ReadMemStats(&after)
		least.cpu = min(least.cpu, took)
		least.bytes = min(least.bytes, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// threadTime returns the CPU time of this thread, which does not depend on how busy the machine is.
func threadTime() time.Duration {
	const clock = 3 // CLOCK_THREAD_CPUTIME_ID of clock_gettime(2)
	var now syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&now)), 0); errno != 0 {
		panic(errno)
	}
	return time.Duration(now.Nano())
}
