package prefix

import (
	"fmt"
	"time"
	_ "time/tzdata" // container images without a time zone database know all zones too
)

// LoadZone returns the time zone of a name as Firehose's CustomTimeZone has it ("Configure Amazon S3 object name
// format"): a name of the time zone database, such as Europe/Lisbon; empty for UTC. The zone of the machine, Local, is
// refused: where a record lies must not depend on where it is written.
func LoadZone(name string) (*time.Location, error) {
	if name == "Local" {
		return nil, fmt.Errorf("time zone %q: want a name of the time zone database, such as UTC or Europe/Lisbon", name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: want a name of the time zone database, such as UTC or Europe/Lisbon: %w", name, err)
	}
	return zone, nil
}
