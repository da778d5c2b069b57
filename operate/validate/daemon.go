package validate

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/record/schema"
)

// Config is what the checks look at.
type Config struct {
	// Settings are those of the environment, and Faults what consumer.LoadConfig says is wrong with them.
	Settings consumer.Config
	Faults   error
	// Warnings are what may be wrong with them, one for each line.
	Warnings []string
	// Account is the AWS configuration of the program, and AccountErr why there is none.
	Account    aws.Config
	AccountErr error
	// Container is the memory limit of the container in bytes, and Short says that it is too small for MEMORY_BUDGET.
	Container uint64
	Short     bool
}

// attempts bounds how often a call is sent: a check says what happened rather than wait until it no longer does.
const attempts = 2

// Names of checks.
const (
	settingsCheck    = "settings"
	regionCheck      = "region"
	credentialsCheck = "credentials"
	streamCheck      = "stream"
	checkpointsCheck = "checkpoints"
	applicationCheck = "application"
	bucketCheck      = "bucket"
	schemaCheck      = "schema"
	registryCheck    = "registry"
	transformCheck   = "transform"
	partitionCheck   = "partition"
	spoolCheck       = "spool"
	memoryCheck      = "memory"
	addressCheck     = "address"
)

// first are the checks without which no service can be asked for what the settings name.
var first = []string{settingsCheck, regionCheck, credentialsCheck}

// tester has the checks, and what one leaves for those that come after it.
type tester struct {
	Config
	cfg     *consumer.Config
	kinesis *kinesis.Client
	s3      *s3.Client
	sts     *sts.Client
	// dynamodb is asked by package dynamo.
	dynamodb *dynamodb.Client

	stream *types.StreamDescriptionSummary // nil if it could not be described
	table  *dynamo.Inspection              // nil if it could not be looked at
	schema *schema.Schema
}

func newTester(c Config) *tester {
	c.Account.RetryMaxAttempts = attempts
	c.Account.Logger = logging.Nop{} // the lines say what the SDK would log
	t := &tester{Config: c, cfg: &c.Settings}
	t.kinesis = kinesis.NewFromConfig(c.Account)
	t.s3 = s3.NewFromConfig(c.Account, func(o *s3.Options) { o.UsePathStyle = c.Settings.PathStyle })
	t.dynamodb = dynamodb.NewFromConfig(c.Account)
	t.sts = sts.NewFromConfig(c.Account)
	return t
}

// Daemon returns the checks of the daemon.
func Daemon(c Config) []Check {
	t := newTester(c)
	checks := t.common()
	checks = append(checks,
		Check{Name: streamCheck, After: first, Try: t.tryStream},
		t.checkpoints(),
		Check{Name: applicationCheck, After: []string{settingsCheck, streamCheck, checkpointsCheck}, Try: t.tryApplication},
		Check{Name: bucketCheck, After: first, Try: t.tryBucket},
	)
	add := func(wanted bool, c Check) {
		if wanted {
			checks = append(checks, c)
		}
	}
	_, function := t.cfg.Function()
	add(t.cfg.Schema != "", t.schemaCheck())
	add(t.cfg.SchemaRegistry == "glue", Check{Name: registryCheck, After: first, Try: t.tryRegistry})
	add(t.cfg.TransformQuery != "" || function, t.transform(function))
	add(t.cfg.PartitionQuery != "", Check{Name: partitionCheck, After: []string{settingsCheck}, Try: func(_ context.Context, r *Result) {
		r.OK("PARTITION_QUERY compiles")
	}})
	add(t.cfg.SpoolDir != "", Check{Name: spoolCheck, After: []string{settingsCheck}, Try: t.trySpool})
	add(true, Check{Name: memoryCheck, After: []string{settingsCheck}, Try: t.tryMemory})
	add(t.cfg.HTTPAddress != "", Check{Name: addressCheck, After: []string{settingsCheck}, Try: tryAddress("HTTP_ADDRESS", t.cfg.HTTPAddress)})
	return checks
}

// common are the checks of every program that everything else rests on.
func (t *tester) common() []Check {
	return []Check{
		{Name: settingsCheck, After: nil, Try: t.trySettings},
		{Name: regionCheck, After: nil, Try: t.tryRegion},
		{Name: credentialsCheck, After: []string{regionCheck}, Try: t.tryCredentials},
	}
}
