package simulate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The figures are the examples of the Amazon DynamoDB Developer Guide, "DynamoDB read and write operations".
func TestUnits_AreThoseOfTheGuide(t *testing.T) {
	for _, test := range []struct {
		what      string
		got, want float64
	}{
		{"a consistent read of nothing", readUnits(0, true), 1},
		{"a consistent read of 3.5 KB", readUnits(3584, true), 1},
		{"a consistent read of 10 KB", readUnits(10<<10, true), 3},
		{"an eventually consistent read of 10 KB", readUnits(10<<10, false), 1.5},
		{"an eventually consistent page of 1 MB", readUnits(1<<20, false), 128},
		{"a new item of 500 bytes", writeUnits(0, 500), 1},
		{"an item that grows to 1.5 KB", writeUnits(300, 1536), 2},
		{"an item that shrinks from 3 KB", writeUnits(3<<10, 100), 3},
		{"the removal of nothing", writeUnits(0, 0), 1},
	} {
		if test.got != test.want {
			t.Errorf("%s: %v units, want %v", test.what, test.got, test.want)
		}
	}
}

func row(key string, bytes int) item {
	return item{tableKey: &types.AttributeValueMemberS{Value: key}, "x": &types.AttributeValueMemberS{Value: strings.Repeat("x", bytes)}}
}

// A transaction costs twice as much as its writes, and as much if a condition fails.
func TestTable_CountsTransactionsTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newTable()
		in := &dynamodb.TransactWriteItemsInput{}
		for n := range 3 {
			in.TransactItems = append(in.TransactItems, types.TransactWriteItem{Put: &types.Put{
				Item: row(fmt.Sprint(n), 1500), ConditionExpression: aws.String("attribute_not_exists(" + tableKey + ")"),
			}})
		}
		_, first := table.Serve(t.Context(), in)
		_, second := table.Serve(t.Context(), in)
		if _, canceled := errors.AsType[*types.TransactionCanceledException](second); first != nil || !canceled {
			t.Errorf("answers %v, %v", first, second)
		}
		if got := table.meter.read()["TransactWriteItems"]; got.Write != 2*(2*3*2) {
			t.Errorf("counted %+v", got)
		}
	})
}

// One key bears what a partition does, and many keys what four do.
func TestTable_ThrottlesByPartition(t *testing.T) {
	for _, test := range []struct {
		keys        int
		least, most int64
	}{{1, 1990, 2010}, {100_000, 7800, 8010}} {
		synctest.Test(t, func(t *testing.T) {
			table := newTable()
			began := time.Now()
			for n := 0; time.Since(began) < time.Second; n++ {
				for range 20 {
					_, _, err := table.apply(&dynamodb.PutItemInput{Item: row(fmt.Sprint(n%test.keys), 10)})
					if err != nil && !errors.Is(err, errThrottled) {
						t.Fatal(err)
					}
					n++
				}
				time.Sleep(time.Millisecond)
			}
			got := table.meter.read()["PutItem lease"]
			// A full second's allowance was there at the beginning.
			if served := got.Calls - got.Refused; served < test.least || served > test.most {
				t.Errorf("%d keys: %d of %d writes served in a second, want %d to %d", test.keys, served, got.Calls, test.least, test.most)
			}
		})
	}
}

func TestTable_ShowsReplicasLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newTable()
		for _, bytes := range []int{10, 20} {
			if _, err := table.Serve(t.Context(), &dynamodb.PutItemInput{Item: row("a", bytes)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		sizes := func(consistent bool) map[int]int {
			seen := make(map[int]int)
			for range 100 {
				out, _, err := table.apply(&dynamodb.GetItemInput{Key: row("a", 0), ConsistentRead: &consistent})
				if err != nil {
					t.Fatal(err)
				}
				seen[len(out.(*dynamodb.GetItemOutput).Item["x"].(*types.AttributeValueMemberS).Value)]++
			}
			return seen
		}
		if _, err := table.Serve(context.Background(), &dynamodb.PutItemInput{Item: row("a", 30)}); err != nil {
			t.Fatal(err)
		}
		if seen := sizes(true); seen[30] != 100 {
			t.Errorf("consistent reads show %v", seen)
		}
		if seen := sizes(false); seen[20] < 50 || seen[20]+seen[30] != 100 {
			t.Errorf("reads right after a write show %v", seen)
		}
		time.Sleep(table.Lag)
		if seen := sizes(false); seen[30] != 100 {
			t.Errorf("reads after the lag show %v", seen)
		}
	})
}
