package chaos

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"aws-streaming-pipeline/internal/test/limits"
)

// Service is the service that a proxy fronts.
type Service string

const (
	Kinesis  Service = "Kinesis"
	DynamoDB Service = "DynamoDB"
	S3       Service = "S3"
	Catalog  Service = "catalog" // Iceberg REST catalog
)

// Operations of the daemon that are named by their purpose here, because that matters.
const (
	Commit    = "TransactWriteItems"
	Tombstone = "PutItem tombstone"
	Heartbeat = "PutItem heartbeat"
	Forget    = "DeleteItem batch"
	Acquire   = "UpdateItem lease"
	Create    = "CreateMultipartUpload"
	Part      = "UploadPart"
	Complete  = "CompleteMultipartUpload"
	Abort     = "AbortMultipartUpload"
	Put       = "PutObject"
	Read      = "GetRecords"
	Subscribe = "SubscribeToShard"
	Publish   = "UpdateItem published"
	Load      = "loadTable"          // of a catalog
	Metadata  = "PutObject metadata" // of a table
	Append    = "updateTable"        // of a catalog: a commit
	Loaded    = "UpdateItem loaded"
	Seat      = "PutItem table"
	State     = "UpdateItem complete"
	Look      = "GetItem worker" // at the leader's heartbeat
	Order     = "PutItem orders"
	Obey      = "GetItem orders"
	TakeLead  = "UpdateItem leader" // or resign
)

// call is a request from a daemon.
type call struct {
	worker    int
	service   Service
	operation string
	shards    []string // whose positions a commit moves
	object    string   // of S3: bucket and key; empty for a bucket
}

// identify describes a request.
func identify(worker int, service Service, r *http.Request, body []byte) call {
	c := call{worker: worker, service: service}
	switch service {
	case S3:
		c.operation, c.object = limits.S3Operation(r), object(r)
		if c.operation == Put && strings.Contains(c.object, "/metadata/") {
			c.operation = Metadata
		}
	case DynamoDB:
		c.operation, c.shards = tableOperation(target(r), body)
	case Catalog:
		c.operation = catalogOperation(r)
	default:
		c.operation = target(r)
	}
	return c
}

// catalogOperation is the name of an operation in the REST catalog's specification (apache/iceberg, open-api/rest-catalog-open-api.yaml,
// operationId) if it matters here, or else the method and the last part of the path.
func catalogOperation(r *http.Request) string {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	last := parts[len(parts)-1]
	if len(parts) > 1 && parts[len(parts)-2] == "tables" {
		switch r.Method {
		case http.MethodGet:
			return Load
		case http.MethodPost:
			return Append
		}
	}
	return r.Method + " " + last
}

// target is the operation in the header of the AWS JSON protocols.
func target(r *http.Request) string {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return operation
}

// object is the bucket and the key in a path-style request of S3.
func object(r *http.Request) string {
	path := strings.TrimPrefix(r.URL.Path, "/")
	if _, key, _ := strings.Cut(path, "/"); key == "" {
		return ""
	}
	return path
}

// tableRequest is the part of a DynamoDB request that shows its purpose.
type tableRequest struct {
	Item, Key                tableItem
	ExpressionAttributeNames map[string]string
	TransactItems            []struct {
		Update *struct{ Key tableItem }
	}
}

type tableItem struct {
	LeaseKey struct{ S string } `json:"leaseKey"`
}

func tableOperation(name string, body []byte) (operation string, shards []string) {
	var in tableRequest
	if json.Unmarshal(body, &in) != nil {
		return name, nil
	}
	switch name {
	case Commit:
		for _, item := range in.TransactItems {
			if item.Update != nil {
				shards = append(shards, item.Update.Key.LeaseKey.S)
			}
		}
		return name, shards
	case "PutItem", "DeleteItem", "UpdateItem", "GetItem":
		key := in.Item.LeaseKey.S + in.Key.LeaseKey.S
		return name + " " + purpose(name, key, slices.Collect(maps.Values(in.ExpressionAttributeNames))), nil
	}
	return name, nil
}

// purpose is what an item is, by its key, or the step of a batch that an update notes, by the attributes that it names.
func purpose(operation, key string, attributes []string) string {
	switch {
	case strings.HasPrefix(key, "#batch/") && operation == "PutItem":
		return "tombstone"
	case strings.HasPrefix(key, "#batch/") && operation == "UpdateItem" && slices.Contains(attributes, "publishedAt"):
		return "published"
	case strings.HasPrefix(key, "#batch/") && operation == "UpdateItem" && slices.Contains(attributes, "loaded"):
		return "loaded"
	case strings.HasPrefix(key, "#batch/"):
		return "batch"
	case strings.HasPrefix(key, "#worker/") && operation == "PutItem":
		return "heartbeat"
	case strings.HasPrefix(key, "#worker/"):
		return "worker"
	case strings.HasPrefix(key, "#table/"):
		return "table"
	case strings.HasPrefix(key, "#orders/"):
		return "orders"
	case key == "#leader":
		return "leader"
	case key == "#complete":
		return "complete"
	case strings.HasPrefix(key, "#"):
		return "application"
	}
	return "lease"
}
