package transform

import "aws-streaming-pipeline/record"

// The codes of the faults of records that cannot be transformed. Codes returns their meanings.
const (
	CodeQueryFailed       = "Transform.QueryFailed"
	CodeQueryTooExpensive = "Transform.QueryTooExpensive"
	CodeResultTooLarge    = "Transform.ResultTooLarge"
)

// Codes returns the codes of the faults that this package finds, sorted by name. The caller owns the slice.
func Codes() []record.Code {
	return []record.Code{
		{Name: CodeQueryFailed, Type: record.ProcessingFailed, Meaning: "the query of TRANSFORM_QUERY fails for the payload, or a result of it is not a JSON object"},
		{Name: CodeQueryTooExpensive, Type: record.ProcessingFailed, Meaning: "the query of TRANSFORM_QUERY exceeds its work limit for the payload"},
		{Name: CodeResultTooLarge, Type: record.ProcessingFailed, Meaning: "the query of TRANSFORM_QUERY makes more records, or larger ones, than the payload's size allows"},
	}
}

func failed(code, message string) *record.Fault {
	return &record.Fault{Type: record.ProcessingFailed, Code: code, Message: message}
}
