package schema

import "aws-streaming-pipeline/record"

// Codes returns the codes of the faults that a schema and its columns find, sorted by name. The caller owns the slice.
func Codes() []record.Code {
	return []record.Code{
		{Name: CodeMalformed, Type: record.FormatConversionFailed, Meaning: "the JSON cannot become columns: it repeats a member, or is nested too deeply"},
		{Name: CodeParse, Type: record.FormatConversionFailed, Meaning: "a value does not fit its column"},
		{Name: CodeTooLarge, Type: record.FormatConversionFailed, Meaning: "the columns would take many times the record's size: lists of objects with few of many members, or deeply nested unknown members"},
		{Name: CodeTooExpensive, Type: record.ProcessingFailed, Meaning: "checking the record takes far more work than its size allows: the schema's references fan out with its depth, or its numbers have large exponents"},
		{Name: CodeViolation, Type: record.ProcessingFailed, Meaning: "the record breaks a rule of the schema"},
	}
}
