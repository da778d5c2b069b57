package table

import "aws-streaming-pipeline/record"

// CodeTupleTooLong is the code of records that cannot be in the table because of their partition.
const CodeTupleTooLong = "Table.TupleTooLong"

// Codes returns the codes of the faults that this package finds, sorted by name. The caller owns the slice.
func Codes() []record.Code {
	return []record.Code{
		{Name: CodeTupleTooLong, Type: record.ProcessingFailed, Meaning: "the values by which the table is partitioned take more than 1,024 bytes"},
	}
}
