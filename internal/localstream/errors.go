package localstream

import (
	"fmt"
	"net/http"
)

// apiError is an error of the Kinesis API. Its code becomes the __type of the answer, by which an SDK chooses the error
// type to return.
type apiError struct {
	status  int
	code    string
	message string
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

// Error codes of the Kinesis API reference that this package returns.
const (
	codeExpiredIterator  = "ExpiredIteratorException"
	codeExpiredNextToken = "ExpiredNextTokenException"
	codeInternalFailure  = "InternalFailureException"
	codeInvalidArgument  = "InvalidArgumentException"
	codeLimitExceeded    = "LimitExceededException"
	codeNotFound         = "ResourceNotFoundException"
	codeInUse            = "ResourceInUseException"
	codeSerialization    = "SerializationException"
	codeThroughput       = "ProvisionedThroughputExceededException"
	codeUnknownOperation = "UnknownOperationException"
	codeValidation       = "ValidationException"
)

// codeEntryFailure marks an entry of PutRecords that failed inside the service. It lacks the suffix of the error of a
// whole call.
const codeEntryFailure = "InternalFailure"

func errorf(code, format string, args ...any) *apiError {
	return &apiError{status: http.StatusBadRequest, code: code, message: fmt.Sprintf(format, args...)}
}

func internalFailure(message string) *apiError {
	return &apiError{status: http.StatusInternalServerError, code: codeInternalFailure, message: message}
}
