package prefix

import "aws-streaming-pipeline/record"

// The codes of the faults of records that cannot be routed. Codes returns their meanings.
const (
	CodeMetadataExtractionFailed = "DynamicPartitioning.MetadataExtractionFailed" // Firehose's code
	CodePrefixTooLong            = "DynamicPartitioning.PrefixTooLong"
	CodeQueryTooExpensive        = "DynamicPartitioning.QueryTooExpensive"
)

// Codes returns the codes of the faults that this package finds, sorted by name. The caller owns the slice.
func Codes() []record.Code {
	return []record.Code{
		{Name: CodeMetadataExtractionFailed, Type: record.ProcessingFailed, Meaning: "neither query nor function produces a partition key that the prefix uses"},
		{Name: CodePrefixTooLong, Type: record.ProcessingFailed, Meaning: "the evaluated prefix is longer than 512 characters or 700 bytes"},
		{Name: CodeQueryTooExpensive, Type: record.ProcessingFailed, Meaning: "the query exceeds its work limit for the payload"},
	}
}

func faultOf(code, message string) *record.Fault {
	return &record.Fault{Type: record.ProcessingFailed, Code: code, Message: message}
}
