package jsonl

import "aws-streaming-pipeline/record"

// AppendPayload appends a payload as it came, and nothing else: what Amazon Data Firehose writes. It looks at none of
// its bytes. A payload without bytes is a fault, because it would leave no trace of its record in the file.
func AppendPayload(dst []byte, r *record.Record) ([]byte, error) {
	if r.Fault != nil {
		return dst, r.Fault
	}
	if len(r.Data) == 0 {
		return dst, &record.Fault{Type: record.ProcessingFailed, Code: record.CodeJSONEmpty, Message: "the payload is empty"}
	}
	return append(dst, r.Data...), nil
}

// AppendPayloadLine appends a payload as it came and a line feed, as Firehose does with the processor
// AppendDelimiterToRecord. The line feed is added whatever the payload ends with, and line feeds in it stay.
func AppendPayloadLine(dst []byte, r *record.Record) ([]byte, error) {
	if r.Fault != nil {
		return dst, r.Fault
	}
	return append(append(dst, r.Data...), '\n'), nil
}
