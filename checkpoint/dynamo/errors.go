package dynamo

import (
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aws-streaming-pipeline/checkpoint"
)

// Reasons for a cancelled transaction (Amazon DynamoDB API Reference, TransactWriteItems).
const (
	reasonNone       = "None"
	reasonCondition  = "ConditionalCheckFailed"
	reasonConflict   = "TransactionConflict"
	reasonThrottled  = "ThrottlingError"
	reasonThroughput = "ProvisionedThroughputExceeded"
)

// namedReasons is how many reasons an error text names: often a hundred items fail for the same reason.
const namedReasons = 3

// Values of the result label in the metric of requests.
const (
	resultOK       = "ok"
	resultConflict = "conflict"
	resultError    = "error"
)

// translate translates an SDK error into our terms. again means that nothing was applied because another request
// touched the same items at the same moment, or for lack of capacity, so the same request may be sent again.
func translate(err error) (_ error, again bool) {
	var (
		condition  *types.ConditionalCheckFailedException
		canceled   *types.TransactionCanceledException
		conflict   *types.TransactionConflictException
		inProgress *types.TransactionInProgressException
	)
	switch {
	case err == nil:
		return nil, false
	case errors.As(err, &condition):
		return checkpoint.ErrConflict, false
	case errors.As(err, &canceled):
		return translateCanceled(canceled)
	case errors.As(err, &conflict), errors.As(err, &inProgress):
		return err, true
	}
	return err, false
}

// translateCanceled looks at the reasons of all items: one failed condition decides, whatever happened to the others.
func translateCanceled(canceled *types.TransactionCanceledException) (_ error, again bool) {
	again = len(canceled.CancellationReasons) > 0
	var failed []string
	for i, reason := range canceled.CancellationReasons {
		code := value(reason.Code)
		switch code {
		case reasonNone, "":
			continue
		case reasonCondition:
			return checkpoint.ErrConflict, false
		case reasonConflict, reasonThrottled, reasonThroughput:
		default:
			again = false
		}
		if len(failed) < namedReasons {
			failed = append(failed, fmt.Sprintf("item %d: %s %s", i, code, value(reason.Message)))
		}
	}
	return fmt.Errorf("transaction cancelled: %q: %w", failed, canceled), again
}

func (s *Store) count(operation string, err error) {
	result := resultError
	switch {
	case err == nil:
		result = resultOK
	case errors.Is(err, checkpoint.ErrConflict):
		result = resultConflict
	}
	s.metrics.StoreRequests.WithLabelValues(operation, result).Inc()
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
