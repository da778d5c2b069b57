package awshttp

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"

	"aws-streaming-pipeline/internal/logkey"
)

// LogTo makes the SDK log to a program's own log. Without it the SDK logs nothing: what ends a call is in the call's error.
func LogTo(log *slog.Logger) func(*config.LoadOptions) error {
	return config.WithLogger(logging.LoggerFunc(func(c logging.Classification, format string, values ...any) {
		message := fmt.Sprintf(format, values...)
		// What the SDK says of the rest of a body is about the use of the connection by later calls.
		if c == logging.Warn && !strings.Contains(format, "HTTP response body") {
			log.Warn("warning of the AWS SDK", logkey.Reason, message)
			return
		}
		log.Debug("message of the AWS SDK", logkey.Reason, message)
	}))
}
