package hostile

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// cost is what one record took.
type cost struct {
	cpu   time.Duration
	bytes uint64 // allocated
}

// over is how many times as much as another it is, in each respect.
func (c cost) over(honest cost) (cpu, bytes float64) {
	return float64(c.cpu) / float64(max(honest.cpu, 1)), float64(c.bytes) / float64(max(honest.bytes, 1))
}

// measure is the least cost of some runs: what else the machine does makes it larger only. Each begins with empty pools, as
// memory that is used again by one record and not by another would say nothing of what they need.
func measure(runs int, do func()) cost {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	least := cost{cpu: time.Hour, bytes: 1 << 62}
	for range runs {
		runtime.GC()
		runtime.GC() // a pool keeps what it has through one
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

// threadTime is the CPU time of this thread, which a busy machine does not make longer.
func threadTime() time.Duration {
	const clock = 3 // CLOCK_THREAD_CPUTIME_ID of clock_gettime(2)
	var now syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&now)), 0); errno != 0 {
		panic(errno)
	}
	return time.Duration(now.Nano())
}
