package jsonl

import "aws-streaming-pipeline/record"

// AppendPayload appends the unmodified payload without a separator, as Amazon Data Firehose does. It does not look at the
// bytes. An empty payload is a fault, because it would leave no trace of its record in the file.
func AppendPayload(dst []byte, r *record.Record) ([]byte, error) {
	if r.Fault != nil {
		return dst, r.Fault
	}
	if len(r.Data) == 0 {
		return dst, &record.Fault{Type: record.ProcessingFailed, Code: record.CodeJSONEmpty, Message: "the payload is empty"}
	}
	return append(dst, r.Data...), nil
}

// AppendPayloadLine appends the unmodified payload and a line feed, as Firehose does with the processor
// AppendDelimiterToRecord. It adds the line feed even if the payload ends with one, and keeps line feeds in the payload.
func AppendPayloadLine(dst []byte, r *record.Record) ([]byte, error) {
	if r.Fault != nil {
		return dst, r.Fault
	}
	return append(append(dst, r.Data...), '\n'), nil
}
