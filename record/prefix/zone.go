package prefix

import (
	"fmt"
	"time"
	_ "time/tzdata" // container images without a time zone database know all zones too
)

// LoadZone returns the time zone with a name that Firehose's CustomTimeZone allows ("Configure Amazon S3 object name
// format"): one of the time zone database, such as Europe/Lisbon; empty means UTC. Local, the zone of the machine, is
// refused: a record's partition must not depend on the machine that writes it.
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
