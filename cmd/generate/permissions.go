package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/operate/policy"
)

// reasons are the calls behind the statements of the policies, and why they are made.
var reasons = map[string]string{
	"FindShards":         "DescribeStreamSummary and ListShards, at the start and every 20 s: which stream it is, and which shards it has",
	"ReadShards":         "GetShardIterator and GetRecords, for each shard",
	"SubscribeToShards":  "SubscribeToShard, instead of GetRecords; DescribeStreamConsumer finds the ARN of a name",
	"RegisterConsumer":   "RegisterStreamConsumer, if there is no consumer of that name",
	"DecryptStream":      "Kinesis decrypts records on behalf of the reader",
	"WriteFiles":         "CreateMultipartUpload, UploadPart and CompleteMultipartUpload (all PutObject), AbortMultipartUpload for a batch that was dropped, HeadObject and ListParts to find out whether an upload has been completed",
	"WriteManifests":     "PutObject of a batch's manifest, and HeadObject to see whether it is there",
	"KeepLists":          "lists of files, for batches with more than an item of the table holds",
	"SeeBucket":          "HeadBucket, and HeadObject, which answers `404` only with this permission and `403` otherwise",
	"StateCompleteness":  "the object with the time up to which the data is complete",
	"EncryptFiles":       "S3 encrypts each object with a data key, and decrypts it to join parts",
	"ReadSchema":         "GetObject, at the start",
	"ReadSchemaTable":    "GetTable, at the start and when the schema is refreshed",
	"LookUpSchemas":      "GetSchemaVersion, for each schema id that payloads name. An id may belong to any registry of the account",
	"TransformRecords":   "Invoke, for each chunk of records",
	"KeepCheckpoints":    "leases, heartbeats, commits (TransactWriteItems needs the permissions of the writes in it) and the outbox",
	"MakeTable":          "CreateTable and point-in-time recovery, if there is no table",
	"ReadOutbox":         "the batches that are to be loaded, and the loader's own item",
	"ReadLists":          "lists of files, which are deleted with their batch",
	"CommitToTable":      "a commit: read the table, replace its metadata location",
	"MakeTableInCatalog": "only if the table does not exist; without `TABLE_CREATE` it is left out",
	"WriteMetadata":      "manifests and metadata files of the table",
	"SendRecords":        "PutRecords, and ListShards to keep within the limits of each shard",
	"EncryptRecords":     "Kinesis encrypts records on behalf of the sender",
	"ReadBucket":         "audit, compare and redrive read manifests, data and error files",
	"ListBucket":         "audit lists manifests and files",
	"SeeUploads":         "ListParts: checkpoint forget looks whether uploads still exist",
	"MarkRedrives":       "redrive marks what it has sent",
	"MovePositions":      "the commands of `consumer checkpoint`",
	"RestorePositions":   "checkpoint restore writes the rows of a table",
	"DescribeStream":     "checkpoint restore compares the stream with the table, and asks for its retention",
	"SeeTableBucket":     "HeadObject of metadata answers `404` only with this permission",
	"ReadRows":           "the rows of the files that are copied into the database",
	"WriteRefusedRows":   "rows that the database refuses, as error objects",
	"ReadDatabaseSecret": "user and password of the database",
	"ConnectToDatabase":  "a token instead of a password",
	"CareForTable":       "compaction and the removal of orphans",
	"BindTable":          "loader rebind",
	"UseKeyOfFiles":      "files and manifests are encrypted with it",
	"UseKeyOfBucket":     "files and manifests are encrypted with it",
	"ReadOldTable":       "import kcl reads the other consumer's table",
	"ImportPositions":    "import kcl writes the rows",
	"FindPositions":      "import kcl looks at the record at each position",
	"DescribeFirehose":   "import firehose",
	"ReadGlueTable":      "import firehose --glue-schema",
	"FindTableBucket":    "GetTableBucket, at the start",
	"ReadTheirs":         "compare --theirs",
	"ListTheirs":         "compare --theirs",
}

// permissionsPage fills in the policies of the programs, and what settings change.
func permissionsPage(present []byte) ([]byte, error) {
	loader, err := policy.Loader(example(loaderVariants[0].adjust))
	if err != nil {
		return nil, err
	}
	cfg, at := example(nil)
	for _, part := range []struct {
		name   string
		policy iam.Policy
	}{
		{"daemon", policy.Daemon(cfg, at)}, {"loader", loader}, {"producer", policy.Producer(cfg, at)},
		{"operator", policy.Operator(cfg, at, policy.Imports{Manifests: true})},
	} {
		text, err := document(part.policy)
		if err == nil {
			present, err = fill(present, part.name, text)
		}
		if err != nil {
			return nil, err
		}
	}
	return fill(present, "changes", changes(func(v variant) string { return v.variables }))
}

// document is a policy with the reasons of its statements.
func document(p iam.Policy) (string, error) {
	body, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "```json\n%s\n```\n\n| statement | what for |\n|---|---|\n", body)
	for _, s := range p.Statement {
		reason, ok := reasons[s.Sid]
		if !ok {
			return "", fmt.Errorf("cmd/generate/permissions.go gives no reason for the statement %s", s.Sid)
		}
		fmt.Fprintf(&b, "| %s | %s |\n", s.Sid, reason)
	}
	return b.String(), nil
}
