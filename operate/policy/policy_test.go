package policy_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/operate/policy"
)

func settings(adjust func(*consumer.Config)) *consumer.Config {
	c := consumer.Defaults()
	c.Stream, c.Bucket = "trips", "files"
	if adjust != nil {
		adjust(&c)
	}
	return &c
}

// resources returns the resources of a statement.
func resources(t *testing.T, p iam.Policy, sid string) []string {
	t.Helper()
	i := slices.IndexFunc(p.Statement, func(s iam.Statement) bool { return s.Sid == sid })
	if i < 0 {
		t.Fatalf("no statement %s in %+v", sid, p)
	}
	return p.Statement[i].Resource
}

func TestDaemon_NamesTheNarrowestResources(t *testing.T) {
	for _, test := range []struct {
		name   string
		adjust func(*consumer.Config)
		place  policy.Place
		sid    string
		want   string
	}{
		{"nothing known", nil, policy.Place{}, "FindShards", "arn:aws:kinesis:REGION:ACCOUNT:stream/trips"},
		{"all known", nil, policy.Place{Region: "eu-west-1", Account: "123456789012"}, "FindShards", "arn:aws:kinesis:eu-west-1:123456789012:stream/trips"},
		{"China", nil, policy.Place{Region: "cn-north-1"}, "KeepCheckpoints", "arn:aws-cn:dynamodb:cn-north-1:ACCOUNT:table/streaming-pipeline"},
		{"GovCloud", nil, policy.Place{Region: "us-gov-west-1"}, "SeeBucket", "arn:aws-us-gov:s3:::files"},
		{"a partition of its own", nil, policy.Place{Partition: "aws-iso"}, "SeeBucket", "arn:aws-iso:s3:::files"},
		{"a stream of another account", func(c *consumer.Config) { c.StreamARN = "arn:aws:kinesis:us-east-1:210987654321:stream/trips" }, policy.Place{Region: "eu-west-1"},
			"ReadShards", "arn:aws:kinesis:us-east-1:210987654321:stream/trips"},
		{"a table of another account", func(c *consumer.Config) { c.CheckpointTable = "arn:aws:dynamodb:us-east-1:210987654321:table/trips" }, policy.Place{Region: "eu-west-1"},
			"MakeTable", "arn:aws:dynamodb:us-east-1:210987654321:table/trips"},
		{"prefixes", nil, policy.Place{}, "WriteFiles", "arn:aws:s3:::files/data/year=*, arn:aws:s3:::files/errors/*"},
		{"errors under the data", func(c *consumer.Config) { c.Prefix, c.ErrorPrefix = "all/", "" }, policy.Place{}, "WriteFiles", "arn:aws:s3:::files/all/*"},
		{"a backup", func(c *consumer.Config) { c.BackupPrefix = "backup/!{timestamp:yyyy}/" }, policy.Place{}, "WriteFiles",
			"arn:aws:s3:::files/backup/*, arn:aws:s3:::files/data/year=*, arn:aws:s3:::files/errors/*"},
		{"a prefix without a beginning", func(c *consumer.Config) { c.Prefix = "!{timestamp:yyyy}/" }, policy.Place{}, "WriteFiles", "arn:aws:s3:::files/*"},
		{"manifests", nil, policy.Place{}, "WriteManifests", "arn:aws:s3:::files/manifests/*"},
		{"lists", nil, policy.Place{}, "KeepLists", "arn:aws:s3:::files/manifests/outbox/*"},
		{"a consumer to register", func(c *consumer.Config) { c.FanOutConsumer = "push" }, policy.Place{}, "SubscribeToShards",
			"arn:aws:kinesis:REGION:ACCOUNT:stream/trips/consumer/push:*"},
		{"a key of the stream", nil, policy.Place{StreamKey: "1234"}, "DecryptStream", "arn:aws:kms:REGION:ACCOUNT:key/1234"},
		{"a key of the bucket by its alias", nil, policy.Place{BucketKey: "alias/files"}, "EncryptFiles", "arn:aws:kms:REGION:ACCOUNT:key/*"},
		{"a key of the settings before that of the bucket", func(c *consumer.Config) { c.Encryption, c.KMSKey = "aws:kms", "arn:aws:kms:r:a:key/x" },
			policy.Place{BucketKey: "alias/files"}, "EncryptFiles", "arn:aws:kms:r:a:key/x"},
		{"a schema registry", func(c *consumer.Config) { c.SchemaRegistry = "glue" }, policy.Place{}, "LookUpSchemas", "*"},
		{"a function", func(c *consumer.Config) {
			c.Transform = "lambda:arn:aws:lambda:eu-west-2:210987654321:function:mask:live"
		}, policy.Place{Region: "eu-west-1"},
			"TransformRecords", "arn:aws:lambda:eu-west-2:210987654321:function:mask:live"},
		{"a schema", func(c *consumer.Config) { c.Schema = "s3://config/a/trips.json" }, policy.Place{}, "ReadSchema", "arn:aws:s3:::config/a/trips.json"},
		{"a schema of a Glue table", func(c *consumer.Config) { c.Schema = "glue://lake/trips" }, policy.Place{Region: "eu-west-1", Account: "123456789012"}, "ReadSchemaTable",
			"arn:aws:glue:eu-west-1:123456789012:catalog, arn:aws:glue:eu-west-1:123456789012:database/lake, arn:aws:glue:eu-west-1:123456789012:table/lake/trips"},
		{"a schema of another account's table", func(c *consumer.Config) { c.Schema = "glue://lake/trips?catalog=210987654321&region=us-east-1" }, policy.Place{Region: "eu-west-1", Account: "123456789012"},
			"ReadSchemaTable", "arn:aws:glue:us-east-1:210987654321:catalog, arn:aws:glue:us-east-1:210987654321:database/lake, arn:aws:glue:us-east-1:210987654321:table/lake/trips"},
	} {
		if got := strings.Join(resources(t, policy.Daemon(settings(test.adjust), test.place), test.sid), ", "); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestDaemon_AllowsNothingForWhatIsNotUsed(t *testing.T) {
	for want, adjust := range map[string]func(*consumer.Config){
		"dynamodb:CreateTable":             func(c *consumer.Config) { c.CheckpointCreate = false },
		"dynamodb:UpdateContinuousBackups": func(c *consumer.Config) { c.CheckpointCreate = false },
		"dynamodb:Scan":                    func(c *consumer.Config) { c.CheckpointFile = "leases.db" },
		"kinesis:GetRecords":               func(c *consumer.Config) { c.FanOutConsumer = "push" },
		"kms:Decrypt":                      func(c *consumer.Config) { c.Encryption = "AES256" },
		"kinesis:RegisterStreamConsumer": func(c *consumer.Config) {
			c.FanOutConsumer = "arn:aws:kinesis:us-east-1:123456789012:stream/trips/consumer/push:1"
		},
	} {
		place := policy.Place{}
		if want == "kms:Decrypt" {
			place.BucketKey = "alias/files" // which AES256 takes the place of
		}
		if p := policy.Daemon(settings(adjust), place); slices.Contains(p.Actions(), want) {
			t.Errorf("%s is allowed", want)
		}
	}
}

func TestLoader_NamesTheNarrowestResources(t *testing.T) {
	const (
		glue   = "arn:aws:glue:eu-west-1:123456789012:"
		tables = "arn:aws:s3tables:eu-west-1:123456789012:bucket/lake"
	)
	place := policy.Place{Region: "eu-west-1", Account: "123456789012"}
	for _, test := range []struct {
		table, location, sid, want string
	}{
		{"glue://lake/trips", "", "CommitToTable", glue + "catalog, " + glue + "database/lake, " + glue + "table/lake/trips"},
		{"glue://lake/trips", "", "WriteMetadata", "arn:aws:s3:::files/tables/*"},
		{"glue://lake/trips", "s3://warehouse/lake/trips/", "WriteMetadata", "arn:aws:s3:::warehouse/lake/trips/metadata/*"},
		{"rest://catalog.example/v1/lake.trips", "s3://warehouse", "WriteMetadata", "arn:aws:s3:::warehouse/metadata/*"},
		{"s3://warehouse/lake/trips", "", "WriteMetadata", "arn:aws:s3:::warehouse/lake/trips/metadata/*"},
		{"s3://warehouse/lake/trips", "", "SeeTableBucket", "arn:aws:s3:::warehouse"},
		{tables + "/lake/trips", "", "FindTableBucket", tables},
		{tables + "/lake/trips", "", "CommitToTable", tables + "/table/*"},
		{"glue://lake/trips", "", "ReadOutbox", "arn:aws:dynamodb:eu-west-1:123456789012:table/streaming-pipeline"},
		{"glue://lake/trips", "", "ReadLists", "arn:aws:s3:::files/manifests/outbox/*"},
	} {
		cfg := settings(func(c *consumer.Config) { c.TableConfig.Table, c.TableLocation = test.table, test.location })
		p, err := policy.Loader(cfg, place)
		if err != nil {
			t.Errorf("%s: %v", test.table, err)
		} else if got := strings.Join(resources(t, p, test.sid), ", "); got != test.want {
			t.Errorf("%s: %s is on %s, want %s", test.table, test.sid, got, test.want)
		}
	}
}

func TestLoader_ReachesADatabaseAlone(t *testing.T) {
	const (
		secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:rds!db-AbCdEf"
		rows   = "postgres://db.example.com/lake/trips"
	)
	place := policy.Place{Region: "eu-west-1", Account: "123456789012", BucketKey: "arn:aws:kms:eu-west-1:123456789012:key/k"}
	for name, test := range map[string]struct {
		adjust func(*consumer.Config)
		want   map[string]string // resources by sid; none if empty
	}{
		"a password": {func(c *consumer.Config) { c.PostgresDSN = "user=loader" }, map[string]string{
			"ReadOutbox": "arn:aws:dynamodb:eu-west-1:123456789012:table/streaming-pipeline", "ReadRows": "arn:aws:s3:::files/data/year=*",
			"WriteRefusedRows": "arn:aws:s3:::files/errors/*", "EncryptFiles": place.BucketKey, "ReadDatabaseSecret": "", "ConnectToDatabase": "", "CommitToTable": "",
		}},
		"a secret": {func(c *consumer.Config) { c.PostgresSecret = secret }, map[string]string{"ReadDatabaseSecret": secret, "ConnectToDatabase": ""}},
		"a token": {func(c *consumer.Config) { c.PostgresAuth, c.PostgresUser = "iam", "loader*" }, map[string]string{
			"ConnectToDatabase": "arn:aws:rds-db:eu-west-1:123456789012:dbuser:*/loader${*}", "ReadDatabaseSecret": "",
		}},
		"a token for the user of a connection string": {func(c *consumer.Config) { c.PostgresAuth, c.PostgresDSNFile = "iam", "/run/dsn" }, map[string]string{
			"ConnectToDatabase": "arn:aws:rds-db:eu-west-1:123456789012:dbuser:*/*",
		}},
		"no error prefix": {func(c *consumer.Config) { c.ErrorPrefix = "" }, map[string]string{"WriteRefusedRows": "arn:aws:s3:::files/data/year=*"}},
		"a lake, too":     {func(c *consumer.Config) { c.Format, c.TableConfig.Table = "parquet", "glue://lake/trips,"+rows }, map[string]string{"ReadRows": "arn:aws:s3:::files/data/year=*", "WriteMetadata": "arn:aws:s3:::files/tables/*"}},
	} {
		cfg := settings(func(c *consumer.Config) {
			c.TableConfig.Table = rows
			test.adjust(c)
		})
		p, err := policy.Loader(cfg, place)
		if err != nil {
			t.Fatal(err)
		}
		for sid, want := range test.want {
			if got := strings.Join(resourcesOrNone(p, sid), ", "); got != want {
				t.Errorf("%s: %s is on %q, want %q", name, sid, got, want)
			}
		}
		for _, action := range p.Actions() {
			if service, _, _ := strings.Cut(action, ":"); (service == "glue") != strings.HasPrefix(cfg.TableConfig.Table, "glue:") && (service == "glue" || service == "s3tables") {
				t.Errorf("%s: %s is allowed", name, action)
			}
		}
		operator := policy.Operator(cfg, place, policy.Imports{})
		for sid, want := range map[string]string{"WriteRefusedRows": test.want["WriteRefusedRows"], "ReadDatabaseSecret": test.want["ReadDatabaseSecret"], "ConnectToDatabase": test.want["ConnectToDatabase"]} {
			if got := strings.Join(resourcesOrNone(operator, sid), ", "); want != "" && got != want {
				t.Errorf("%s: the operator's %s is on %q, want %q", name, sid, got, want)
			}
		}
	}
	for _, sid := range []string{"WriteRefusedRows", "ReadDatabaseSecret", "ConnectToDatabase", "BindTable"} {
		if got := resourcesOrNone(policy.Operator(settings(nil), place, policy.Imports{}), sid); got != nil {
			t.Errorf("without a table the operator's %s is on %q", sid, got)
		}
	}
}

// The request is the SDK's own.
func TestLoader_MayReadItsSecretAndNoOther(t *testing.T) {
	const secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:trips-"
	p, err := policy.Loader(settings(func(c *consumer.Config) {
		c.TableConfig.Table, c.PostgresSecret = "postgres://db.example.com/lake/trips", secret+"AbCdEf"
	}), policy.Place{})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{secret + "AbCdEf": true, secret + "GhIjKl": false} {
		var needs []iam.Need
		client := secretsmanager.New(secretsmanager.Options{
			Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("id", "key", ""), Retryer: aws.NopRetryer{},
			HTTPClient: doer(func(r *http.Request) (*http.Response, error) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					return nil, err
				}
				if needs, err = (iam.Site{Partition: "aws"}).Needs(iam.Secrets, r, body); err != nil {
					return nil, err
				}
				return nil, errors.New("planted")
			}),
		})
		if _, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id}); err == nil || !strings.Contains(err.Error(), "planted") {
			t.Fatal(err)
		}
		if len(needs) != 1 || p.Allows(needs[0]) != want {
			t.Errorf("%v is allowed: %v, want %v", needs, !want, want)
		}
	}
}

type doer func(*http.Request) (*http.Response, error)

func (f doer) Do(r *http.Request) (*http.Response, error) { return f(r) }

// resourcesOrNone returns the resources of a statement, if there is one.
func resourcesOrNone(p iam.Policy, sid string) []string {
	for _, s := range p.Statement {
		if s.Sid == sid {
			return s.Resource
		}
	}
	return nil
}

func TestOperator_MayCareForTheTable(t *testing.T) {
	for table, want := range map[string]string{
		"":                  "",
		"glue://lake/trips": "arn:aws:s3:::files/tables/*",
		"s3://lake/a/trips": "arn:aws:s3:::lake/a/trips/*",
	} {
		p := policy.Operator(settings(func(c *consumer.Config) { c.TableConfig.Table = table }), policy.Place{}, policy.Imports{})
		if want == "" {
			if slices.Contains(p.Actions(), "s3:DeleteObject") {
				t.Error("without a table objects may be deleted")
			}
			continue
		}
		if got := strings.Join(resources(t, p, "CareForTable"), ", "); got != want {
			t.Errorf("%s: CareForTable is on %s, want %s", table, got, want)
		}
	}
}

func TestOperator_MayReadWhatIsImported(t *testing.T) {
	place := policy.Place{Region: "eu-west-1", Account: "123456789012"}
	p := policy.Operator(settings(nil), place, policy.Imports{KCLTable: "old", Firehose: "trips-to-s3", GlueTable: "lake.trips"})
	const glue = "arn:aws:glue:eu-west-1:123456789012:"
	for sid, want := range map[string]string{
		"ReadOldTable":     "arn:aws:dynamodb:eu-west-1:123456789012:table/old",
		"DescribeFirehose": "arn:aws:firehose:eu-west-1:123456789012:deliverystream/trips-to-s3",
		"ReadGlueTable":    glue + "catalog, " + glue + "database/lake, " + glue + "table/lake/trips",
	} {
		if got := strings.Join(resources(t, p, sid), ", "); got != want {
			t.Errorf("%s is on %s, want %s", sid, got, want)
		}
	}
	for _, action := range policy.Operator(settings(nil), place, policy.Imports{}).Actions() {
		if strings.HasPrefix(action, "firehose:") || strings.HasPrefix(action, "glue:") {
			t.Errorf("%s is allowed, and nothing is imported", action)
		}
	}
}

// A table bucket's other tables are not the loader's, although the ARNs of all look alike.
func TestLoader_MayCommitToItsOwnTableAlone(t *testing.T) {
	const bucket = "arn:aws:s3tables:eu-west-1:123456789012:bucket/lake"
	cfg := settings(func(c *consumer.Config) { c.TableConfig.Table, c.TableCreate = bucket+"/lake/trips", false })
	p, err := policy.Loader(cfg, policy.Place{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"trips": true, "fares": false} {
		need := iam.Need{Action: "s3tables:UpdateTableMetadataLocation", Resource: bucket + "/table/0a1b", Context: map[string][]string{
			"s3tables:namespace": {"lake"}, "s3tables:tableName": {name},
		}}
		if p.Allows(need) != want {
			t.Errorf("table %s: allowed is %v, want %v", name, !want, want)
		}
	}
}

func TestLoader_AllowsNothingForWhatIsNotUsed(t *testing.T) {
	for table, actions := range map[string][]string{
		"glue://lake/trips": {"glue:CreateTable", "glue:CreateDatabase", "glue:GetDatabase", "s3:ListBucket", "s3tables:PutTableData"},
		"s3://files/trips":  {"glue:GetTable", "s3tables:PutTableData"},
		"arn:aws:s3tables:eu-west-1:123456789012:bucket/lake/lake/trips": {"s3tables:CreateTable", "s3:PutObject", "glue:GetTable"},
	} {
		p, err := policy.Loader(settings(func(c *consumer.Config) { c.TableConfig.Table, c.TableCreate = table, false }), policy.Place{})
		if err != nil {
			t.Fatal(err)
		}
		for _, action := range actions {
			if slices.Contains(p.Actions(), action) {
				t.Errorf("%s: %s is allowed", table, action)
			}
		}
	}
	if _, err := policy.Loader(settings(func(c *consumer.Config) { c.TableConfig.Table = "lake.trips" }), policy.Place{}); err == nil || !strings.Contains(err.Error(), `TABLE="lake.trips"`) {
		t.Errorf("a table that is none gives %v", err)
	}
}

func TestPolicies_HaveNoWildcardsInActionsAndASidEach(t *testing.T) {
	all := settings(func(c *consumer.Config) {
		c.FanOutConsumer, c.Encryption, c.KMSKey, c.Schema = "push", "aws:kms", "alias/files", "s3://config/trips.json"
	})
	place := policy.Place{StreamKey: "alias/stream", BucketKey: "alias/bucket"}
	policies := map[string]iam.Policy{"daemon": policy.Daemon(all, place), "operator": policy.Operator(all, place, policy.Imports{KCLTable: "old", Firehose: "trips-to-s3", GlueTable: "lake.trips"})}
	for _, table := range []string{"glue://lake/trips", "s3://files/trips", "arn:aws:s3tables:eu-west-1:123456789012:bucket/lake/lake/trips"} {
		all.TableConfig.Table = table
		loader, err := policy.Loader(all, place)
		if err != nil {
			t.Fatal(err)
		}
		policies["loader of "+table], policies["operator of "+table] = loader, policy.Operator(all, place, policy.Imports{})
	}
	for name, p := range policies {
		sids := make(map[string]bool)
		for _, s := range p.Statement {
			if s.Sid == "" || sids[s.Sid] || strings.Trim(s.Sid, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != "" {
				t.Errorf("%s: Sid %q: want letters, another for each statement", name, s.Sid)
			}
			sids[s.Sid] = true
			if !slices.IsSorted(s.Action) || strings.Contains(strings.Join(s.Action, ""), "*") {
				t.Errorf("%s: %s allows %v: want single actions, in order", name, s.Sid, s.Action)
			}
			for _, r := range s.Resource {
				if !strings.HasPrefix(r, "arn:") {
					t.Errorf("%s: %s is for %s", name, s.Sid, r)
				}
			}
		}
	}
}

func TestProducer_ReachesItsStreamAlone(t *testing.T) {
	p := policy.Producer(settings(nil), policy.Place{Region: "eu-west-1", Account: "123456789012", StreamKey: "1234"})
	for sid, want := range map[string]string{
		"SendRecords": "arn:aws:kinesis:eu-west-1:123456789012:stream/trips", "EncryptRecords": "arn:aws:kms:eu-west-1:123456789012:key/1234",
	} {
		if got := strings.Join(resources(t, p, sid), ", "); got != want {
			t.Errorf("%s is on %s, want %s", sid, got, want)
		}
	}
	if slices.Contains(p.Actions(), "kinesis:GetRecords") || slices.Contains(policy.Producer(settings(nil), policy.Place{}).Actions(), "kms:GenerateDataKey") {
		t.Errorf("it allows %v", p.Actions())
	}
}
