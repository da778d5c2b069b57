package schema

import "aws-streaming-pipeline/record"

// Codes lists the codes of the faults that a schema and its columns find, sorted by name. The slice is the caller's.
func Codes() []record.Code {
	return []record.Code{
		{Name: CodeMalformed, Type: record.FormatConversionFailed, Meaning: "the JSON cannot become columns: a member twice, nesting too deep"},
		{Name: CodeParse, Type: record.FormatConversionFailed, Meaning: "a value does not fit its column"},
		{Name: CodeTooLarge, Type: record.FormatConversionFailed, Meaning: "the columns would take many times the record's size: lists of nearly empty objects with many members, or unknown members deep inside"},
		{Name: CodeTooExpensive, Type: record.ProcessingFailed, Meaning: "checking the record takes many times what its size allows: the schema's references fan out with its depth, or its numbers have large exponents"},
		{Name: CodeViolation, Type: record.ProcessingFailed, Meaning: "the record breaks a rule of the schema"},
	}
}
