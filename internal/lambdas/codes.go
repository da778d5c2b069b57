package lambdas

import "aws-streaming-pipeline/record"

// The codes of the faults that only the functions find.
const (
	CodeRecordFailed   = "Record.Failed"
	CodeRecordTooLarge = "Firehose.RecordTooLarge"
)

// FaultCodes lists these codes, sorted by name.
func FaultCodes() []record.Code {
	return []record.Code{
		{Name: CodeRecordTooLarge, Type: record.ProcessingFailed, Meaning: "the record as a line of JSON is longer than the 1,024,000 bytes that a Firehose record may have; only from the function send-to-firehose"},
		{Name: CodeRecordFailed, Type: record.ProcessingFailed, Meaning: "no line can be made of the record, for a reason that has no code of its own: please report it, with the message; only from the Lambda functions"},
	}
}
