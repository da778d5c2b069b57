// Package athena holds the schema of the taxi trips, and describes a table for each way in which the pipeline writes to
// the bucket. The statements in ddl/ and the Glue tables in infra/athena.yml are generated from both by go test ./athena
// -write.
package athena

import _ "embed"

// TripsSchema is the JSON Schema of the trips that the producer sends.
//
//go:embed schema/trips.json
var TripsSchema []byte
