package simulate

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/test/emulator"
)

// A small fleet runs on DynamoDB Local, and the simulated table gets the same calls in the same order: both must give the same
// answers at the same price.
func TestTable_CountsAsDynamoDBLocal(t *testing.T) {
	endpoint := emulator.DynamoDBLocal(t).URL
	f := newFleet(t, 20)
	f.Failover = time.Second
	m := &mirror{t: t, table: newTable(), compared: make(map[string]int)}
	m.table.Unlimited, m.table.Lag = true, 0
	f.connect = func(w *Worker) aws.Config {
		return aws.Config{
			Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""), BaseEndpoint: &endpoint,
			APIOptions: []func(*middleware.Stack) error{func(stack *middleware.Stack) error {
				return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("Mirror", m.call), middleware.After)
			}},
		}
	}
	f.startAll(3)
	f.allRead(true)
	running := f.running()
	running[0].commit()
	stale := checkpoint.Lease{Shard: "shardId-000000000000", Owner: "nobody", Counter: 100}
	if _, err := running[0].store.Acquire(t.Context(), stale, running[0].id); !errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("a lease of another was acquired: %v", err)
	}
	f.kill(running[0])
	running[1].stop()
	f.retire(running[1])
	f.allRead(true)
	for n := range 5 {
		f.Stream.split(n)
	}
	f.shards += 5
	f.allRead(true)
	f.end()

	m.mu.Lock()
	defer m.mu.Unlock()
	t.Logf("compared: %v", m.compared)
	for _, operation := range []string{"Scan", "GetItem", "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "refused UpdateItem"} {
		if m.compared[operation] == 0 {
			t.Errorf("no call of %s was compared", operation)
		}
	}
}

// mirror repeats the calls of a client on a table.
type mirror struct {
	t     *testing.T
	table *Table

	mu       sync.Mutex
	compared map[string]int // calls by operation
}

func (m *mirror) call(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
	if !askUnits(in.Parameters) {
		return next.HandleInitialize(ctx, in)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	// A call whose caller gave up might be applied here and not there.
	out, metadata, err := next.HandleInitialize(context.WithoutCancel(ctx), in)
	before := m.table.meter.read()
	same, _, sameErr := m.table.apply(in.Parameters)
	var t Tally
	for _, of := range m.table.meter.read().since(before) {
		t = t.plus(of, 1)
	}
	operation := middleware.GetOperationName(ctx)
	switch {
	case reason(err) != reason(sameErr):
		m.t.Errorf("%s: DynamoDB Local answers %v, the table %v", operation, err, sameErr)
	case err != nil:
		m.compared["refused "+operation]++
	default:
		m.compared[operation]++
		if got, want := t.Read+t.Write, units(out.Result); got != want && counted(out.Result) {
			m.t.Errorf("%s: %v units, DynamoDB Local counts %v", operation, got, want)
		}
		compareItems(m.t, operation, items(same), items(out.Result))
	}
	return out, metadata, err
}

// askUnits asks a call for its units. It reports whether the call has any.
func askUnits(in any) bool {
	const total = types.ReturnConsumedCapacityTotal
	switch in := in.(type) {
	case *dynamodb.GetItemInput:
		in.ReturnConsumedCapacity = total
	case *dynamodb.ScanInput:
		in.ReturnConsumedCapacity = total
	case *dynamodb.PutItemInput:
		in.ReturnConsumedCapacity = total
	case *dynamodb.UpdateItemInput:
		in.ReturnConsumedCapacity = total
	case *dynamodb.DeleteItemInput:
		in.ReturnConsumedCapacity = total
	case *dynamodb.TransactWriteItemsInput:
		in.ReturnConsumedCapacity = total
	default:
		return false
	}
	return true
}

// counted reports whether DynamoDB Local counts the units of an answer as the service does. It counts none for the scan of an empty
// table, and four for any transaction: there, the table goes by the Developer Guide alone, "Amazon DynamoDB Transactions: How it works".
func counted(out any) bool {
	scan, scanned := out.(*dynamodb.ScanOutput)
	_, transaction := out.(*dynamodb.TransactWriteItemsOutput)
	return !transaction && (!scanned || len(scan.Items) > 0)
}

func units(out any) float64 {
	var c []types.ConsumedCapacity
	switch out := out.(type) {
	case *dynamodb.GetItemOutput:
		c = append(c, *out.ConsumedCapacity)
	case *dynamodb.ScanOutput:
		c = append(c, *out.ConsumedCapacity)
	case *dynamodb.PutItemOutput:
		c = append(c, *out.ConsumedCapacity)
	case *dynamodb.UpdateItemOutput:
		c = append(c, *out.ConsumedCapacity)
	case *dynamodb.DeleteItemOutput:
		c = append(c, *out.ConsumedCapacity)
	}
	sum := 0.0
	for _, one := range c {
		sum += aws.ToFloat64(one.CapacityUnits)
	}
	return sum
}

func items(out any) (all []item) {
	switch out := out.(type) {
	case *dynamodb.GetItemOutput:
		if len(out.Item) > 0 {
			all = append(all, out.Item)
		}
	case *dynamodb.UpdateItemOutput:
		all = append(all, out.Attributes)
	case *dynamodb.ScanOutput:
		all = append(all, out.Items...)
	}
	slices.SortFunc(all, func(a, b item) int { return strings.Compare(keyOf(a), keyOf(b)) })
	return all
}

// compareItems compares the attributes that DynamoDB Local shows: the table does not apply projections.
func compareItems(t *testing.T, operation string, got, want []item) {
	if len(got) != len(want) {
		t.Errorf("%s: %d items, DynamoDB Local answers %d", operation, len(got), len(want))
		return
	}
	for i := range want {
		for name, v := range want[i] {
			if !reflect.DeepEqual(got[i][name], v) {
				t.Errorf("%s: %s of %s is %v, in DynamoDB Local %v", operation, name, keyOf(want[i]), got[i][name], v)
			}
		}
	}
}

// reason says what kind of error an answer is.
func reason(err error) string {
	if canceled, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		var codes []string
		for _, r := range canceled.CancellationReasons {
			codes = append(codes, aws.ToString(r.Code))
		}
		return strings.Join(codes, " ")
	}
	if _, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return "condition"
	}
	if err != nil {
		return err.Error()
	}
	return ""
}
