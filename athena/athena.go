// Package athena holds the schema of the taxi trips, and describes the tables over what the pipeline writes, one for each
// way into the bucket. The statements in ddl/ and the Glue tables in infra/athena.yml are made from both; go test ./athena
// -write writes them anew.
package athena

import _ "embed"

// TripsSchema is the JSON Schema of the trips that the producer sends.
//
//go:embed schema/trips.json
var TripsSchema []byte
