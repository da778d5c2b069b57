package lambdatest

// Permission is an IAM action that a function's code calls.
type Permission struct {
	// Action is the name in policies.
	Action string
	// On is the kind of resource. Any means that the action supports no resources, or that the code cannot name them.
	On Resource
	// Purpose says what the function uses it for.
	Purpose string
}

// Resource names a kind of resource.
type Resource string

const (
	Any            Resource = "*"
	DataObjects    Resource = "objects under context=write_to_s3/ of DESTINATION_S3_BUCKET"
	ErrorObjects   Resource = "objects under ERROR_PREFIX of the error bucket"
	DeliveryStream Resource = "FIREHOSE_DELIVERY_STREAM"
	ScaledStream   Resource = "STREAM_NAME"
)

// lookUpSchemas is needed only with SCHEMA_REGISTRY=glue. Payloads name a schema version by its id, in any registry and schema.
var lookUpSchemas = Permission{"glue:GetSchemaVersion", Any, "looks up the schemas that payloads name; not needed without SCHEMA_REGISTRY"}

// Permissions lists what each function's code calls, by the name of the function's folder. It leaves out what Lambda itself needs
// from a function's role to read the stream (AWSLambdaKinesisExecutionRole) and to write logs. Tests check the functions and the
// stacks' policies against it.
func Permissions() map[string][]Permission {
	return map[string][]Permission{
		"init": {},
		"write-to-s3": {
			{"s3:PutObject", DataObjects, "writes the records"},
			{"s3:PutObject", ErrorObjects, "writes undeliverable records"},
			lookUpSchemas,
		},
		"send-to-firehose": {
			{"firehose:PutRecordBatch", DeliveryStream, "sends the records"},
			{"s3:PutObject", ErrorObjects, "writes undeliverable records"},
			lookUpSchemas,
		},
		"scale-stream": {
			{"cloudwatch:GetMetricData", Any, "reads the stream's metrics; the action knows no resources"},
			{"kinesis:DescribeStreamSummary", ScaledStream, "reads the shard count, the status and the mode"},
			{"kinesis:ListTagsForStream", ScaledStream, "reads when the stream was scaled"},
			{"kinesis:AddTagsToStream", ScaledStream, "remembers when the stream was scaled"},
			{"kinesis:UpdateShardCount", ScaledStream, "scales the stream; not needed for DRY_RUN"},
		},
	}
}
