package infra_test

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/operate/policy"
)

// place is where the examples run the daemon.
var place = policy.Place{Region: "eu-west-1", Account: "123456789012"}

// daemonOf returns the daemon's settings in an example's container definitions. It checks that the daemon has them, and that the
// container is the stack's. Definitions may be those of ECS or of CloudFormation, whose members differ in their first letter only.
func daemonOf(t *testing.T, definitions []byte) consumer.Config {
	t.Helper()
	var containers []struct {
		Environment []struct{ Name, Value string }
		StopTimeout json.Number
		User        string
		HealthCheck struct {
			Command     []any
			StartPeriod json.Number
		}
	}
	if err := json.Unmarshal(definitions, &containers); err != nil {
		t.Fatal(err)
	}
	got, ours := containers[0], container(t, load(t, "consumer-ecs"), "ConsumerTask", "consumer")
	if got.StopTimeout.String() != ours["StopTimeout"] || got.User != ours["User"] || !reflect.DeepEqual(got.HealthCheck.Command, at(ours, "HealthCheck.Command")) ||
		got.HealthCheck.StartPeriod.String() != at(ours, "HealthCheck.StartPeriod") {
		t.Errorf("the container %+v differs from the stack's: stop after %v s, user %v, health %v", got, ours["StopTimeout"], ours["User"], ours["HealthCheck"])
	}
	known := make(map[string]bool)
	for _, v := range consumer.Settings() {
		known[v.Name] = true
	}
	for _, v := range got.Environment {
		if !known[v.Name] && v.Name != "AWS_REGION" {
			t.Errorf("the daemon has no setting %s", v.Name)
		}
		if v.Name == "AWS_REGION" && v.Value != place.Region {
			t.Errorf("the region is %s, and the policy is for %s", v.Value, place.Region)
		}
		t.Setenv(v.Name, v.Value)
	}
	cfg, err := consumer.LoadConfig()
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// isPolicyOf checks that a policy is what the daemon prints for the settings, and renews consumer.json of the example.
func isPolicyOf(t *testing.T, document []byte, cfg *consumer.Config, folder string) {
	t.Helper()
	got, err := iam.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Daemon(cfg, place)
	if update() {
		body, err := json.MarshalIndent(want, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(folder+"/consumer.json", append(body, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The control: another bucket is another policy.
	other := *cfg
	other.Bucket = "another"
	if reflect.DeepEqual(got, policy.Daemon(&other, place)) {
		t.Error("the policy is that of another bucket")
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("consumer.json is\n%v, and consumer policy prints\n%v: go test ./infra -run 'Terraform|CDK' -update", got, want)
	}
}
