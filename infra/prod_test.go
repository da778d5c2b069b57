package infra_test

import (
	"slices"
	"strings"
	"testing"
)

func (a *account) deployProd(args ...string) (string, bool) {
	a.t.Helper()
	return a.deploy(append([]string{"--stage", "prod", "--yes", "--with-consumer", "--image", image}, args...)...)
}

// The life of prod: first deployments that fail half-way, each in another stack, and what they leave in the way of the
// next; the protection that comes with a complete stack; its loss, and its import. The steps build on each other.
func TestProd_SurvivesFailedDeploymentsAndTheLossOfItsStacks(t *testing.T) {
	t.Parallel()
	a := open(t)
	step := func(name string, run func(t *testing.T)) {
		if !t.Run(name, func(t *testing.T) {
			a.t = t
			run(t)
		}) {
			t.FailNow()
		}
	}
	step("each change is asked for", func(t *testing.T) {
		out, ok := a.deploy("--stage", "prod")
		if ok {
			t.Fatalf("succeeds:\n%s", out)
		}
		has(t, out, "Add      AWS::S3::Bucket", "change stack streaming-pipeline-prod-data-sources in prod? there is no terminal to ask on")
		if out, ok := a.run("destroy", "--stage", "prod", "--region", region); ok || !strings.Contains(out, "nothing is deleted without --yes-really") {
			t.Errorf("destroy in prod:\n%s", out)
		}
	})
	// Names that are taken, each by something that a later step removes.
	const output, firehose, logs = "streaming-pipeline-prod-output-123456789012-eu-west-1", "streaming-pipeline-prod", "/streaming-pipeline/prod/consumer"
	a.aws("s3api", "create-bucket", "--bucket", output, "--create-bucket-configuration", "LocationConstraint="+region)
	a.aws("firehose", "create-delivery-stream", "--delivery-stream-name", firehose,
		"--s3-destination-configuration", "RoleARN=arn:aws:iam::123456789012:role/other,BucketARN=arn:aws:s3:::"+output)
	a.aws("logs", "create-log-group", "--log-group-name", logs)
	const deployment, results = "streaming-pipeline-prod-deploy-123456789012-eu-west-1", "streaming-pipeline-prod-athena-123456789012-eu-west-1"
	for _, c := range []struct {
		stack, fails string
		left         []string // the taken name itself, and what stacks before hold
		mend         []string
	}{
		{"data-sources", "OutputBucket", []string{output}, []string{"s3api", "delete-bucket", "--bucket", output}},
		{"stream", "DeliveryStream", []string{deployment, output}, []string{"firehose", "delete-delivery-stream", "--delivery-stream-name", firehose}},
		{"consumer", "LogGroup", []string{firehose, results, deployment, output}, []string{"logs", "delete-log-group", "--log-group-name", logs}},
	} {
		step("the creation of "+c.stack+" fails and leaves nothing behind", func(t *testing.T) {
			name := "streaming-pipeline-prod-" + c.stack
			out, ok := a.deployProd()
			if ok {
				t.Fatalf("succeeds:\n%s", out)
			}
			has(t, out, "CREATE_FAILED            "+c.fails+": ", "deploy: stack "+name+" is ROLLBACK_COMPLETE; the events above show why")
			if left := a.data(); !slices.Equal(left, c.left) {
				t.Errorf("left are %v, want %v", left, c.left)
			}
			a.aws(c.mend...)
			remove := "aws cloudformation delete-stack --region eu-west-1 --stack-name " + name
			if c.stack == "data-sources" { // the first, which costs the least
				out, _ = a.deployProd()
				has(t, out, name+" is ROLLBACK_COMPLETE, and can only be deleted: "+remove+". Then deploy again")
			}
			a.aws(strings.Fields(remove)[1:]...)
		})
	}
	step("mended, all is created, and protected once it stands", func(t *testing.T) {
		out, ok := a.deployProd()
		if !ok {
			t.Fatal(out)
		}
		has(t, out, "streaming-pipeline-prod-consumer: CREATE_COMPLETE", "streaming-pipeline-prod-consumer: UPDATE_COMPLETE")
		checkProtected(t, a)
	})
	step("the same again changes nothing", func(t *testing.T) {
		out, ok := a.deployProd()
		if !ok {
			t.Fatal(out)
		}
		if strings.Count(out, "nothing to change") != 4 || strings.Contains(out, "protected against deletion") {
			t.Errorf("something changes:\n%s", out)
		}
	})
	step("what was scaled is left alone where the stream does not change", func(t *testing.T) {
		a.aws("kinesis", "update-shard-count", "--stream-name", "streaming-pipeline-prod", "--target-shard-count", "4", "--scaling-type", "UNIFORM_SCALING")
		a.pack("write-to-s3", "2")
		out, ok := a.deployProd()
		if !ok {
			t.Fatal(out)
		}
		if has(t, out, "WriteToS3Function"); strings.Contains(out, "AWS::Kinesis::Stream") || strings.Contains(out, "ShardCount") {
			t.Errorf("the stream changes, too:\n%s", out)
		}
	})
	step("an update of the stream leaves it its shards", func(t *testing.T) {
		out, ok := a.deployProd("--set", "RetentionHours=48")
		if !ok {
			t.Fatal(out)
		}
		has(t, out, "the stream was scaled to 4 shards: setting ShardCount to that", "Modify   AWS::Kinesis::Stream")
		checkSettings(t, a)
	})
	kept := a.data()
	step("deleted stacks leave their data", func(t *testing.T) {
		a.aws("s3api", "put-object", "--bucket", output, "--key", "data/kept")
		out, ok := a.run("destroy", "--stage", "prod", "--region", region, "--yes-really")
		if !ok {
			t.Fatal(out)
		}
		if left := list(at(a.aws("cloudformation", "describe-stacks"), "Stacks")); len(left) != 0 {
			t.Errorf("stacks are left: %v", left)
		}
		if left := a.data(); len(kept) != 5 || !slices.Equal(left, kept) {
			t.Errorf("left are %v, want %v", left, kept)
		}
	})
	step("which stands in the way of new ones", func(t *testing.T) {
		out, ok := a.deployProd()
		if ok {
			t.Fatalf("succeeds:\n%s", out)
		}
		has(t, out, "CREATE_FAILED            DeploymentBucket: ", "is ROLLBACK_COMPLETE")
		a.aws("cloudformation", "delete-stack", "--stack-name", "streaming-pipeline-prod-data-sources")
	})
	step("a dry run of the import shows its first stack and makes none", func(t *testing.T) {
		out, ok := a.deployProd("--import", "--dry-run")
		if !ok {
			t.Fatal(out)
		}
		has(t, out, "import into streaming-pipeline-prod-data-sources", "Import   AWS::S3::Bucket", "the rest can only be shown once this is imported")
		if left := list(at(a.aws("cloudformation", "describe-stacks"), "Stacks")); len(left) != 0 {
			t.Errorf("stacks are left: %v", left)
		}
	})
	step("and is imported", func(t *testing.T) {
		out, ok := a.deployProd("--import")
		if !ok {
			t.Fatal(out)
		}
		for _, stack := range []string{"data-sources", "stream", "athena", "consumer"} {
			has(t, out, "streaming-pipeline-prod-"+stack+": IMPORT_COMPLETE", "streaming-pipeline-prod-"+stack+": UPDATE_COMPLETE")
		}
		if there := a.data(); !slices.Equal(there, kept) {
			t.Errorf("there are %v, want %v", there, kept)
		}
		a.aws("s3api", "head-object", "--bucket", output, "--key", "data/kept")
		checkProtected(t, a)
		checkSettings(t, a)
	})
	step("after which it is as before", func(t *testing.T) {
		out, ok := a.deployProd("--import")
		if !ok {
			t.Fatal(out)
		}
		if strings.Count(out, "nothing to change") != 4 {
			t.Errorf("something changes:\n%s", out)
		}
	})
}

// checkProtected fails unless all stacks and the checkpoint table refuse to be deleted.
func checkProtected(t *testing.T, a *account) {
	t.Helper()
	there := list(at(a.aws("cloudformation", "describe-stacks"), "Stacks"))
	if len(there) != 4 {
		t.Errorf("there are %d stacks", len(there))
	}
	for _, s := range there {
		if asNode(s)["EnableTerminationProtection"] != true {
			t.Errorf("%v is not protected", asNode(s)["StackName"])
		}
	}
	table := a.aws("dynamodb", "describe-table", "--table-name", "streaming-pipeline-prod-checkpoints")
	want(t, table, "Table.DeletionProtectionEnabled", true)
}

// checkSettings fails unless the stream has its settings, and its stack reports the same.
func checkSettings(t *testing.T, a *account) {
	t.Helper()
	summary := at(a.aws("kinesis", "describe-stream-summary", "--stream-name", "streaming-pipeline-prod"), "StreamDescriptionSummary")
	want(t, summary, "OpenShardCount", 4)
	want(t, summary, "RetentionPeriodHours", 48)
	parameters := at(a.aws("cloudformation", "describe-stacks", "--stack-name", "streaming-pipeline-prod-stream"), "Stacks[0].Parameters")
	if shards, hours := parameter(parameters, "ShardCount"), parameter(parameters, "RetentionHours"); shards != "4" || hours != "48" {
		t.Errorf("the stack has %s shards and %s hours", shards, hours)
	}
}

// data lists the buckets, streams and tables of the account.
func (a *account) data() []string {
	a.t.Helper()
	var all []string
	for _, b := range list(at(a.aws("s3api", "list-buckets"), "Buckets")) {
		all = append(all, asNode(b)["Name"].(string))
	}
	for _, name := range slices.Concat(list(at(a.aws("kinesis", "list-streams"), "StreamNames")), list(at(a.aws("dynamodb", "list-tables"), "TableNames"))) {
		all = append(all, name.(string))
	}
	slices.Sort(all)
	return all
}
