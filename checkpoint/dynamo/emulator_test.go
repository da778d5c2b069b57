package dynamo_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/uuid"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/checkpointtest"
	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/limits"
)

// TestStore_OnDynamoDBLocal runs on AWS's own emulator.
func TestStore_OnDynamoDBLocal(t *testing.T) {
	_, endpoint := limits.Before(t, limits.DynamoDB, emulator.DynamoDBLocal(t).URL)
	t.Run("KeepsTheContract", func(t *testing.T) {
		checkpointtest.Run(t, func(t *testing.T) checkpoint.Store { return open(t, config(endpoint)) })
	})
	runAll(t, endpoint)
}

// TestStore_OnMoto runs on an independent implementation. It checks conditions and applies writes in two steps, with
// other requests possible in between, so the test sends it no concurrent calls.
func TestStore_OnMoto(t *testing.T) {
	_, endpoint := limits.Before(t, limits.DynamoDB, emulator.Moto(t).URL)
	t.Run("KeepsTheContract", func(t *testing.T) {
		checkpointtest.RunSequential(t, func(t *testing.T) checkpoint.Store { return open(t, config(endpoint)) })
	})
	runAll(t, endpoint)
}

// cases need a table.
var cases = []struct {
	name string
	test func(t *testing.T, endpoint string)
}{
	{"Bind_RefusesTablesOfOthers", testBind_RefusesTablesOfOthers},
	{"Import_GoesOnWhereTheOthersStopped", testImport_GoesOnWhereTheOthersStopped},
	{"Import_WritesNothingWhenItRefuses", testImport_WritesNothingWhenItRefuses},
	{"Import_AsksForThePositionBeforeAnAggregate", testImport_AsksForThePositionBeforeAnAggregate},
	{"Import_KeepsWorkersOutUntilItHasFinished", testImport_KeepsWorkersOutUntilItHasFinished},
	{"Import_RefusesWhileAWorkerRuns", testImport_RefusesWhileAWorkerRuns},
	{"Restore_WritesRowsWhateverTheirPositions", testRestore_WritesRowsWhateverTheirPositions},
	{"Restore_KeepsWorkersOutUntilItHasFinished", testRestore_KeepsWorkersOutUntilItHasFinished},
	{"Faults_LeaseCallsWithALostAnswer", testFaults_LeaseCallsWithALostAnswer},
	{"Faults_DeleteLeaseWithALostAnswer", testFaults_DeleteLeaseWithALostAnswer},
	{"Faults_LeadWithALostAnswer", testFaults_LeadWithALostAnswer},
	{"Faults_LateOrdersChangeNothing", testFaults_LateOrdersChangeNothing},
	{"Faults_CommitIsDecidedOnce", testFaults_CommitIsDecidedOnce},
	{"Faults_ALateCommitIsSeenByBury", testFaults_ALateCommitIsSeenByBury},
	{"Faults_BuryWithLostAnswersStillDecides", testFaults_BuryWithLostAnswersStillDecides},
	{"Faults_AtRandom", testFaults_AtRandom},
	{"Kinds_AreLeftAloneIfUnknown", testKinds_AreLeftAloneIfUnknown},
	{"Kinds_AnOlderReleaseLeavesTablesAlone", testKinds_AnOlderReleaseLeavesTablesAlone},
}

func runAll(t *testing.T, endpoint string) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.test(t, endpoint) })
	}
}

// config names a table of its own, which Open creates.
func config(endpoint string) dynamo.Config {
	return dynamo.Config{
		AWS:   aws.Config{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), BaseEndpoint: &endpoint},
		Table: "checkpoint-" + uuid.NewString(), Create: true,
	}
}

func open(t *testing.T, cfg dynamo.Config) *dynamo.Store {
	t.Helper()
	s, err := dynamo.Open(t.Context(), cfg)
	must(t, err)
	return s
}

// rawClient accesses a table without the store.
func rawClient(cfg dynamo.Config) *dynamodb.Client { return dynamodb.NewFromConfig(cfg.AWS) }
