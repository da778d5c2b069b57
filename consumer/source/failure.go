package source

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Results of calls: the result label of consumer_get_records_total and consumer_subscriptions_total.
const (
	resultOK        = "ok"
	resultThrottled = "throttled"
	resultExpired   = "expired"
	resultInUse     = "in_use"
	resultError     = "error"
)

// failure classifies a failed call. No failure is final.
type failure struct {
	result string
	// reopen means that the iterator is, or may be, unusable. After an error that says nothing about the iterator it is
	// kept: a call with it can be repeated and returns the same records.
	reopen bool
	level  slog.Level
}

func classify(err error) failure {
	if _, ok := errors.AsType[*types.ExpiredIteratorException](err); ok {
		return failure{result: resultExpired, reopen: true, level: slog.LevelWarn}
	}
	if throttled(err) {
		return failure{result: resultThrottled, level: slog.LevelWarn}
	}
	if inUse(err) {
		return failure{result: resultInUse, level: slog.LevelWarn}
	}
	if internal(err) {
		return failure{result: resultError, level: slog.LevelWarn}
	}
	if answered, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && answered.HTTPStatusCode() >= http.StatusInternalServerError {
		return failure{result: resultError, level: slog.LevelWarn}
	}
	if _, ok := errors.AsType[smithy.APIError](err); ok {
		// Access denied, a disabled key, a deleted stream: somebody should look.
		return failure{result: resultError, reopen: true, level: slog.LevelError}
	}
	return failure{result: resultError, level: slog.LevelWarn} // no answer
}

// inUse reports whether another subscription to the shard was first, or has replaced this one.
func inUse(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && api.ErrorCode() == "ResourceInUseException"
}

// internal reports whether the service failed while it sent events; there, only the code says so.
func internal(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && api.ErrorCode() == "InternalFailureException"
}

func throttled(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return false
	}
	switch api.ErrorCode() {
	case "ProvisionedThroughputExceededException", "LimitExceededException", "KMSThrottlingException",
		"ThrottlingException", "Throttling", "RequestLimitExceeded":
		return true
	}
	return false
}
