package consumer

import "aws-streaming-pipeline/record"

// PayloadConfig sets how payloads are decoded and split.
type PayloadConfig struct {
	OpenGzip       bool   `envconfig:"OPEN_GZIP" default:"false" desc:"Decompresses payloads that are compressed with gzip."`
	SchemaRegistry string `envconfig:"SCHEMA_REGISTRY" default:"none" oneof:"none,glue" desc:"Decodes payloads that name their schema: none, or glue for those framed by the serializers of the AWS Glue Schema Registry. Avro, Protobuf and JSON become JSON; payloads without a frame are not changed."`
	SplitRecords   string `envconfig:"SPLIT_RECORDS" default:"none" oneof:"none,json,lines" desc:"Splits payloads that hold several records: none, json (concatenated JSON values) or lines."`
	SplitLogEvents string `envconfig:"SPLIT_LOG_EVENTS" default:"none" oneof:"none,message,event" desc:"Splits CloudWatch Logs messages into one record per log event: none, message (the event's text) or event (the event as an object, with the names of its log group and log stream)."`
	KPLHashFilter  bool   `envconfig:"KPL_HASH_FILTER" default:"false" desc:"Drops KPL aggregates that a reshard sent to another shard, because the KPL sends them again. Records are lost if a producer aggregates without regard to shards."`
}

// decoderOptions returns how payloads are opened and split, without the schema registry.
func (c *PayloadConfig) decoderOptions() record.DecoderOptions {
	return record.DecoderOptions{Inflate: c.OpenGzip, Split: record.SplitMode(c.SplitRecords), LogEvents: record.LogEventMode(c.SplitLogEvents)}
}
