package function

import "aws-streaming-pipeline/record"

// The codes of records that a function did not transform. They are Firehose's where it has one (Amazon Data Firehose
// Developer Guide, "Monitor Amazon Data Firehose Using CloudWatch Logs", section "Lambda invocation errors", and error
// objects of the service). Codes returns their meanings.
const (
	CodeDuplicatedRecordID     = "Lambda.DuplicatedRecordId"
	CodeFunctionError          = "Lambda.FunctionError"
	CodeFunctionTimedOut       = "Lambda.FunctionTimedOut"
	CodeInvalidReturnFormat    = "Lambda.InvalidReturnFormat"
	CodeJSONProcessing         = "Lambda.JsonProcessingException"
	CodeMissingRecordID        = "Lambda.MissingRecordId"
	CodeProcessingFailedStatus = "Lambda.ProcessingFailedStatus"
	CodeRequestTooLarge        = "Lambda.RequestTooLarge"  // ours
	CodeResponseTooLarge       = "Lambda.ResponseTooLarge" // ours
)

// Codes returns the codes of the faults of this package, sorted by name. The caller owns the slice.
func Codes() []record.Code {
	return []record.Code{
		{Name: CodeDuplicatedRecordID, Type: record.ProcessingFailed, Meaning: "the function's answer has the record id more than once"},
		{Name: CodeFunctionError, Type: record.ProcessingFailed, Meaning: "the function failed with the record's call, and with each retry"},
		{Name: CodeFunctionTimedOut, Type: record.ProcessingFailed, Meaning: "the function did not answer the record's call in time, and no retry either"},
		{Name: CodeInvalidReturnFormat, Type: record.ProcessingFailed, Meaning: "the function's answer for the record has no known result, or Ok without data in base64"},
		{Name: CodeJSONProcessing, Type: record.ProcessingFailed, Meaning: "the answer to the record's call is not JSON, and no retry's either"},
		{Name: CodeMissingRecordID, Type: record.ProcessingFailed, Meaning: "the function's answer does not have the record id"},
		{Name: CodeProcessingFailedStatus, Type: record.ProcessingFailed, Meaning: "the function answered ProcessingFailed for the record"},
		{Name: CodeRequestTooLarge, Type: record.ProcessingFailed, Meaning: "the record alone makes a request larger than Lambda's 6 MB"},
		{Name: CodeResponseTooLarge, Type: record.ProcessingFailed, Meaning: "the function's answer for the record alone is larger than Lambda's 6 MB"},
	}
}

// messages are Firehose's, where it has one. They never have texts of the function, which may show the payload.
var messages = map[string]string{
	CodeDuplicatedRecordID:     "Multiple records were returned with the same record Id. Ensure that the Lambda function returns a unique record Id for each record.",
	CodeFunctionError:          "The Lambda function was successfully invoked but it returned an error result.",
	CodeFunctionTimedOut:       "The Lambda function invocation timed out. Increase the Timeout setting in the Lambda function.",
	CodeJSONProcessing:         "There was an error parsing returned records from the Lambda function. Ensure that the returned records follow the status model required by Amazon Data Firehose.",
	CodeMissingRecordID:        "One or more record Ids were not returned. Ensure that the Lambda function returns all received record Ids.",
	CodeProcessingFailedStatus: "ProcessingFailed status set for record",
	CodeRequestTooLarge:        "The record alone makes a request of more than 6 MB.",
	CodeResponseTooLarge:       "The answer of the Lambda function for this record alone is larger than 6 MB.",
}

// What is wrong with an answer whose code is CodeInvalidReturnFormat. Firehose's own message is the one for data.
const (
	wrongResult = "The result field must be one of Ok, Dropped or ProcessingFailed."
	noData      = "The data field cannot be null when the processing result is Ok."
	wrongData   = "The data field must be base64 encoded."
)
