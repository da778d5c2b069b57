package main

import (
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"aws-streaming-pipeline/consumer"
)

// runtimeShare is the memory that the Go runtime may use on top of a budget in bytes: garbage not yet collected, stacks,
// connections, codecs, and a part that grows with the contents of pools. The program's code is not included; the formula in
// docs/guarantees.md covers both.
func runtimeShare(budget int64) int64 { return 32<<20 + budget/32 }

// limitMemory makes the garbage collector keep the process near its budget and below its container's limit, unless
// GOMEMLIMIT is set. The bytes in the budget are long-lived; collecting only once the heap has doubled would double
// them. CPU needs no such care: the Go runtime follows the container's limit by itself.
func limitMemory(cfg consumer.Config, log *slog.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	container, err := memlimit.FromCgroup()
	if err != nil {
		container = 0 // no limit, or none that this system reports
	}
	limit, short := memoryLimit(int64(cfg.MemoryBudget), container)
	if short {
		log.Warn("the container has too little memory for MEMORY_BUDGET and may be killed",
			"memory_budget", int64(cfg.MemoryBudget), "container_limit", container, "go_memory_limit", limit)
	}
	debug.SetMemoryLimit(limit)
}

// memoryLimit returns the limit for the Go runtime, given a budget and the container's limit in bytes, 0 for none. A tenth
// of the container is left for what the runtime does not count: code, and the kernel's buffers for sockets and files. Short
// reports whether the container is too small for the budget.
func memoryLimit(budget int64, container uint64) (limit int64, short bool) {
	limit = budget + runtimeShare(budget)
	if container == 0 || uint64(limit) <= container/10*9 {
		return limit, false
	}
	return int64(container / 10 * 9), true
}
