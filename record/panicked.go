package record

import (
	"fmt"
	"runtime"
	"strings"
)

// Panicked returns a Fault for a panic that was recovered while a record was processed, so that a record which triggers
// a bug in this program or a library fails alone. Call it from the deferred function that recovers. The message names
// the place of the panic, and quotes its text only if that is the runtime's: other texts may show the payload.
func Panicked(recovered any) *Fault {
	what := fmt.Sprintf("a panic of type %T", recovered)
	if err, ok := recovered.(runtime.Error); ok {
		what = err.Error()
	}
	return fault(CodeRecordPanicked, what+" in "+panicOrigin())
}

// panicOrigin names the function and line that panicked: the first frame below the runtime's own.
func panicOrigin() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	panicking := false
	for {
		frame, more := frames.Next()
		switch {
		case frame.Function == "runtime.gopanic":
			panicking = true
		case panicking && !strings.HasPrefix(frame.Function, "runtime."):
			return fmt.Sprintf("%s, line %d", frame.Function, frame.Line)
		}
		if !more {
			return "an unknown place"
		}
	}
}
