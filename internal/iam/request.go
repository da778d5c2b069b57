package iam

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/smithy-go/encoding/cbor"
)

// Service is a service whose requests are supported.
type Service string

// The services.
const (
	Kinesis  Service = "kinesis"
	DynamoDB Service = "dynamodb"
	S3       Service = "s3"
	Glue     Service = "glue"
	Firehose Service = "firehose"
	Secrets  Service = "secretsmanager"
	Lambda   Service = "lambda"
)

// Site describes to whom the resources of requests belong. Requests name most resources only in part.
type Site struct {
	Partition string // such as aws
	Region    string
	Account   string
	// Stream is the name of the stream to which iterators and tokens belong, since they do not name it.
	Stream string
}

// Needs returns what a request needs. A request that is not supported is an error, and must be refused.
func (s Site) Needs(service Service, r *http.Request, body []byte) ([]Need, error) {
	switch service {
	case Kinesis:
		return s.kinesis(r, body)
	case DynamoDB:
		return s.dynamodb(r, body)
	case S3:
		return s.s3(r)
	case Glue:
		return s.glue(r, body)
	case Firehose:
		return s.firehose(r, body)
	case Secrets:
		return s.secrets(r, body)
	case Lambda:
		return s.lambda(r)
	}
	return nil, fmt.Errorf("service %q is not supported", service)
}

// operation returns the API operation that a request of the JSON protocols names.
func operation(r *http.Request) (string, error) {
	target := r.Header.Get("X-Amz-Target")
	if _, name, ok := strings.Cut(target, "."); ok {
		return name, nil
	}
	return "", fmt.Errorf("X-Amz-Target=%q: want a service and an operation", target)
}

func (s Site) arn(service, resource string) string {
	return strings.Join([]string{"arn", s.Partition, service, s.Region, s.Account, resource}, ":")
}

// kinesis is by "Actions, resources, and condition keys for Amazon Kinesis Data Streams".
func (s Site) kinesis(r *http.Request, body []byte) ([]Need, error) {
	op, err := operation(r)
	if err != nil {
		return nil, err
	}
	in, err := kinesisNames(r, body)
	if err != nil {
		return nil, err
	}
	stream := in["StreamARN"]
	if stream == "" {
		name := in["StreamName"]
		if name == "" {
			name = s.Stream
		}
		stream = s.arn("kinesis", "stream/"+name)
	}
	resource := stream
	switch op {
	case "SubscribeToShard", "DescribeStreamConsumer":
		if resource = in["ConsumerARN"]; resource == "" {
			resource = stream + "/consumer/" + in["ConsumerName"] + ":0" // of which the time of its making is not known
		}
	}
	return []Need{{Action: "kinesis:" + op, Resource: resource}}, nil
}

// kinesisNames returns the members of a request that name resources.
func kinesisNames(r *http.Request, body []byte) (map[string]string, error) {
	names := make(map[string]string)
	if !strings.Contains(r.Header.Get("Content-Type"), "cbor") {
		var in struct{ StreamARN, StreamName, ConsumerARN, ConsumerName string }
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
		names["StreamARN"], names["StreamName"], names["ConsumerARN"], names["ConsumerName"] = in.StreamARN, in.StreamName, in.ConsumerARN, in.ConsumerName
		return names, nil
	}
	decoded, err := cbor.Decode(body)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	members, ok := decoded.(cbor.Map)
	if !ok {
		return nil, errors.New("body: want a map")
	}
	for name, value := range members {
		if text, ok := value.(cbor.String); ok {
			names[name] = string(text)
		}
	}
	return names, nil
}

// dynamodb is by "Actions, resources, and condition keys for Amazon DynamoDB". A transaction needs what its writes need
// (Amazon DynamoDB Developer Guide, "Using IAM with DynamoDB transactions"), tags of a new table need TagResource.
func (s Site) dynamodb(r *http.Request, body []byte) ([]Need, error) {
	op, err := operation(r)
	if err != nil {
		return nil, err
	}
	var in struct {
		TableName     string
		Tags          []json.RawMessage
		TransactItems []map[string]struct{ TableName string }
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	var needs []Need
	add := func(action, table string) {
		if !strings.HasPrefix(table, "arn:") {
			table = s.arn("dynamodb", "table/"+table)
		}
		if n := (Need{Action: "dynamodb:" + action, Resource: table}); !slices.ContainsFunc(needs, func(o Need) bool { return o.String() == n.String() }) {
			needs = append(needs, n)
		}
	}
	switch {
	case len(in.TransactItems) > 0:
		for _, item := range in.TransactItems {
			for kind, of := range item {
				action, ok := map[string]string{
					"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem", "Get": "GetItem",
				}[kind]
				if !ok {
					return nil, fmt.Errorf("%s: kind %q is not supported", op, kind)
				}
				add(action, of.TableName)
			}
		}
	case in.TableName != "":
		add(op, in.TableName)
		if op == "CreateTable" && len(in.Tags) > 0 {
			add("TagResource", in.TableName)
		}
	default:
		return nil, fmt.Errorf("%s is not supported", op)
	}
	return needs, nil
}

// glue is by "Specifying AWS Glue resource ARNs" (AWS Glue Developer Guide): a call on a table needs the catalog, the
// database and the table, one on a database the catalog and the database. Schema versions have no resource that a request
// names.
func (s Site) glue(r *http.Request, body []byte) ([]Need, error) {
	op, err := operation(r)
	if err != nil {
		return nil, err
	}
	type named struct{ Name string }
	var in struct {
		DatabaseName, Name        string
		TableName                 string
		TableInput, DatabaseInput named
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	on := []string{"catalog"}
	switch op {
	case "GetSchemaVersion":
		return []Need{{Action: "glue:" + op, Resource: "*"}}, nil
	case "GetDatabase", "CreateDatabase":
		on = append(on, "database/"+in.Name+in.DatabaseInput.Name)
	case "GetTable", "GetTableVersion", "CreateTable", "UpdateTable":
		on = append(on, "database/"+in.DatabaseName, "table/"+in.DatabaseName+"/"+in.Name+in.TableName+in.TableInput.Name)
	default:
		return nil, fmt.Errorf("%s is not supported", op)
	}
	var needs []Need
	for _, resource := range on {
		needs = append(needs, Need{Action: "glue:" + op, Resource: s.arn("glue", resource)})
	}
	return needs, nil
}

// firehose is by "Actions, resources, and condition keys for Amazon Kinesis Firehose".
func (s Site) firehose(r *http.Request, body []byte) ([]Need, error) {
	op, err := operation(r)
	if err != nil {
		return nil, err
	}
	var in struct{ DeliveryStreamName string }
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	if op != "DescribeDeliveryStream" {
		return nil, fmt.Errorf("%s is not supported", op)
	}
	return []Need{{Action: "firehose:" + op, Resource: s.arn("firehose", "deliverystream/"+in.DeliveryStreamName)}}, nil
}

// secrets is by "Actions, resources, and condition keys for AWS Secrets Manager". Only an ARN names a secret as policies do: a name
// lacks the six characters at its end.
func (s Site) secrets(r *http.Request, body []byte) ([]Need, error) {
	op, err := operation(r)
	if err != nil {
		return nil, err
	}
	var in struct {
		SecretID string `json:"SecretId"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	if op != "GetSecretValue" || !strings.HasPrefix(in.SecretID, "arn:") {
		return nil, fmt.Errorf("%s of %q is not supported", op, in.SecretID)
	}
	return []Need{{Action: "secretsmanager:" + op, Resource: in.SecretID}}, nil
}

// lambda is by "Actions, resources, and condition keys for AWS Lambda". Only an ARN names a function as policies do.
func (s Site) lambda(r *http.Request) ([]Need, error) {
	function, whole := strings.CutPrefix(r.URL.Path, "/2015-03-31/functions/")
	function, invoked := strings.CutSuffix(function, "/invocations")
	if r.Method != http.MethodPost || !whole || !invoked || !strings.HasPrefix(function, "arn:") {
		return nil, fmt.Errorf("%s of %q is not supported", r.Method, r.URL.Path)
	}
	return []Need{{Action: "lambda:InvokeFunction", Resource: function}}, nil
}

// s3 is by "Required permissions for Amazon S3 API operations" (Amazon S3 User Guide). Requests name the bucket in their
// path.
func (s Site) s3(r *http.Request) ([]Need, error) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	query := r.URL.Query()
	arn := "arn:" + s.Partition + ":s3:::" + bucket
	if key == "" {
		if r.Method == http.MethodHead || r.Method == http.MethodGet && (query.Get("list-type") == "2" || len(query) == 0) {
			return []Need{{Action: "s3:ListBucket", Resource: arn}}, nil
		}
		return nil, fmt.Errorf("%s of a bucket with %q is not supported", r.Method, r.URL.RawQuery)
	}
	action := ""
	switch upload := query.Has("uploadId"); r.Method {
	case http.MethodHead:
		action = "s3:GetObject"
	case http.MethodGet:
		action = "s3:GetObject"
		if upload {
			action = "s3:ListMultipartUploadParts"
		}
	case http.MethodPut:
		action = "s3:PutObject"
	case http.MethodPost:
		if upload || query.Has("uploads") {
			action = "s3:PutObject"
		}
	case http.MethodDelete:
		action = "s3:DeleteObject"
		if upload {
			action = "s3:AbortMultipartUpload"
		}
	}
	if action == "" || r.Header.Get("X-Amz-Copy-Source") != "" {
		return nil, fmt.Errorf("%s of an object with %q is not supported", r.Method, r.URL.RawQuery)
	}
	needs := []Need{{Action: action, Resource: arn + "/" + key}}
	// To write over an object only if it is a certain one needs to see it (Amazon S3 User Guide, "Conditional writes").
	if action == "s3:PutObject" && r.Header.Get("If-Match") != "" {
		needs = append(needs, Need{Action: "s3:GetObject", Resource: arn + "/" + key})
	}
	return append(needs, s.encryption(r, query.Has("uploads"))...), nil
}

// encryption is what a request needs that has its object encrypted under a key of the customer's: a data key, and for an
// upload of several parts the decryption of those (Amazon S3 User Guide, "Multipart upload API and permissions"). The key
// that AWS manages for S3 may be used by everybody who may use S3 in its account (AWS KMS Developer Guide, "AWS managed
// keys"), so it needs nothing.
func (s Site) encryption(r *http.Request, multipart bool) []Need {
	key := r.Header.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id")
	if r.Header.Get("X-Amz-Server-Side-Encryption") != "aws:kms" || key == "" {
		return nil
	}
	actions := []string{"kms:GenerateDataKey"}
	if multipart {
		actions = append(actions, "kms:Decrypt")
	}
	var needs []Need
	for _, action := range actions {
		needs = append(needs, s.Key(action, key))
	}
	return needs
}

// Key is the need of an action on a key, which is named by its id, its ARN, or an alias of it. What key an alias stands
// for only KMS knows; policies name it by the condition key kms:ResourceAliases.
func (s Site) Key(action, name string) Need {
	resource := name
	if !strings.HasPrefix(name, "arn:") {
		resource = s.arn("kms", name)
		if !strings.HasPrefix(name, "alias/") {
			resource = s.arn("kms", "key/"+name)
		}
	}
	n := Need{Action: action, Resource: resource}
	if account, alias, ok := strings.Cut(resource, ":alias/"); ok {
		n.Resource, n.Context = account+":key/of-the-alias", map[string][]string{"kms:ResourceAliases": {"alias/" + alias}}
	}
	return n
}
