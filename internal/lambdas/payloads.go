package lambdas

import (
	"context"
	"io"
	"log/slog"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"

	"aws-streaming-pipeline/internal/settings"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/registry"
)

// Payloads are the settings of how payloads are opened. The names and meanings are the daemon's.
type Payloads struct {
	OpenGzip       bool   `envconfig:"OPEN_GZIP" default:"false" desc:"Decompresses payloads that are compressed with gzip."`
	SchemaRegistry string `envconfig:"SCHEMA_REGISTRY" default:"none" oneof:"none,glue" desc:"Decodes payloads that name their schema: none, or glue for those framed by the serializers of the AWS Glue Schema Registry. Avro, Protobuf and JSON become JSON; payloads without a frame are taken as they are."`
	SplitRecords   string `envconfig:"SPLIT_RECORDS" default:"none" oneof:"none,json,lines" desc:"Splits payloads that hold several records: none, json (concatenated JSON values) or lines."`
	SplitLogEvents string `envconfig:"SPLIT_LOG_EVENTS" default:"none" oneof:"none,message,event" desc:"Splits CloudWatch Logs messages into one record per log event: none, message (the event's text) or event (the event as an object, with the names of its log group and log stream)."`
}

// Decoder returns a decoder with these settings. It logs schemas that cannot be looked up in the registry.
func (p Payloads) Decoder(ctx context.Context, account aws.Config, log *slog.Logger) (*record.Decoder, error) {
	o := record.DecoderOptions{
		Inflate: p.OpenGzip, Split: record.SplitMode(p.SplitRecords), LogEvents: record.LogEventMode(p.SplitLogEvents),
	}
	if p.SchemaRegistry == "glue" {
		service, err := registry.NewGlue(ctx, account)
		if err != nil {
			return nil, err
		}
		o.Frames = registry.New(service, log, func(string) {}) // the log shows all that a metric would
	}
	return record.NewDecoder(o)
}

// Reporting are the settings of logs and metrics.
type Reporting struct {
	MetricsNamespace string `envconfig:"METRICS_NAMESPACE" default:"StreamingPipeline" desc:"CloudWatch namespace of the function's metrics."`
	LogLevel         string `envconfig:"LOG_LEVEL" default:"info" oneof:"debug,info,warn,error" desc:"Lowest level of the lines that are logged: debug, info, warn or error."`
}

// Check reports faults beyond the rules of the tags.
func (r Reporting) Check(f *settings.Faults) {
	f.Check(r.MetricsNamespace != "", "METRICS_NAMESPACE", "a name")
}

// Logger returns a logger that writes lines of JSON to w, which Lambda sends to CloudWatch Logs.
func (r Reporting) Logger(w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(r.LogLevel)); err != nil {
		level = slog.LevelInfo // settings.Read has refused anything else
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}

// Metrics returns a writer of the function's metrics to w.
func (r Reporting) Metrics(w io.Writer) *Metrics {
	return &Metrics{w: w, namespace: r.MetricsNamespace, function: os.Getenv("AWS_LAMBDA_FUNCTION_NAME")}
}
