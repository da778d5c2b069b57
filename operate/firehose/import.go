package firehose

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Settings returns the settings for a description. The schema is the value of SCHEMA for a stream that converts records; if it is
// empty, it is the Glue table of the description.
//
// An error is a *DestinationError, or says which values of the description are wrong.
func (d *Description) Settings(schema string) (Settings, error) {
	m := &importer{Settings: Settings{Name: d.Name, Notes: slices.Clone(d.assumed)}}
	destination, extended, err := m.destination(d.root)
	if err == nil && destination.expression != "" {
		err = fmt.Errorf("%s: %s", destination.at, destination.unknown())
	}
	if err != nil {
		return Settings{}, err
	}
	m.source(d.root)
	m.application()
	m.bucket(destination)
	m.encryption(destination.get("EncryptionConfiguration"))
	m.files(destination, m.conversion(destination.get("DataFormatConversionConfiguration"), schema))
	if extended {
		m.processing(destination.get("ProcessingConfiguration"))
	}
	m.keys(destination)
	m.backup(destination)
	m.rest(d.root, destination)
	return m.Settings, errors.Join(m.invalid...)
}

// destinations says what destinations other than S3 are (API reference, "DestinationDescription").
var destinations = map[string]string{
	"AmazonOpenSearchServerlessDestinationDescription": "Amazon OpenSearch Serverless",
	"AmazonopensearchserviceDestinationDescription":    "Amazon OpenSearch Service",
	"ElasticsearchDestinationDescription":              "Amazon OpenSearch Service (Elasticsearch)",
	"HttpEndpointDestinationDescription":               "an HTTP endpoint",
	"IcebergDestinationDescription":                    "Apache Iceberg (the setting TABLE loads delivered files into a table)",
	"RedshiftDestinationDescription":                   "Amazon Redshift",
	"SnowflakeDestinationDescription":                  "Snowflake",
	"SplunkDestinationDescription":                     "Splunk",
}

// destination returns the S3 destination. An extended one is described twice, the second time without what only it has.
func (m *importer) destination(root *node) (destination *node, extended bool, err error) {
	all := root.get("Destinations").list()
	if len(all) != 1 {
		return nil, false, fmt.Errorf("want one destination, not %d", len(all))
	}
	of := all[0]
	for _, name := range slices.Sorted(maps.Keys(of.members)) {
		if what, other := destinations[name]; other {
			return nil, false, &DestinationError{of.members[name].at, what}
		}
	}
	plain := of.get("S3DestinationDescription")
	if d := of.get("ExtendedS3DestinationDescription"); d != nil {
		plain.skip()
		return d, true, nil
	}
	if plain == nil {
		return nil, false, errors.New("want ExtendedS3DestinationDescription or S3DestinationDescription")
	}
	return plain, false, nil
}

// streamARN is an ARN of a stream, whose region and account a template may not have.
var streamARN = regexp.MustCompile(`^arn:[^:]+:kinesis:([a-z0-9-]*):[0-9]*:stream/([a-zA-Z0-9_.-]{1,128})$`)

// source sets the stream to read.
func (m *importer) source(root *node) {
	source := root.get("Source")
	const kafka = "the daemon reads Kinesis streams, not Apache Kafka"
	for name, reason := range map[string]string{"MSKSourceDescription": kafka, "DatabaseSourceDescription": "the daemon reads Kinesis streams, not databases"} {
		if n := source.get(name); n != nil {
			m.leave(n, reason+": STREAM_NAME is missing")
			return
		}
	}
	source.get("DirectPutSourceDescription").skip()
	stream := source.get("KinesisStreamSourceDescription")
	if stream == nil {
		kind := first(root.get("DeliveryStreamType"), &node{at: "DeliveryStreamType"})
		if root.attributes {
			kind = &node{at: "kinesis_source_configuration"}
		}
		m.leave(kind, "producers call Firehose (Direct PUT), and the daemon reads a Kinesis stream: let them call a stream, and set STREAM_NAME to it")
		return
	}
	stream.get("RoleARN").skip()
	stream.get("DeliveryStartTimestamp").skip()
	arn := stream.get("KinesisStreamARN")
	if missing(m, arn, stream, "KinesisStreamARN", "STREAM_NAME") {
		return
	}
	parts := streamARN.FindStringSubmatch(arn.text())
	if parts == nil {
		m.wrong(arn, "the ARN of a stream such as arn:aws:kinesis:eu-west-1:123456789012:stream/trips")
		return
	}
	m.Region = parts[1]
	m.set("STREAM_NAME", parts[2], arn.at, "")
}

// missing reports whether a required value is not in the description, and then names the setting that has to be set by hand.
func missing(m *importer, n, parent *node, name, setting string) bool {
	if n != nil && n.expression == "" {
		return false
	}
	if n == nil {
		n = &node{at: parent.place(name)}
	}
	m.leave(n, fmt.Sprintf("%s is missing: %s. Import the deployed stream by its name, or set it", setting, n.unknown()))
	return true
}

// unknown says why a value is not known.
func (n *node) unknown() string {
	if n.expression == "" {
		return "the description does not have the value"
	}
	return fmt.Sprintf("the template has %q, and only the deployed stack has the value", n.expression)
}

// applicationName is what a DynamoDB table may be called; the daemon names its table for the application.
var applicationName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

// application gives each imported stream its own leases.
func (m *importer) application() {
	if applicationName.MatchString(m.Name) {
		m.set("APPLICATION_NAME", m.Name, "the name of the Firehose stream", "")
	}
}

func (m *importer) bucket(destination *node) {
	arn := destination.get("BucketARN")
	if missing(m, arn, destination, "BucketARN", "BUCKET") {
		return
	}
	_, name, ok := strings.Cut(arn.text(), ":s3:::")
	if !ok || name == "" || strings.ContainsAny(name, "/ ") {
		m.wrong(arn, "the ARN of a bucket such as arn:aws:s3:::files")
		return
	}
	m.set("BUCKET", name, arn.at, "")
}

// encryption sets the key of the files. Without one, the bucket's default encryption applies, as in Firehose.
func (m *importer) encryption(e *node) {
	e.get("NoEncryptionConfig").skip()
	key := e.get("KMSEncryptionConfig", "AWSKMSKeyARN")
	switch {
	case key == nil:
	case key.expression != "":
		m.leave(key, "S3_ENCRYPTION=aws:kms and S3_KMS_KEY_ID are missing: "+key.unknown())
	default:
		m.set("S3_ENCRYPTION", "aws:kms", key.at, "")
		m.set("S3_KMS_KEY_ID", key.text(), key.at, "")
	}
}

// rest names what is neither a setting nor without effect on what is delivered.
func (m *importer) rest(root, destination *node) {
	for _, name := range []string{
		"DeliveryStreamName", "DeliveryStreamARN", "DeliveryStreamStatus", "DeliveryStreamType", "VersionId", "CreateTimestamp", "LastUpdateTimestamp",
		"HasMoreDestinations", "FailureDescription",
	} {
		root.get(name).skip()
	}
	root.get("Destinations").list()[0].get("DestinationId").skip()
	destination.get("RoleARN").skip() // the daemon has its own role: consumer policy
	if e := root.get("DeliveryStreamEncryptionConfiguration"); e.get("Status").is("ENABLED") || e.get("Status").is("ENABLING") {
		m.leave(e, "Firehose encrypts what it holds: encrypt the Kinesis stream, and the volume of SPOOL_DIR if it is set")
	} else {
		e.skip()
	}
	switch l := destination.get("CloudWatchLoggingOptions"); {
	case l.get("Enabled").is("true"):
		m.leave(l, "the daemon logs to stderr, which the platform collects; metrics and alerts are in docs/operations.md")
	case l.get("Enabled") == nil || l.get("Enabled").read:
		l.skip()
	}
	if p := destination.get("DynamicPartitioningConfiguration"); p != nil && !off(p) {
		p.get("Enabled").text()
		if d := p.get("RetryOptions", "DurationInSeconds"); d != nil && m.known(d) {
			m.note(d, fmt.Sprintf("Firehose retries for %s s and then writes to the error prefix; the daemon retries until S3 accepts the file", d.text()))
		}
	}
	for _, n := range root.unread() {
		if n.expression != "" {
			m.leave(n, n.unknown())
			continue
		}
		m.leave(n, fmt.Sprintf("%q has no equal that this release of consumer knows", n.value))
	}
}
