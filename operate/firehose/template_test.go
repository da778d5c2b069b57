package firehose_test

import (
	"strings"
	"testing"

	"aws-streaming-pipeline/operate/firehose"
)

// A value that only the deployed stack has is neither a setting nor the default of one that is not set: it is named.
func TestSettings_InventNothingForExpressions(t *testing.T) {
	const template = `
Resources:
  F:
    Type: AWS::KinesisFirehose::DeliveryStream
    Properties:
      DeliveryStreamName: trips
      KinesisStreamSourceConfiguration: {KinesisStreamARN: arn:aws:kinesis:eu-west-1:111122223333:stream/trips}
      ExtendedS3DestinationConfiguration:
        BucketARN: arn:aws:s3:::out
        `
	for property, want := range map[string]struct {
		at      string
		without []string // settings that the value decides
	}{
		"Prefix: !ImportValue x":                                   {"Prefix", []string{"PREFIX", "ERROR_PREFIX"}},
		"ErrorOutputPrefix: !Select [0, [x]]":                      {"ErrorOutputPrefix", []string{"ERROR_PREFIX"}},
		"CustomTimeZone: !Ref Zone":                                {"CustomTimeZone", []string{"PREFIX", "TIME_ZONE"}},
		"CompressionFormat: !FindInMap [a, b, c]":                  {"CompressionFormat", []string{"COMPRESSION"}},
		"FileExtension: !Ref Extension":                            {"FileExtension", []string{"FILE_EXTENSION"}},
		"BufferingHints: !If [a, b, c]":                            {"BufferingHints", []string{"FILE_SIZE", "COMMIT_INTERVAL"}},
		"BufferingHints: {SizeInMBs: !Ref Size}":                   {"BufferingHints.SizeInMBs", []string{"FILE_SIZE"}},
		"BufferingHints: {IntervalInSeconds: !Ref Seconds}":        {"BufferingHints.IntervalInSeconds", []string{"COMMIT_INTERVAL"}},
		"EncryptionConfiguration: !If [a, b, c]":                   {"EncryptionConfiguration", []string{"S3_ENCRYPTION"}},
		"ProcessingConfiguration: !If [a, b, c]":                   {"ProcessingConfiguration", nil},
		"ProcessingConfiguration: {Enabled: !Ref On}":              {"ProcessingConfiguration.Enabled", nil},
		"ProcessingConfiguration: {Processors: [!If [a, b, c]]}":   {"ProcessingConfiguration.Processors[0]", nil},
		"DataFormatConversionConfiguration: !If [a, b, c]":         {"DataFormatConversionConfiguration", []string{"SCHEMA"}},
		"DataFormatConversionConfiguration: {Enabled: !Ref On}":    {"DataFormatConversionConfiguration.Enabled", nil},
		"CloudWatchLoggingOptions: {Enabled: !Ref On}":             {"CloudWatchLoggingOptions.Enabled", nil},
		"S3BackupMode: !Ref Mode":                                  {"S3BackupMode", nil},
		"DynamicPartitioningConfiguration: {Enabled: !Ref On}":     {"DynamicPartitioningConfiguration.Enabled", nil},
		"BufferingHints: {SizeInMBs: !Sub '${AWS::Region}1'}":      {"BufferingHints.SizeInMBs", []string{"FILE_SIZE"}},
		"Prefix: !Join ['', [!Ref AWS::Region, /]]":                {"Prefix", []string{"PREFIX"}},
		"Prefix: !Sub ['${a}/', {a: !Ref Unknown}]":                {"Prefix", []string{"PREFIX"}},
		"EncryptionConfiguration: {KMSEncryptionConfig: !Ref Key}": {"EncryptionConfiguration.KMSEncryptionConfig", []string{"S3_ENCRYPTION"}},
	} {
		d, err := firehose.Parse([]byte(template+property+"\n"), "")
		if err != nil {
			t.Errorf("%s: %v", property, err)
			continue
		}
		s, err := d.Settings("")
		if err != nil {
			t.Errorf("%s: %v", property, err)
			continue
		}
		var named bool
		for _, r := range s.Left {
			named = named || r.At == "ExtendedS3DestinationConfiguration."+want.at && strings.Contains(r.Text, "only the deployed stack has the value")
		}
		if !named || len(s.Left) > 1 {
			t.Errorf("%s: left are %q, want %s alone", property, s.Left, want.at)
		}
		for _, name := range want.without {
			if s.Value(name) != "" {
				t.Errorf("%s: %s is %q", property, name, s.Value(name))
			}
		}
	}
}

// What a template says of itself is resolved.
func TestParse_ResolvesWhatTheTemplateSays(t *testing.T) {
	const template = `
Parameters:
  Folder: {Type: String, Default: in}
  Empty: {Type: String}
Resources:
  Files: {Type: AWS::S3::Bucket, Properties: {BucketName: !Sub "${Folder}-files"}}
  F:
    Type: AWS::KinesisFirehose::DeliveryStream
    Properties:
      DeliveryStreamName: trips
      KinesisStreamSourceConfiguration:
        KinesisStreamARN: !Join [":", [arn, !Ref AWS::Partition, kinesis, !Ref AWS::Region, !Ref AWS::AccountId, stream/trips]]
      ExtendedS3DestinationConfiguration:
        BucketARN: !GetAtt Files.Arn
        Prefix: `
	for expression, want := range map[string]string{
		`!Ref Folder`: "in!{timestamp:yyyy/MM/dd/HH}/", `!Sub "${Folder}/${!kept}/"`: "in/${kept}/!{timestamp:yyyy/MM/dd/HH}/",
		`!Sub ["${a}${Folder}/", {a: !Ref Files}]`: "in-filesin/!{timestamp:yyyy/MM/dd/HH}/", `{Ref: AWS::NoValue}`: "!{timestamp:yyyy/MM/dd/HH}/",
		`{"Fn::Join": ["/", [a, !Ref Folder]]}`: "a/in!{timestamp:yyyy/MM/dd/HH}/", `!Ref Empty`: "", `'!{timestamp:yyyy}'`: "!{timestamp:yyyy}",
	} {
		d, err := firehose.Parse([]byte(template+expression+"\n"), "F")
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		s, err := d.Settings("")
		if err != nil || s.Value("PREFIX") != want || s.Value("BUCKET") != "in-files" || s.Value("STREAM_NAME") != "trips" {
			t.Errorf("%s: PREFIX=%s BUCKET=%s STREAM_NAME=%s, %v, want %s", expression, s.Value("PREFIX"), s.Value("BUCKET"), s.Value("STREAM_NAME"), err, want)
		}
	}
}
