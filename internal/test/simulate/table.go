package simulate

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	tableKey = "leaseKey"
	// A new table with on-demand capacity serves 4,000 writes and 12,000 reads a second (Amazon DynamoDB Developer Guide, "DynamoDB
	// on-demand capacity mode"), which is four partitions of 1,000 and 3,000 ("Best practices for designing and using partition keys
	// effectively"). It grows under load; this one does not.
	partitions      = 4
	partitionReads  = 3000
	partitionWrites = 1000
)

// Table is a DynamoDB table with the partition key leaseKey. It serves the operations of checkpoint/dynamo.
type Table struct {
	// Latency is the mean time of a call, and PageTime what a full page of a scan takes beyond it.
	Latency, PageTime time.Duration
	// Lag is how old an eventually consistent read may be.
	Lag time.Duration
	// Unlimited is a table that never throttles.
	Unlimited bool

	meter meter

	mu      sync.Mutex
	items   map[string]*stored
	order   []*stored // in the order of a scan
	reads   [partitions]allowance
	writes  [partitions]allowance
	failing float64 // share of the calls that fail
	slow    time.Duration
}

// stored is an item as it is, and as replicas that lag still show it.
type stored struct {
	key         string
	hash        uint64
	now, before item // nil if there is none
	bytes       int  // of now
	since       time.Time
}

func (s *stored) partition() int { return int(s.hash % partitions) }

// allowance is what a partition still serves of its units per second.
type allowance struct {
	left float64
	at   time.Time
}

// open reports whether a call may use units. What a call costs is known only afterwards, so the allowance may become negative.
func (a *allowance) open(now time.Time, perSecond float64) bool {
	if a.at.IsZero() {
		a.left = perSecond
	} else {
		a.left = min(perSecond, a.left+now.Sub(a.at).Seconds()*perSecond)
	}
	a.at = now
	return a.left > 0
}

func newTable() *Table {
	return &Table{Latency: 5 * time.Millisecond, PageTime: 40 * time.Millisecond, Lag: 500 * time.Millisecond, items: make(map[string]*stored)}
}

// hurt makes a share of the calls fail, and all of them slower.
func (t *Table) hurt(failing float64, slow time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failing, t.slow = failing, slow
}

// Serve answers a call as DynamoDB would.
func (t *Table) Serve(ctx context.Context, in any) (any, error) {
	t.mu.Lock()
	failing, slow := t.failing, t.slow
	t.mu.Unlock()
	took := t.Latency/2 + rand.N(t.Latency+1) + slow
	if err := wait(ctx, took/2); err != nil {
		return nil, err
	}
	if rand.Float64() < failing {
		return nil, failure(&types.InternalServerError{Message: aws.String("simulated")})
	}
	out, pages, err := t.apply(in)
	if err := wait(ctx, took/2+time.Duration(pages*float64(t.PageTime))); err != nil {
		return nil, err
	}
	return out, err
}

// apply carries a call out, and returns the pages that it read.
func (t *Table) apply(in any) (out any, pages float64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch in := in.(type) {
	case *dynamodb.DescribeTableInput:
		t.meter.add("DescribeTable", Tally{Calls: 1})
		return &dynamodb.DescribeTableOutput{Table: &types.TableDescription{
			TableStatus:          types.TableStatusActive,
			KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String(tableKey), KeyType: types.KeyTypeHash}},
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String(tableKey), AttributeType: types.ScalarAttributeTypeS}},
		}}, 0, nil
	case *dynamodb.GetItemInput:
		out, err := t.get(in)
		return out, 0, err
	case *dynamodb.ScanInput:
		return t.scan(in)
	case *dynamodb.PutItemInput:
		w := write{key: keyOf(in.Item), condition: in.ConditionExpression, names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues, put: in.Item}
		_, err := t.write("PutItem", w)
		return &dynamodb.PutItemOutput{}, 0, err
	case *dynamodb.UpdateItemInput:
		w := write{key: keyOf(in.Key), condition: in.ConditionExpression, update: in.UpdateExpression, names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues}
		after, err := t.write("UpdateItem", w)
		return &dynamodb.UpdateItemOutput{Attributes: after}, 0, err
	case *dynamodb.DeleteItemInput:
		w := write{key: keyOf(in.Key), condition: in.ConditionExpression, names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues, remove: true}
		_, err := t.write("DeleteItem", w)
		return &dynamodb.DeleteItemOutput{}, 0, err
	case *dynamodb.TransactWriteItemsInput:
		return &dynamodb.TransactWriteItemsOutput{}, 0, t.transact(in)
	}
	panic(fmt.Sprintf("%T is not simulated", in))
}

func keyOf(it item) string { return it[tableKey].(*types.AttributeValueMemberS).Value }

// kind is the kind of an item by its key: "lease" for a row, or what comes before its name, such as "#worker".
func kind(key string) string {
	if !strings.HasPrefix(key, "#") {
		return "lease"
	}
	name, _, _ := strings.Cut(key, "/")
	return name
}

var errThrottled = &types.ProvisionedThroughputExceededException{Message: aws.String("simulated")}

func (t *Table) refuse(kind string) error {
	t.meter.add(kind, Tally{Calls: 1, Refused: 1})
	return errThrottled
}

func (t *Table) readable(partition int) bool {
	return t.Unlimited || t.reads[partition].open(time.Now(), partitionReads)
}

func (t *Table) writable(partition int) bool {
	return t.Unlimited || t.writes[partition].open(time.Now(), partitionWrites)
}

// at returns the place of a key; it holds no item if there is none.
func (t *Table) at(key string) *stored {
	if s := t.items[key]; s != nil {
		return s
	}
	h := fnv.New64a()
	h.Write([]byte(key))
	// The last bytes of keys differ most; FNV leaves them in its low bits.
	return &stored{key: key, hash: h.Sum64() * 0x9e3779b97f4a7c15}
}

// shown is the item as a read shows it.
func (s *stored) shown(consistent bool, lag time.Duration) item {
	if consistent || time.Since(s.since) >= lag {
		return s.now
	}
	return s.before
}

// lag is how much of the past an eventually consistent read shows.
func (t *Table) lag() time.Duration { return rand.N(t.Lag + 1) }

func (t *Table) get(in *dynamodb.GetItemInput) (*dynamodb.GetItemOutput, error) {
	s := t.at(keyOf(in.Key))
	name := "GetItem " + kind(s.key)
	if !t.readable(s.partition()) {
		return nil, t.refuse(name)
	}
	consistent := aws.ToBool(in.ConsistentRead)
	units := readUnits(s.bytes, consistent)
	t.reads[s.partition()].left -= units
	t.meter.add(name, Tally{Calls: 1, Read: units})
	return &dynamodb.GetItemOutput{Item: s.shown(consistent, t.lag())}, nil
}

func byHash(a, b *stored) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.key, b.key)) }

// scan reads a page. Its units are those of all its items together; each partition bears those of its own.
func (t *Table) scan(in *dynamodb.ScanInput) (*dynamodb.ScanOutput, float64, error) {
	from := 0
	if len(in.ExclusiveStartKey) > 0 {
		at, found := slices.BinarySearchFunc(t.order, t.at(keyOf(in.ExclusiveStartKey)), byHash)
		if from = at; found {
			from++
		}
	}
	consistent, lag, most := aws.ToBool(in.ConsistentRead), t.lag(), int(aws.ToInt32(in.Limit))
	out := &dynamodb.ScanOutput{}
	var bytes [partitions]int
	total, i := 0, from
	for ; i < len(t.order); i++ {
		s := t.order[i]
		if total+s.bytes > pageBytes || most > 0 && i-from == most {
			out.LastEvaluatedKey = item{tableKey: &types.AttributeValueMemberS{Value: t.order[i-1].key}}
			break
		}
		if it := s.shown(consistent, lag); it != nil {
			out.Items = append(out.Items, it)
		}
		total += s.bytes
		bytes[s.partition()] += s.bytes
	}
	for p, n := range bytes {
		if n > 0 && !t.readable(p) {
			return nil, 0, t.refuse("Scan")
		}
	}
	units := readUnits(total, consistent)
	for p, n := range bytes {
		t.reads[p].left -= units * float64(n) / float64(max(1, total))
	}
	t.meter.add("Scan", Tally{Calls: 1, Read: units})
	return out, float64(total) / pageBytes, nil
}

// write is a write to one item: one of put, update and remove.
type write struct {
	key               string
	condition, update *string
	names             map[string]string
	values            item
	put               item
	remove            bool
}

// holds reports whether the condition of the write holds.
func (w *write) holds(s *stored) bool {
	return newExpression(s.now, w.condition, w.names, w.values).holds()
}

// after is the item as the write leaves it.
func (w *write) after(s *stored) item {
	switch {
	case w.remove:
		return nil
	case w.put != nil:
		return w.put
	}
	it := maps.Clone(s.now)
	if it == nil {
		it = item{tableKey: &types.AttributeValueMemberS{Value: w.key}}
	}
	return newExpression(s.now, w.update, w.names, w.values).update(it)
}

// write writes one item. A condition that does not hold costs the units of the item as it is.
func (t *Table) write(operation string, w write) (after item, err error) {
	s := t.at(w.key)
	name := operation + " " + kind(w.key)
	if !t.writable(s.partition()) {
		return nil, t.refuse(name)
	}
	before := s.bytes
	if w.holds(s) {
		after = t.store(s, w.after(s))
	} else {
		err = &types.ConditionalCheckFailedException{Message: aws.String("simulated")}
	}
	units := writeUnits(before, s.bytes)
	t.writes[s.partition()].left -= units
	t.meter.add(name, Tally{Calls: 1, Write: units})
	return after, err
}

// store puts an item in its place.
func (t *Table) store(s *stored, it item) item {
	if it == nil && s.now == nil {
		return nil
	}
	if _, known := t.items[s.key]; !known {
		t.items[s.key] = s
		i, _ := slices.BinarySearchFunc(t.order, s, byHash)
		t.order = slices.Insert(t.order, i, s)
	}
	s.before, s.now, s.bytes, s.since = s.now, it, size(it), time.Now()
	if it == nil {
		delete(t.items, s.key)
		i, _ := slices.BinarySearchFunc(t.order, s, byHash)
		t.order = slices.Delete(t.order, i, i+1)
	}
	return it
}

// transact writes all items or none. Preparing and committing cost the units of a write each.
func (t *Table) transact(in *dynamodb.TransactWriteItemsInput) error {
	writes := make([]write, len(in.TransactItems))
	for i, action := range in.TransactItems {
		switch {
		case action.Put != nil:
			a := action.Put
			writes[i] = write{key: keyOf(a.Item), condition: a.ConditionExpression, names: a.ExpressionAttributeNames, values: a.ExpressionAttributeValues, put: a.Item}
		case action.Update != nil:
			a := action.Update
			writes[i] = write{key: keyOf(a.Key), condition: a.ConditionExpression, update: a.UpdateExpression, names: a.ExpressionAttributeNames, values: a.ExpressionAttributeValues}
		default:
			panic("a transaction with this action is not simulated")
		}
	}
	reasons := make([]types.CancellationReason, len(writes))
	refused, failed := false, false
	for i, w := range writes {
		s := t.at(w.key)
		reasons[i].Code = aws.String("None")
		switch {
		case !t.writable(s.partition()):
			reasons[i].Code, refused = aws.String("ThrottlingError"), true
		case !w.holds(s):
			reasons[i].Code, failed = aws.String("ConditionalCheckFailed"), true
		}
	}
	if refused {
		t.meter.add("TransactWriteItems", Tally{Calls: 1, Refused: 1})
		return &types.TransactionCanceledException{CancellationReasons: reasons}
	}
	sum := 0.0
	for _, w := range writes {
		s := t.at(w.key)
		before := s.bytes
		if !failed {
			t.store(s, w.after(s))
		}
		units := 2 * writeUnits(before, s.bytes)
		t.writes[s.partition()].left -= units
		sum += units
	}
	t.meter.add("TransactWriteItems", Tally{Calls: 1, Write: sum})
	if failed {
		return &types.TransactionCanceledException{CancellationReasons: reasons}
	}
	return nil
}
