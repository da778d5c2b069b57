package firehose_test

import (
	"strings"
	"testing"

	"aws-streaming-pipeline/operate/firehose"
)

// Places are in the words of the text that the owner has, also for what is not in it.
func TestSettings_NamePlacesAsTerraformDoes(t *testing.T) {
	d, err := firehose.Parse([]byte(`{"planned_values":{"root_module":{"resources":[{"address":"a.b","mode":"managed","type":"aws_kinesis_firehose_delivery_stream","name":"b","values":{
		"name":"trips","destination":"extended_s3","extended_s3_configuration":[{"bucket_arn":"arn:aws:s3:::out","s3_backup_mode":"Enabled","storage_class":"GLACIER"}],
		"server_side_encryption":[{"enabled":true,"key_type":"AWS_OWNED_CMK"}]}}]}}}`), "b")
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Settings("")
	if err != nil {
		t.Fatal(err)
	}
	text, left := write(t, s, firehose.Env)
	for _, want := range []string{
		"# extended_s3_configuration[0].prefix is not set", "# extended_s3_configuration[0].error_output_prefix is not set",
		"# extended_s3_configuration[0].compression_format is not set", "# extended_s3_configuration[0].buffering_size is not set",
		"# extended_s3_configuration[0].buffering_interval is not set", "# - kinesis_source_configuration: producers call Firehose",
		"# - extended_s3_configuration[0].s3_backup_mode: ", `# - extended_s3_configuration[0].storage_class: "GLACIER" has no equal`, "# - server_side_encryption[0]: ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if left != 4 {
		t.Errorf("%d parts are left, want 4\n%s", left, text)
	}
}
