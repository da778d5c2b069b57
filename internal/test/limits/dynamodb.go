package limits

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// Limits of DynamoDB: "Constraints in Amazon DynamoDB" and "DynamoDB item sizes and formats" in the Amazon DynamoDB Developer
// Guide, and the descriptions of the operations in the API reference.
const (
	maxItemBytes        = 400 << 10        // "Constraints", Items: names of attributes included
	maxKeyBytes         = 2048             // "Constraints": partition key
	maxSortKeyBytes     = 1024             // "Constraints": sort key
	maxExpressionBytes  = 4 << 10          // "Constraints": each expression string
	maxActions          = 100              // TransactWriteItems: distinct items
	maxTransactionBytes = 4 << 20          // TransactWriteItems: the aggregate size of the items
	maxTokenChars       = 36               // TransactWriteItems: ClientRequestToken
	tokenLife           = 10 * time.Minute // TransactWriteItems: ClientRequestToken
	maxBatchWrites      = 25               // BatchWriteItem
	maxBatchReads       = 100              // BatchGetItem
	maxBatchBytes       = 16 << 20         // BatchWriteItem
	// A page of Query and Scan holds up to 1 MB of the items read, before filters and projections, which emulators count
	// by themselves. A caller cannot know where a page ends, so pages are short here: code that mistakes the first page for all is found
	// out with a few items.
	maxPageItems = 25
)

const invalid = "ValidationException"

type dynamoDBRules struct {
	keys   map[string][]string // names of the key's attributes by table, the partition key first
	tokens map[string]token    // of transactions that were applied
}

// token is a ClientRequestToken and the request that used it.
type token struct {
	sum [sha256.Size]byte
	at  time.Time
}

func newDynamoDBRules() *dynamoDBRules {
	return &dynamoDBRules{keys: map[string][]string{}, tokens: map[string]token{}}
}

func (d *dynamoDBRules) check(c *call) *refusal {
	switch c.operation {
	case "PutItem", "UpdateItem", "DeleteItem", "GetItem":
		r := d.action(c.in)
		if r == nil && itemSize(c.in.object("Item")) > maxItemBytes {
			r = refuse("item size", invalid, "Item size has exceeded the maximum allowed size")
		}
		return r
	case "Query", "Scan":
		shorten(c)
		return expressions(c.in)
	case "TransactWriteItems":
		return d.transaction(c)
	case "BatchWriteItem":
		return d.batch(c, "BatchWriteItem items", maxBatchWrites)
	case "BatchGetItem":
		return d.batch(c, "BatchGetItem items", maxBatchReads)
	}
	return nil
}

// action checks the keys and expressions of one action on one item.
func (d *dynamoDBRules) action(in object) *refusal {
	if r := expressions(in); r != nil {
		return r
	}
	item := in.object("Key")
	if item == nil {
		item = in.object("Item")
	}
	for i, name := range d.keys[in.text("TableName")] {
		size, most, kind := valueSize(asObject(item[name])), maxKeyBytes, "hashkey"
		if i > 0 {
			most, kind = maxSortKeyBytes, "rangekey"
		}
		if size > most {
			return refuse("key size", invalid, "One or more parameter values were invalid: Size of %s has exceeded the maximum size limit of%d bytes", kind, most)
		}
	}
	return nil
}

func expressions(in object) *refusal {
	for _, name := range []string{"ConditionExpression", "UpdateExpression", "FilterExpression", "KeyConditionExpression", "ProjectionExpression"} {
		if n := len(in.text(name)); n > maxExpressionBytes {
			return refuse("expression size", invalid, "Invalid %s: Expression size has exceeded the maximum allowed size; expression size: %d", name, n)
		}
	}
	return nil
}

// shorten makes a page end early.
func shorten(c *call) {
	if limit := c.in.number("Limit"); limit > 0 && limit <= maxPageItems || c.in == nil {
		return
	}
	c.in["Limit"] = maxPageItems
	c.body, _ = json.Marshal(c.in) // came as JSON
}

func (d *dynamoDBRules) transaction(c *call) *refusal {
	actions := c.in.list("TransactItems")
	if n := len(actions); n > maxActions {
		return refuse("transaction items", invalid, "Member must have length less than or equal to %d, it has %d", maxActions, n)
	}
	t := c.in.text("ClientRequestToken")
	if n := len([]rune(t)); n > maxTokenChars {
		return refuse("token length", invalid, "Member must have length less than or equal to %d, it has %d", maxTokenChars, n)
	}
	if known, ok := d.tokens[t]; t != "" && ok && c.now.Sub(known.at) <= tokenLife && known.sum != sum(c.in) {
		return refuse("token content", "IdempotentParameterMismatchException", "The request uses the same client token as a previous, but non-identical request.")
	}
	total, touched := 0, map[string]bool{}
	var tooLarge *refusal
	for i, a := range actions {
		for _, action := range asObject(a) {
			in := asObject(action)
			if r := d.action(in); r != nil {
				return r
			}
			if identity := d.identity(in); identity != "" {
				if touched[identity] {
					return refuse("one action per item", invalid, "Transaction request cannot include multiple operations on one item")
				}
				touched[identity] = true
			}
			size := itemSize(in.object("Item"))
			if size > maxItemBytes && tooLarge == nil {
				tooLarge = refuse("item size", "TransactionCanceledException", "Transaction cancelled: Item size has exceeded the maximum allowed size")
				tooLarge.reasons = make([]string, len(actions))
				for j := range tooLarge.reasons {
					tooLarge.reasons[j] = "None"
				}
				tooLarge.reasons[i] = "ValidationError"
			}
			total += size + itemSize(in.object("Key")) + itemSize(in.object("ExpressionAttributeValues"))
		}
	}
	if total > maxTransactionBytes {
		return refuse("transaction size", invalid, "The aggregate size of the items in the transaction is %d bytes, at most %d are allowed", total, maxTransactionBytes)
	}
	return tooLarge
}

// identity names the item of an action; it is empty if the key is not known.
func (d *dynamoDBRules) identity(in object) string {
	key := in.object("Key")
	if key == nil {
		names := d.keys[in.text("TableName")]
		if len(names) == 0 {
			return ""
		}
		key = object{}
		for _, name := range names {
			key[name] = in.object("Item")[name]
		}
	}
	text, _ := json.Marshal(key) // came as JSON
	return in.text("TableName") + string(text)
}

func (d *dynamoDBRules) batch(c *call, rule string, most int) *refusal {
	items := 0
	for _, requests := range c.in.object("RequestItems") {
		switch of := requests.(type) {
		case []any: // writes
			items += len(of)
			for _, request := range of {
				put := asObject(request).object("PutRequest")
				if itemSize(put.object("Item")) > maxItemBytes {
					return refuse("item size", invalid, "Item size has exceeded the maximum allowed size")
				}
			}
		case map[string]any: // reads
			items += len(object(of).list("Keys"))
		}
	}
	if items > most {
		return refuse(rule, invalid, "Too many items requested for the %s call: %d, at most %d are allowed", c.operation, items, most)
	}
	if len(c.body) > maxBatchBytes {
		return refuse("batch size", invalid, "The request has %d bytes, at most %d are allowed", len(c.body), maxBatchBytes)
	}
	return nil
}

// sum is the same for all encodings of a request: the SDK writes an item's attributes in any order.
func sum(in object) [sha256.Size]byte {
	text, _ := json.Marshal(in) // came as JSON
	return sha256.Sum256(text)
}

func (d *dynamoDBRules) wants(c *call) bool { return c.operation == "DescribeTable" }

func (d *dynamoDBRules) learn(c *call, out object) {
	switch c.operation {
	case "CreateTable":
		d.learnTable(c.in)
	case "DescribeTable":
		d.learnTable(out.object("Table"))
	case "TransactWriteItems":
		if t := c.in.text("ClientRequestToken"); t != "" {
			d.tokens[t] = token{sum: sum(c.in), at: c.now}
		}
	}
}

func (d *dynamoDBRules) learnTable(table object) {
	var names []string
	for _, part := range table.list("KeySchema") {
		names = append(names, asObject(part).text("AttributeName"))
	}
	d.keys[table.text("TableName")] = names
}

// itemSize is the size of an item's attributes, names included.
func itemSize(item object) int {
	size := 0
	for name, value := range item {
		size += len(name) + valueSize(asObject(value))
	}
	return size
}

// valueSize is the size of a value according to "DynamoDB item sizes and formats": text in UTF-8, bytes without Base64, numbers with
// a byte per two significant digits and one more, one byte for a null or a Boolean; lists and maps have 3 bytes plus one per
// member.
func valueSize(value object) int {
	size := 0
	for kind, v := range value {
		switch kind {
		case "S":
			size += len(value.text(kind))
		case "B":
			size += decodedSize(value.text(kind))
		case "N":
			size += numberSize(value.text(kind))
		case "NULL", "BOOL":
			size++
		case "SS", "NS", "BS":
			for _, member := range value.list(kind) {
				size += valueSize(object{kind[:1]: member})
			}
		case "L":
			size += 3
			for _, member := range value.list(kind) {
				size += 1 + valueSize(asObject(member))
			}
		case "M":
			members := asObject(v)
			size += 3 + len(members) + itemSize(members)
		}
	}
	return size
}

// numberSize ignores zeros at both ends, which are not significant.
func numberSize(text string) int {
	mantissa, _, _ := strings.Cut(strings.ToLower(text), "e")
	negative := strings.HasPrefix(mantissa, "-")
	digits := strings.Trim(strings.ReplaceAll(strings.TrimLeft(mantissa, "+-"), ".", ""), "0")
	size := (len(digits)+1)/2 + 1
	if negative {
		size++
	}
	return size
}

func decodedSize(text string) int {
	return base64.StdEncoding.DecodedLen(len(text)) - strings.Count(text, "=")
}
