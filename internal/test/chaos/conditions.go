package chaos

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
)

// forgetful removes the token from the commits of every other daemon. DynamoDB remembers a token for ten minutes, within which a
// repeated request has no effect; without tokens, a storm of seconds also tests what guards commits after that time.
func forgetful(c call, body []byte) []byte {
	if c.operation != Commit || c.worker%2 == 1 {
		return body
	}
	return edit(body, func(in map[string]any) { delete(in, "ClientRequestToken") })
}

// unconditional removes the conditions on checkpoints and leases from a commit. The transaction that remains moves checkpoints
// unchecked.
func unconditional(c call, body []byte) []byte {
	if c.operation != Commit {
		return body
	}
	return edit(body, func(in map[string]any) {
		delete(in, "ClientRequestToken")
		items, _ := in["TransactItems"].([]any)
		for _, item := range items {
			action, _ := item.(map[string]any)
			if update, ok := action["Update"].(map[string]any); ok {
				release(update)
			}
		}
	})
}

// release removes the condition of an update, and the names and values that only the condition used: DynamoDB refuses
// those that no expression uses.
func release(update map[string]any) {
	delete(update, "ConditionExpression")
	expression, _ := update["UpdateExpression"].(string)
	used := map[string]bool{}
	for _, word := range strings.FieldsFunc(expression, func(r rune) bool { return strings.ContainsRune(" ,=", r) }) {
		used[word] = true
	}
	for _, attribute := range []string{"ExpressionAttributeNames", "ExpressionAttributeValues"} {
		defined, _ := update[attribute].(map[string]any)
		for name := range defined {
			if !used[name] {
				delete(defined, name)
			}
		}
	}
}

// ledgerProperty begins the name of the table's property that lists loaded batches.
const ledgerProperty = "aws-streaming-pipeline.ledger."

// ledgerless removes the ledger of loaded batches from the commits to a table, which then only appends.
func ledgerless(c call, body []byte) []byte {
	if c.operation != Append {
		return body
	}
	return edit(body, func(in map[string]any) {
		updates, _ := in["updates"].([]any)
		for _, u := range updates {
			update, _ := u.(map[string]any)
			properties, _ := update["updates"].(map[string]any)
			maps.DeleteFunc(properties, func(key string, _ any) bool { return strings.HasPrefix(key, ledgerProperty) })
		}
	})
}

// edit changes a JSON object. Numbers stay as they are written: ids of snapshots have more digits than a float64.
func edit(body []byte, change func(map[string]any)) []byte {
	var in map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if decoder.Decode(&in) != nil {
		return body
	}
	change(in)
	out, err := json.Marshal(in)
	if err != nil {
		return body
	}
	return out
}
