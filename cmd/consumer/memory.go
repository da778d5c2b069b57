package main

import (
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"aws-streaming-pipeline/consumer"
)

// runtimeShare is what the Go heap and its surroundings may take up beside a budget of so many bytes: garbage not yet
// collected, stacks, connections, codecs, and a part that grows with what lies in pools. The program's code comes on top; the
// formula of docs/guarantees.md has both.
func runtimeShare(budget int64) int64 { return 32<<20 + budget/32 }

// limitMemory has the garbage collector keep the process near its budget and below its container's limit, unless
// GOMEMLIMIT says otherwise. The bytes in the budget live long; collecting only when they have doubled would double
// them. The number of cores needs no such care: the Go runtime follows the container's limit by itself.
func limitMemory(cfg consumer.Config, log *slog.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	container, err := memlimit.FromCgroup()
	if err != nil {
		container = 0 // none, or none that this system tells of
	}
	limit, short := memoryLimit(int64(cfg.MemoryBudget), container)
	if short {
		log.Warn("the container has less memory than MEMORY_BUDGET asks for: it may be killed",
			"memory_budget", int64(cfg.MemoryBudget), "container_limit", container, "go_memory_limit", limit)
	}
	debug.SetMemoryLimit(limit)
}

// memoryLimit is the limit for the Go runtime with a budget in a container of so many bytes, 0 for no bound. A tenth of
// the container is left to what the runtime does not count: code, and the kernel's buffers of sockets and files. Short
// tells that the container is too small for the budget.
func memoryLimit(budget int64, container uint64) (limit int64, short bool) {
	limit = budget + runtimeShare(budget)
	if container == 0 || uint64(limit) <= container/10*9 {
		return limit, false
	}
	return int64(container / 10 * 9), true
}
