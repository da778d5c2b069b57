package checkpoint

import (
	"fmt"
	"time"
)

// SchemaVersion is the layout version of the items that this release reads and writes. A Store sets it in the
// application's item.
const SchemaVersion = 1

// Normalized returns the application as a Store keeps it: the creation time in UTC and whole seconds, and this
// release's schema version. It fails if the application or its stream has no name, or the initial position is invalid.
func (a Application) Normalized() (Application, error) {
	if a.Application == "" || a.Stream == "" {
		return Application{}, fmt.Errorf("bind application %q to stream %q: want a name for both", a.Application, a.Stream)
	}
	if err := a.Initial.Validate(); err != nil {
		return Application{}, fmt.Errorf("bind application %s: initial %w", a.Application, err)
	}
	a.StreamCreated = a.StreamCreated.UTC().Truncate(time.Second)
	a.SchemaVersion = SchemaVersion
	return a, nil
}

// Accept checks whether a worker of application want may use the table whose application item is a. Otherwise it
// returns an ErrForeignTable that says what differs.
func (a Application) Accept(want Application) error {
	switch {
	case a.SchemaVersion > SchemaVersion:
		return fmt.Errorf("%w: its items have schema version %d, this release reads %d: run the newer release", ErrForeignTable, a.SchemaVersion, SchemaVersion)
	case a.SchemaVersion < SchemaVersion:
		return fmt.Errorf("%w: its items have schema version %d, this release reads only %d", ErrForeignTable, a.SchemaVersion, SchemaVersion)
	case a.Application != want.Application:
		return fmt.Errorf("%w: to application %q, not %q", ErrForeignTable, a.Application, want.Application)
	case a.Stream != want.Stream:
		return fmt.Errorf("%w: to stream %q, not %q", ErrForeignTable, a.Stream, want.Stream)
	case a.StreamARN != "" && want.StreamARN != "" && a.StreamARN != want.StreamARN:
		return fmt.Errorf("%w: to stream %s, not %s", ErrForeignTable, a.StreamARN, want.StreamARN)
	case !a.StreamCreated.Equal(want.StreamCreated):
		return fmt.Errorf("%w: to the stream %q that was created at %s; the stream of that name now was created at %s: "+
			"its sequence numbers differ: set CHECKPOINT_TABLE to a new table, or CHECKPOINT_FILE to a new file", ErrForeignTable, a.Stream,
			a.StreamCreated.Format(time.RFC3339), want.StreamCreated.Format(time.RFC3339))
	}
	return nil
}
