package loader

import "aws-streaming-pipeline/record"

// CodePostgresRefused is the code of records that are in files but that PostgreSQL refuses.
const CodePostgresRefused = "Postgres.Refused"

// Codes returns the codes of the faults that loaders find, sorted by name. The caller owns the slice.
func Codes() []record.Code {
	return []record.Code{{
		Name: CodePostgresRefused, Type: record.PostgresFailed,
		Meaning: "PostgreSQL refuses the row: a value that its column cannot hold, a constraint or a trigger; the message begins with the SQLSTATE. The record itself is in its data file",
	}}
}
