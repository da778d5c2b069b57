package prefix

import "aws-streaming-pipeline/record"

// The codes of the faults of records that can not be routed. Codes tells their meanings.
const (
	CodeMetadataExtractionFailed = "DynamicPartitioning.MetadataExtractionFailed" // Firehose's code
	CodePrefixTooLong            = "DynamicPartitioning.PrefixTooLong"
	CodeQueryTooExpensive        = "DynamicPartitioning.QueryTooExpensive"
)

// Codes lists the codes of the faults that this package finds, sorted by name. The slice is the caller's.
func Codes() []record.Code {
	return []record.Code{
		{Name: CodeMetadataExtractionFailed, Type: record.ProcessingFailed, Meaning: "the query makes no usable partition keys of the payload"},
		{Name: CodePrefixTooLong, Type: record.ProcessingFailed, Meaning: "the evaluated prefix is longer than 512 characters or 700 bytes"},
		{Name: CodeQueryTooExpensive, Type: record.ProcessingFailed, Meaning: "the query does more work for the payload than it may"},
	}
}

func faultOf(code, message string) *record.Fault {
	return &record.Fault{Type: record.ProcessingFailed, Code: code, Message: message}
}
