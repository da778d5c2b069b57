package lambdas

import "aws-streaming-pipeline/record"

// The codes of the faults that only the functions find.
const (
	CodeRecordFailed   = "Record.Failed"
	CodeRecordTooLarge = "Firehose.RecordTooLarge"
)

// FaultCodes returns these codes, sorted by name.
func FaultCodes() []record.Code {
	return []record.Code{
		{Name: CodeRecordTooLarge, Type: record.ProcessingFailed, Meaning: "the record, as a line of JSON, exceeds Firehose's limit of 1,024,000 bytes per record; only from the function send-to-firehose"},
		{Name: CodeRecordFailed, Type: record.ProcessingFailed, Meaning: "the record cannot be written as a line, for a reason without a code of its own: please report it, with the message; only from the Lambda functions"},
	}
}
