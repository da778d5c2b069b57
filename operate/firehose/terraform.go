package firehose

import (
	"fmt"
	"regexp"
	"strings"
)

const terraformType = "aws_kinesis_firehose_delivery_stream"

// fromTerraform reads a resource of a state or plan (Terraform, "JSON Output Format"), with the attributes that the AWS provider
// documents for aws_kinesis_firehose_delivery_stream. A plan does not have the values that are known only after apply.
func fromTerraform(document map[string]any, resource string) (*Description, error) {
	state, _ := document["values"].(map[string]any)
	if state == nil {
		state, _ = document["planned_values"].(map[string]any)
	}
	found := make(map[string]map[string]any)
	collect(state["root_module"], found)
	var addresses []string
	for address := range found {
		addresses = append(addresses, address)
	}
	address, err := choose(addresses, resource, terraformType, func(address string) bool {
		return address == resource || found[address]["name"] == resource
	})
	if err != nil {
		return nil, err
	}
	attributes, _ := found[address]["values"].(map[string]any)
	root := newNode(attributes, "")
	if root == nil {
		return nil, fmt.Errorf("resource %s: want values", address)
	}
	root = translate(root)
	for attribute := range own {
		root.get(attribute).skip()
	}
	name := root.get("DeliveryStreamName").text()
	if name == "" {
		name = fmt.Sprint(found[address]["name"])
	}
	return &Description{Name: name, root: root}, nil
}

// collect finds the resources of a module and of those within it.
func collect(module any, found map[string]map[string]any) {
	m, _ := module.(map[string]any)
	resources, _ := m["resources"].([]any)
	for _, r := range resources {
		if o, ok := r.(map[string]any); ok && o["type"] == terraformType && o["mode"] != "data" {
			found[fmt.Sprint(o["address"])] = o
		}
	}
	children, _ := m["child_modules"].([]any)
	for _, child := range children {
		collect(child, found)
	}
}

// apiNames are the API's names for attributes that differ from them in more than case and underscores. A path with a slash leads to
// a member of an object.
var apiNames = map[string]string{
	"name": "DeliveryStreamName", "bucket_arn": "BucketARN", "role_arn": "RoleARN", "kinesis_stream_arn": "KinesisStreamARN",
	"buffering_size": "BufferingHints/SizeInMBs", "buffering_interval": "BufferingHints/IntervalInSeconds",
	"buffer_size": "BufferingHints/SizeInMBs", "buffer_interval": "BufferingHints/IntervalInSeconds", // before version 5
	"kms_key_arn": "EncryptionConfiguration/KMSEncryptionConfig/AWSKMSKeyARN", "cloudwatch_logging_options": "CloudWatchLoggingOptions",
	"s3_backup_configuration": "S3BackupDescription", "s3_backup_mode": "S3BackupMode", "retry_duration": "RetryOptions/DurationInSeconds",
	"column_to_json_key_mappings": "ColumnToJsonKeyMappings", "server_side_encryption": "DeliveryStreamEncryptionConfiguration", "key_arn": "KeyARN",
}

// own are attributes of the resource itself, which keep their names.
var own = map[string]bool{"arn": true, "id": true, "tags": true, "tags_all": true, "timeouts": true, "destination": true, "destination_id": true, "region": true, "version_id": true}

// destinations and sources are the API's names for blocks of the resource.
var (
	destinationBlocks = map[string]string{
		"extended_s3_configuration": "ExtendedS3DestinationDescription", "s3_configuration": "S3DestinationDescription",
		"redshift_configuration": "RedshiftDestinationDescription", "elasticsearch_configuration": "ElasticsearchDestinationDescription",
		"opensearch_configuration":           "AmazonopensearchserviceDestinationDescription",
		"opensearchserverless_configuration": "AmazonOpenSearchServerlessDestinationDescription",
		"splunk_configuration":               "SplunkDestinationDescription", "http_endpoint_configuration": "HttpEndpointDestinationDescription",
		"snowflake_configuration": "SnowflakeDestinationDescription", "iceberg_configuration": "IcebergDestinationDescription",
	}
	sourceBlocks = map[string]string{
		"kinesis_source_configuration": "KinesisStreamSourceDescription", "msk_source_configuration": "MSKSourceDescription",
	}
)

// translate gives the attributes of the resource the API's names.
func translate(root *node) *node {
	source, destination := &node{members: make(map[string]*node)}, &node{members: make(map[string]*node)}
	top := &node{at: root.at, attributes: true, members: map[string]*node{"Source": source, "Destinations": {elements: []*node{destination}}}}
	for name, n := range root.members {
		block := renamed(block(n))
		switch {
		case destinationBlocks[name] != "":
			destination.members[destinationBlocks[name]] = block
		case sourceBlocks[name] != "":
			source.members[sourceBlocks[name]] = block
		case own[name]:
			top.members[name] = n
		case name == "server_side_encryption":
			// The block has Enabled, where the API has a status.
			if block.get("Enabled").is("true") {
				block.members["Status"] = &node{at: block.at, value: "ENABLED"}
			} else {
				block.skip()
			}
			top.members["DeliveryStreamEncryptionConfiguration"] = block
		default:
			top.add(name, block)
		}
	}
	// Processing is off unless it is turned on, unlike in the API.
	for _, d := range destination.members {
		if p := d.get("ProcessingConfiguration"); p != nil && p.get("Enabled") == nil {
			p.members["Enabled"] = &node{at: p.at, value: "false", read: true}
		}
	}
	return top
}

// block returns the only element of a list, which is how Terraform represents a block, or the value itself.
func block(n *node) *node {
	if len(n.elements) == 1 && n.elements[0].members != nil {
		return n.elements[0]
	}
	return n
}

// renamed gives the attributes of a block the API's names.
func renamed(n *node) *node {
	if n.members == nil {
		for i, element := range n.elements {
			n.elements[i] = renamed(element)
		}
		return n
	}
	translated := &node{at: n.at, attributes: true, members: make(map[string]*node)}
	for name, member := range n.members {
		switch name {
		case "processors", "parameters": // lists also where they have one element
			translated.add(name, renamed(member))
		case "column_to_json_key_mappings":
			translated.add(name, member)
		default:
			translated.add(name, renamed(block(member)))
		}
	}
	return translated
}

// add adds a member under the API's name for an attribute.
func (n *node) add(attribute string, member *node) {
	path := strings.Split(apiName(attribute), "/")
	for _, name := range path[:len(path)-1] {
		if n.members[name] == nil {
			n.members[name] = &node{at: n.at, attributes: true, members: make(map[string]*node)}
		}
		n = n.members[name]
	}
	n.members[path[len(path)-1]] = member
}

// apiName returns the API's name for an attribute: compression_format is CompressionFormat.
func apiName(attribute string) string {
	if name, ok := apiNames[attribute]; ok {
		return name
	}
	var b strings.Builder
	for word := range strings.SplitSeq(attribute, "_") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// attributeOf returns the attribute that has an API's name.
func attributeOf(name string) (attribute string) {
	for a, path := range apiNames {
		if (path == name || strings.HasSuffix(path, "/"+name)) && len(a) > len(attribute) { // the one of today is longer
			attribute = a
		}
	}
	if attribute == "" {
		attribute = strings.ToLower(wordEnd.ReplaceAllString(name, "${1}_$2"))
	}
	return attribute
}

var wordEnd = regexp.MustCompile(`([a-z0-9])([A-Z])`)
