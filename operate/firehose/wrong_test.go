package firehose_test

import (
	"fmt"
	"strings"
	"testing"

	"aws-streaming-pipeline/operate/firehose"
)

// import a description, given as the members of its destination.
func of(t *testing.T, destination string) (firehose.Settings, error) {
	t.Helper()
	d, err := firehose.Parse(fmt.Appendf(nil, `{"DeliveryStreamName":"trips","Destinations":[{"ExtendedS3DestinationDescription":{"BucketARN":"arn:aws:s3:::out"%s}}],
		"Source":{"KinesisStreamSourceDescription":{"KinesisStreamARN":"arn:aws:kinesis:eu-west-1:111122223333:stream/trips"}}}`, destination), "")
	if err != nil {
		t.Fatal(err)
	}
	return d.Settings("")
}

func TestSettings_NameWhatIsWrong(t *testing.T) {
	_, err := of(t, `,"CompressionFormat":"gzip","BufferingHints":{"SizeInMBs":129,"IntervalInSeconds":"soon"},"FileExtension":"json",
		"ProcessingConfiguration":{"Enabled":true,"Processors":[{"Type":"RecordDeAggregation","Parameters":[{"ParameterName":"SubRecordType","ParameterValue":"XML"}]}]}`)
	if err == nil {
		t.Fatal("no error")
	}
	const at = "Destinations[0].ExtendedS3DestinationDescription."
	for _, want := range []string{
		at + `CompressionFormat="gzip": want UNCOMPRESSED, GZIP, ZIP, Snappy or HADOOP_SNAPPY`,
		at + `BufferingHints.SizeInMBs="129": want a number from 1 to 128`, at + `BufferingHints.IntervalInSeconds="soon": want a number from 0 to 900`,
		at + `FileExtension="json": want an extension`, at + `ProcessingConfiguration.Processors[0].Parameters[0].ParameterValue="XML": want a SubRecordType of JSON or DELIMITED`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %s:\n%v", want, err)
		}
	}
}

func TestParse_NamesWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		``:                   "not an empty file",
		`[]`:                 "want a JSON or YAML object",
		`{"Streams":[]}`:     "not Streams",
		`{}`:                 "not an empty object",
		`{"Resources":{}}`:   "want a resource of the type",
		"a: &x 1\nb: *x\n":   "want no alias",
		"\t: :\n":            "want JSON or YAML",
		`{"values":{}}`:      "want a resource of the type aws_kinesis_firehose_delivery_stream",
		"Resources: {a: {}}": "want a resource of the type AWS::KinesisFirehose::DeliveryStream",
		`{"DeliveryStreamDescription":{"Destinations":[]}}`:                                                                      "want DeliveryStreamName",
		`{"Resources":{"F":{"Type":"AWS::KinesisFirehose::DeliveryStream"}}}`:                                                    "resource F: want Properties",
		`{"Resources":{"F":{"Type":"AWS::KinesisFirehose::DeliveryStream","Properties":{"DeliveryStreamName":{"Fn::Sub":{}}}}}}`: "Fn::Sub: want a text",
	} {
		if _, err := firehose.Parse([]byte(text), ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	for text, want := range map[string]string{
		`{"DeliveryStreamName":"x","Destinations":[]}`:                                                 "want one destination, not 0",
		`{"DeliveryStreamName":"x","Destinations":[{}]}`:                                               "want ExtendedS3DestinationDescription or S3DestinationDescription",
		`{"DeliveryStreamName":"x","Destinations":[{"S3DestinationDescription":{"BucketARN":"out"}}]}`: `S3DestinationDescription.BucketARN="out": want the ARN of a bucket`,
		`{"DeliveryStreamName":"x","Destinations":[{"S3DestinationDescription":{"BucketARN":"arn:aws:s3:::out"}}],
			"Source":{"KinesisStreamSourceDescription":{"KinesisStreamARN":"trips"}}}`: `Source.KinesisStreamSourceDescription.KinesisStreamARN="trips": want the ARN of a stream`,
		`{"Resources":{"F":{"Type":"AWS::KinesisFirehose::DeliveryStream","Properties":{"ExtendedS3DestinationConfiguration":{"Fn::If":["a","b","c"]}}}}}`: `ExtendedS3DestinationConfiguration: the template has "!If"`,
	} {
		d, err := firehose.Parse([]byte(text), "")
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if _, err := d.Settings(""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// What the daemon has no equal for is named, whatever it is. Each row is left, and the same stream without it leaves nothing.
func TestSettings_NameWhatIsLeft(t *testing.T) {
	if s, err := of(t, ""); err != nil || len(s.Left) != 0 {
		t.Fatalf("a plain stream leaves %v, %v", s.Left, err)
	}
	processor := func(text string) string {
		return `,"ProcessingConfiguration":{"Enabled":true,"Processors":[` + text + `]}`
	}
	parameter := func(kind, name, value string) string {
		return processor(fmt.Sprintf(`{"Type":%q,"Parameters":[{"ParameterName":%q,"ParameterValue":%q}]}`, kind, name, value))
	}
	convert := func(text string) string {
		return `,"DataFormatConversionConfiguration":{"OutputFormatConfiguration":{"Serializer":{"ParquetSerDe":{` + text + `}}}}`
	}
	keys := `,"Prefix":"c=!{partitionKeyFromQuery:c}/","ErrorOutputPrefix":"e/!{firehose:error-output-type}/"`
	backup := func(text string) string { return `,"S3BackupMode":"Enabled","S3BackupDescription":{` + text + `}` }
	lambda := func(name string) string {
		return fmt.Sprintf(`{"Type":"Lambda","Parameters":[{"ParameterName":"LambdaArn","ParameterValue":"arn:aws:lambda:eu-west-1:111122223333:function:%s"}]}`, name)
	}
	for destination, want := range map[string]string{
		processor(lambda("first") + "," + lambda("second")):                                                 `Processors[1]: it is another processor "Lambda"`,
		`,"CloudWatchLoggingOptions":{"Enabled":true}`:                                                      "logs to stderr",
		`,"S3BackupMode":"Enabled"`:                                                                         "does not say where the backup is",
		backup(`"BucketARN":"arn:aws:s3:::kept"`):                                                           "S3BackupDescription.BucketARN: it is another than that of the data files",
		backup(`"EncryptionConfiguration":{"KMSEncryptionConfig":{"AWSKMSKeyARN":"k"}}`):                    "EncryptionConfiguration: it is another than that",
		backup(`"CompressionFormat":"LZ4"`):                                                                 "BACKUP_COMPRESSION has no LZ4",
		backup(`"Prefix":"b/!{partitionKeyFromQuery:c}/"`):                                                  "no expressions but !{timestamp:...} and",
		`,"CustomTimeZone":"Mars/Olympus"`:                                                                  `"Mars/Olympus" is not a name`,
		`,"Prefix":"!{timestamp:yyyy}/"`:                                                                    "ErrorOutputPrefix: it is not set",
		keys:                                                                                                "needs a query that makes its keys",
		keys + parameter("MetadataExtraction", "MetadataExtractionQuery", "{d:.d}"):                         `want the partition key "c"`,
		keys + parameter("MetadataExtraction", "MetadataExtractionQuery", "{c:.c|nosuch}"):                  `"{c:.c|nosuch}": want a jq program`,
		parameter("AppendDelimiterToRecord", "Delimiter", "|"):                                              `the delimiter is "|"`,
		parameter("RecordDeAggregation", "SubRecordType", "DELIMITED"):                                      `the delimiter is ""`,
		parameter("Decompression", "CompressionFormat", "ZSTD"):                                             `"ZSTD", and the daemon opens gzip only`,
		parameter("Lambda", "NumberOfRetries", "3"):                                                         "TRANSFORM is missing",
		`,"Prefix":"c=!{partitionKeyFromLambda:c}/","ErrorOutputPrefix":"e/!{firehose:error-output-type}/"`: "want a Lambda function that gives the keys",
		parameter("Sorcery", "Wand", "elder"):                                                               `the processor "Sorcery" has no equal`,
		parameter("CloudWatchLogProcessing", "Color", "red"):                                                `the parameter Color="red" of CloudWatchLogProcessing has no equal`,
		convert(`"WriterVersion":"V2"`):                                                                     "cannot be set to V2",
		convert(`"EnableDictionaryCompression":true`):                                                       "cannot be set to true",
		`,"S3Tables":{"Deep":[{"Bucket":"x"}]}`:                                                             `S3Tables.Deep[0].Bucket: "x" has no equal that this release`,
	} {
		s, err := of(t, destination)
		if err != nil {
			t.Errorf("%s: %v", destination, err)
			continue
		}
		var texts []string
		for _, r := range s.Left {
			texts = append(texts, r.At+": "+r.Text)
		}
		if all := strings.Join(texts, "\n"); !strings.Contains(all, want) {
			t.Errorf("%s leaves\n%s\nwant %s", destination, all, want)
		}
	}
}
