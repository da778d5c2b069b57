package infra_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/test/emulator"
)

const samExample = "examples/sam/template.yaml"

// samValues are what the example's parameters and the stack's stand for, and the names that CloudFormation gives.
var samValues = map[string]string{
	"StreamArn": "arn:aws:kinesis:eu-west-1:123456789012:stream/taxi-trips", "BucketName": "my-bucket", "FirehoseName": "trips",
	"AWS::Partition": "aws", "AWS::Region": "eu-west-1", "AWS::AccountId": "123456789012", "AWS::StackName": "trips",
	"Project": "trips", "Stage": "dev", "trips-dev-OutputBucketArn": "arn:aws:s3:::my-bucket", "trips-dev-OutputBucketName": "my-bucket",
	"Stream.Arn": "arn:aws:kinesis:eu-west-1:123456789012:stream/taxi-trips", "DeliveryStream": "trips",
	"DeliveryStream.Arn":    "arn:aws:firehose:eu-west-1:123456789012:deliverystream/trips",
	"WriteToS3LogGroup.Arn": "log-of-write-to-s3", "SendToFirehoseLogGroup.Arn": "log-of-send-to-firehose",
	"WriteToS3Role.Arn": "role-of-write-to-s3", "SendToFirehoseRole.Arn": "role-of-send-to-firehose",
	"WriteToS3FunctionRole.Arn": "role-that-sam-adds", "WriteToS3LogGroup": "write-to-s3", "SendToFirehoseLogGroup": "send-to-firehose",
}

// translate returns SAM templates as CloudFormation translates them, or why it refuses them.
func translate(t *testing.T, sources ...string) (templates []template, refused []string) {
	t.Helper()
	args := []string{}
	for _, name := range []string{"StreamArn", "BucketName", "FirehoseName"} {
		args = append(args, name+"="+samValues[name])
	}
	folder := t.TempDir()
	for i, source := range sources {
		file := filepath.Join(folder, fmt.Sprint(i)+".yaml")
		if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	cmd := emulator.SAM(t, "testdata/translate.py", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("translate: %v\n%s", err, stderr.String())
	}
	var translated map[string]struct {
		Template json.RawMessage
		Error    string
	}
	if err := json.Unmarshal(out, &translated); err != nil {
		t.Fatal(err)
	}
	for i := range sources {
		one := translated[filepath.Join(folder, fmt.Sprint(i)+".yaml")]
		refused = append(refused, one.Error)
		if one.Error != "" {
			templates = append(templates, template{})
			continue
		}
		templates = append(templates, parse(t, samExample, one.Template))
	}
	return templates, refused
}

// resolved returns a value of a template in which what refers to something is replaced by it.
func resolved(t *testing.T, v any, values map[string]string) any {
	t.Helper()
	switch v := v.(type) {
	case []any:
		all := make([]any, len(v))
		for i := range v {
			all[i] = resolved(t, v[i], values)
		}
		return all
	case node:
		for key := range v {
			if key == "Ref" || strings.HasPrefix(key, "Fn::") {
				return resolve(t, v, values)
			}
		}
		all := make(node)
		for key := range v {
			all[key] = resolved(t, v[key], values)
		}
		return all
	}
	return v
}

// samFaults lists where a translated example differs from the stack.
func samFaults(t *testing.T, example, stack template) []string {
	t.Helper()
	values := maps.Clone(samValues)
	for name, p := range stack.parameters {
		if _, given := values[name]; !given {
			values[name] = text(p["Default"])
		}
	}
	var faults []string
	if roles := example.ofKind("AWS::IAM::Role"); !slices.Equal(roles, []string{"SendToFirehoseRole", "WriteToS3Role"}) {
		faults = append(faults, fmt.Sprintf("the roles are %v", roles))
	}
	differ := func(of, property string, got, want any) {
		got, want = resolved(t, got, values), resolved(t, want, values)
		if !reflect.DeepEqual(got, want) {
			faults = append(faults, fmt.Sprintf("%s: %s is %v, in the stack %v", of, property, got, want))
		}
	}
	shared := variablesOf(t, "../internal/lambdas")
	for id, name := range map[string]string{"WriteToS3": "write-to-s3", "SendToFirehose": "send-to-firehose"} {
		mapping, want := example.resources[id+"FunctionStream"].properties, stack.resources[id+"Mapping"].properties
		for property := range want {
			switch property {
			case "FunctionName", "Tags", "Enabled": // a mapping is enabled unless it says otherwise
			default:
				differ(id, property, mapping[property], want[property])
			}
		}
		function, want := example.resources[id+"Function"].properties, stack.resources[id+"Function"].properties
		for _, property := range []string{"Runtime", "Handler", "Architectures", "MemorySize", "Timeout", "Role", "LoggingConfig"} {
			differ(id, property, function[property], want[property])
		}
		set, own := asNode(at(function, "Environment.Variables")), variablesOf(t, "../cmd/"+name)
		for variable, value := range asNode(at(want, "Environment.Variables")) {
			got, given := set[variable]
			if !given {
				if got = own[variable].value; shared[variable].known {
					got = shared[variable].value
				}
			}
			differ(id, variable, got, value)
		}
		for variable := range set {
			if !own[variable].known && !shared[variable].known {
				faults = append(faults, fmt.Sprintf("%s does not read %s", name, variable))
			}
		}
		if may, does := inForce(t, example, id+"Role", values), inForce(t, stack, id+"Role", values); !reflect.DeepEqual(may, does) {
			faults = append(faults, fmt.Sprintf("%s may do\n%v, in the stack\n%v", id, may, does))
		}
	}
	return faults
}

// The functions of the example are those of the stack: how Lambda reads the stream for them and where it puts batches that it
// gives up, their settings, and their roles. AWS's own translator makes CloudFormation of the example first.
func TestSAM_IsWhatTheStackIs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(samExample)
	if err != nil {
		t.Fatal(err)
	}
	planted := []struct{ old, new, fault string }{
		{"BisectBatchOnFunctionError: true", "BisectBatchOnFunctionError: false", "BisectBatchOnFunctionError is false"},
		{"BisectBatchOnFunctionError:", "BisectBatchOnFunctionErrors:", "property BisectBatchOnFunctionErrors not defined"},
		{"MaximumRecordAgeInSeconds: 64800", "MaximumRecordAgeInSeconds: 86400", "MaximumRecordAgeInSeconds is 86400"},
		{"            FunctionResponseTypes: [ReportBatchItemFailures]\n", "", "FunctionResponseTypes is <nil>"},
		{"      Role: !GetAtt WriteToS3Role.Arn\n", "", "the roles are"},
		{"DESTINATION_S3_BUCKET: ", "DESTINATION_BUCKET: ", "write-to-s3 does not read DESTINATION_BUCKET"},
		{"${BucketName}/errors/write_to_s3/*", "${BucketName}/*", "WriteToS3 may do"},
		{"                Type: S3\n", "                Type: Bucket\n", "refused: "},
	}
	source := string(text)
	sources := []string{source}
	for _, p := range planted {
		broken := strings.Replace(source, p.old, p.new, 1)
		if broken == source {
			t.Fatalf("%s has no %q", samExample, p.old)
		}
		sources = append(sources, broken)
	}
	stack := load(t, "stream")
	translated, refused := translate(t, sources...)
	for i, example := range translated {
		var faults []string
		if refused[i] != "" {
			faults = []string{"refused: " + refused[i]}
		} else {
			faults = samFaults(t, example, stack)
		}
		if i == 0 {
			for _, fault := range faults {
				t.Error(fault)
			}
			continue
		}
		if p := planted[i-1]; !strings.Contains(strings.Join(faults, "\n"), p.fault) {
			t.Errorf("with %q it says %q, want %q", p.new, faults, p.fault)
		}
	}
}
