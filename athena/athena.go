// Package athena holds the schema of the taxi trips, from which their tables are made.
package athena

import _ "embed"

// TripsSchema is the JSON Schema of the trips that the producer sends.
//
//go:embed schema/trips.json
var TripsSchema []byte
