package record

import (
	"fmt"
	"runtime"
	"strings"
)

// Panicked makes a Fault of what recover returned while a record was worked on, so that a record which this program or
// a library cannot bear costs itself and nothing else. It is to be called by the deferred function that recovers. The
// message says where the panic came from, and what it was only if the runtime worded it: other texts may show the
// payload.
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
