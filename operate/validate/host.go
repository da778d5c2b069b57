package validate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"aws-streaming-pipeline/consumer"
)

// trySpool writes to the folder of the spool, and compares its free space with SPOOL_SIZE.
func (t *tester) trySpool(_ context.Context, r *Result) {
	if err := writable(t.cfg.SpoolDir); err != nil {
		r.Fail("SPOOL_DIR", err.Error(), "let this user write to the folder, or name another one")
		return
	}
	free, known := freeSpace(t.cfg.SpoolDir)
	switch {
	case !known:
		r.OK("%s can be written to", t.cfg.SpoolDir)
	case free < int64(t.cfg.SpoolSize):
		r.OK("%s can be written to", t.cfg.SpoolDir)
		r.Warn("SPOOL_SIZE", fmt.Sprintf("%s has %v free, less than SPOOL_SIZE=%v", t.cfg.SpoolDir, consumer.Bytes(free), t.cfg.SpoolSize), "give it a larger volume, or lower SPOOL_SIZE")
	default:
		r.OK("%s can be written to and has %v free for SPOOL_SIZE=%v", t.cfg.SpoolDir, consumer.Bytes(free), t.cfg.SpoolSize)
	}
}

// tryMemory compares MEMORY_BUDGET with the container's limit.
func (t *tester) tryMemory(_ context.Context, r *Result) {
	switch limit := consumer.Bytes(t.Container); {
	case t.Short:
		r.Warn("MEMORY_BUDGET", fmt.Sprintf("the container has %v, too little for MEMORY_BUDGET=%v and the process: it may be killed", limit, t.cfg.MemoryBudget), "raise the container's limit, or lower MEMORY_BUDGET")
	case limit == 0:
		r.OK("MEMORY_BUDGET=%v; the container has no limit", t.cfg.MemoryBudget)
	default:
		r.OK("MEMORY_BUDGET=%v fits into the container's %v", t.cfg.MemoryBudget, limit)
	}
}

// tryAddress listens where the status page will be. If something does so already, it may be the program itself.
func tryAddress(setting, address string) func(context.Context, *Result) {
	return func(ctx context.Context, r *Result) {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		switch {
		case err == nil:
			listener.Close()
			r.OK("%s=%s is free", setting, address)
		case errors.Is(err, syscall.EADDRINUSE):
			r.Warn(setting, "something listens on "+address+" already", "nothing, if it is the program that these settings are for; otherwise set another address")
		default:
			r.Fail(setting, err.Error(), "set an address of this host, or only a port, such as :8080")
		}
	}
}
