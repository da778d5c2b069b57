package checkpoint

import (
	"fmt"
	"time"
)

// SchemaVersion is the layout of the items that this release reads and writes. A Store puts it into the application's
// item by itself.
const SchemaVersion = 1

// Normalized returns the application as a Store keeps it: the creation time in UTC and whole seconds, and the schema
// version of this release. It fails if the application is not named or its initial position is none.
func (a Application) Normalized() (Application, error) {
	if a.Application == "" || a.Stream == "" {
		return Application{}, fmt.Errorf("bind application %q to stream %q: both need a name", a.Application, a.Stream)
	}
	if err := a.Initial.Validate(); err != nil {
		return Application{}, fmt.Errorf("bind application %s: initial %w", a.Application, err)
	}
	a.StreamCreated = a.StreamCreated.UTC().Truncate(time.Second)
	a.SchemaVersion = SchemaVersion
	return a, nil
}

// Accept tells whether a worker of the application want may use the table whose item is a. The error is an
// ErrForeignTable that says what differs.
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
			"its sequence numbers are others, use a new table", ErrForeignTable, a.Stream,
			a.StreamCreated.Format(time.RFC3339), want.StreamCreated.Format(time.RFC3339))
	}
	return nil
}
