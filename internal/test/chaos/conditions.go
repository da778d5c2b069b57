package chaos

import (
	"encoding/json"
	"strings"
)

// forgetful takes the token off the commits of every second daemon. DynamoDB knows a token for ten minutes, within
// which a repeated request does nothing by itself; without it a storm of seconds meets what lies behind.
func forgetful(c call, body []byte) []byte {
	if c.operation != Commit || c.worker%2 == 1 {
		return body
	}
	return edit(body, func(in map[string]any) { delete(in, "ClientRequestToken") })
}

// unconditional takes the conditions out of a commit that it sets on checkpoints and leases. What remains is a
// transaction that moves checkpoints wherever it likes.
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

// edit changes a JSON object.
func edit(body []byte, change func(map[string]any)) []byte {
	var in map[string]any
	if json.Unmarshal(body, &in) != nil {
		return body
	}
	change(in)
	out, err := json.Marshal(in)
	if err != nil {
		return body
	}
	return out
}
