package iam_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/encoding/cbor"

	"aws-streaming-pipeline/internal/iam"
)

func policy(statements ...iam.Statement) iam.Policy {
	return iam.Policy{Version: iam.Version, Statement: statements}
}

func allow(action, resource string) iam.Statement {
	return iam.Statement{Sid: "S", Effect: iam.Allow, Action: iam.Texts{action}, Resource: iam.Texts{resource}}
}

func TestPolicy_AllowsWhatAStatementNamesAndNothingElse(t *testing.T) {
	deny := allow("s3:GetObject", "arn:aws:s3:::b/secret/*")
	deny.Effect = iam.Deny
	conditional := allow("kms:Decrypt", "arn:aws:kms:r:1:key/*")
	conditional.Condition = map[string]map[string]iam.Texts{"ForAnyValue:StringEquals": {"kms:ResourceAliases": {"alias/a", "alias/b"}}}
	for _, test := range []struct {
		name   string
		policy iam.Policy
		need   iam.Need
		want   bool
	}{
		{"the action and the resource", policy(allow("s3:GetObject", "arn:aws:s3:::b/k")), iam.Need{Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k"}, true},
		{"another action", policy(allow("s3:GetObject", "arn:aws:s3:::b/k")), iam.Need{Action: "s3:PutObject", Resource: "arn:aws:s3:::b/k"}, false},
		{"another resource", policy(allow("s3:GetObject", "arn:aws:s3:::b/k")), iam.Need{Action: "s3:GetObject", Resource: "arn:aws:s3:::b/kk"}, false},
		{"nothing", policy(), iam.Need{Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k"}, false},
		{"actions have no case", policy(allow("s3:getobject", "*")), iam.Need{Action: "s3:GetObject", Resource: "x"}, true},
		{"actions by pattern", policy(allow("s3:Get*", "*")), iam.Need{Action: "s3:GetObject", Resource: "x"}, true},
		{"resources have", policy(allow("s3:GetObject", "ARN")), iam.Need{Action: "s3:GetObject", Resource: "arn"}, false},
		{"any text", policy(allow("a:b", "x/*/z*")), iam.Need{Action: "a:b", Resource: "x/1/2/zy"}, true},
		{"any text, and not its end", policy(allow("a:b", "x/*/z")), iam.Need{Action: "a:b", Resource: "x/1/zy"}, false},
		{"any character", policy(allow("a:b", "x?z")), iam.Need{Action: "a:b", Resource: "xyz"}, true},
		{"one character, not none", policy(allow("a:b", "x?z")), iam.Need{Action: "a:b", Resource: "xz"}, false},
		{"an escaped star", policy(allow("a:b", "x${*}*")), iam.Need{Action: "a:b", Resource: "x*yz"}, true},
		{"an escaped star is none", policy(allow("a:b", "x${*}")), iam.Need{Action: "a:b", Resource: "xyz"}, false},
		{"what is denied", policy(allow("s3:*", "*"), deny), iam.Need{Action: "s3:GetObject", Resource: "arn:aws:s3:::b/secret/k"}, false},
		{"what is beside it", policy(deny, allow("s3:*", "*")), iam.Need{Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k"}, true},
		{"a condition that is met", policy(conditional), iam.Need{Action: "kms:Decrypt", Resource: "arn:aws:kms:r:1:key/x",
			Context: map[string][]string{"kms:ResourceAliases": {"alias/c", "alias/b"}}}, true},
		{"a condition that is not", policy(conditional), iam.Need{Action: "kms:Decrypt", Resource: "arn:aws:kms:r:1:key/x",
			Context: map[string][]string{"kms:ResourceAliases": {"alias/c"}}}, false},
		{"a key that is missing", policy(conditional), iam.Need{Action: "kms:Decrypt", Resource: "arn:aws:kms:r:1:key/x"}, false},
	} {
		if got := test.policy.Allows(test.need); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestLiteral_MatchesItsTextAlone(t *testing.T) {
	for _, text := range []string{"", "a", "*", "?", "${*}", "${a}", "$", "$$", "${$}", "a*?${b}$", "}{$", "${"} {
		p := policy(allow("a:b", iam.Literal(text)))
		for _, other := range []string{"", "a", "*", "?", "${*}", "${a}", "$", "$$", "${$}", "a*?${b}$", "}{$", "${", "abcd", "$b"} {
			if got := p.Allows(iam.Need{Action: "a:b", Resource: other}); got != (text == other) {
				t.Errorf("%q as a pattern, %q, matches %q: %v", text, iam.Literal(text), other, got)
			}
		}
	}
}

func TestParse_ReadsWhatItUnderstandsAndRefusesTheRest(t *testing.T) {
	p, err := iam.Parse([]byte(`{"Version": "2012-10-17", "Statement": [{"Sid": "S", "Effect": "Allow", "Action": "s3:GetObject", "Resource": ["a", "b"]}]}`))
	if err != nil || !p.Allows(iam.Need{Action: "s3:GetObject", Resource: "b"}) {
		t.Errorf("read %+v: %v", p, err)
	}
	again, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := iam.Parse(again); err != nil {
		t.Errorf("what is written is not read: %v\n%s", err, again)
	}
	for document, want := range map[string]string{
		`{`: "unexpected EOF",
		`{"Version": "2008-10-17", "Statement": []}`:                                                                                                              `Version="2008-10-17"`,
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "NotAction": "a:b", "Resource": "*"}]}`:                                                      "NotAction",
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Permit", "Action": "a:b", "Resource": "*"}]}`:                                                        `Effect="Permit"`,
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "a:b"}]}`:                                                                          "want actions and resources",
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "a:b", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}`: `"Bool" is not supported`,
	} {
		if _, err := iam.Parse([]byte(document)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", document, err, want)
		}
	}
}

var site = iam.Site{Partition: "aws", Region: "eu-west-1", Account: "123456789012", Stream: "trips"}

func TestSite_KnowsWhatARequestNeeds(t *testing.T) {
	const (
		stream = "arn:aws:kinesis:eu-west-1:123456789012:stream/trips"
		other  = "arn:aws:kinesis:eu-west-1:210987654321:stream/other"
		table  = "arn:aws:dynamodb:eu-west-1:123456789012:table/t"
		lake   = "arn:aws:glue:eu-west-1:123456789012:"
		secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf"
		key    = "arn:aws:kms:eu-west-1:123456789012:key/k"
	)
	target := func(name string) http.Header { return http.Header{"X-Amz-Target": {name}} }
	encrypted := func(key string) http.Header {
		return http.Header{"X-Amz-Server-Side-Encryption": {"aws:kms"}, "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": {key}}
	}
	asCBOR := target("Kinesis_20131202.GetRecords")
	asCBOR.Set("Content-Type", "application/x-amz-cbor-1.1")
	for _, test := range []struct {
		service iam.Service
		request string // method and path
		header  http.Header
		body    string
		want    string // empty for none that is understood
	}{
		{iam.Kinesis, "POST /", target("Kinesis_20131202.ListShards"), `{"StreamName":"trips"}`, "kinesis:ListShards on " + stream},
		{iam.Kinesis, "POST /", target("Kinesis_20131202.ListShards"), `{"NextToken":"x"}`, "kinesis:ListShards on " + stream},
		{iam.Kinesis, "POST /", target("Kinesis_20131202.GetRecords"), `{"ShardIterator":"x"}`, "kinesis:GetRecords on " + stream},
		{iam.Kinesis, "POST /", asCBOR, string(cbor.Encode(cbor.Map{"ShardIterator": cbor.String("x")})), "kinesis:GetRecords on " + stream},
		{iam.Kinesis, "POST /", asCBOR, string(cbor.Encode(cbor.Map{"StreamARN": cbor.String(other)})), "kinesis:GetRecords on " + other},
		{iam.Kinesis, "POST /", target("Kinesis_20131202.SubscribeToShard"), `{"ConsumerARN":"` + other + `/consumer/c:1"}`,
			"kinesis:SubscribeToShard on " + other + "/consumer/c:1"},
		{iam.Kinesis, "POST /", target("Kinesis_20131202.DescribeStreamConsumer"), `{"StreamARN":"` + other + `","ConsumerName":"c"}`,
			"kinesis:DescribeStreamConsumer on " + other + "/consumer/c:0"},
		{iam.Kinesis, "POST /", target("Kinesis_20131202.RegisterStreamConsumer"), `{"StreamARN":"` + other + `","ConsumerName":"c"}`,
			"kinesis:RegisterStreamConsumer on " + other},
		{iam.Kinesis, "POST /", nil, `{}`, ""},
		{iam.Kinesis, "POST /", target("Kinesis_20131202.ListShards"), `no JSON`, ""},

		{iam.DynamoDB, "POST /", target("DynamoDB_20120810.Scan"), `{"TableName":"t"}`, "dynamodb:Scan on " + table},
		{iam.DynamoDB, "POST /", target("DynamoDB_20120810.Scan"), `{"TableName":"` + table + `"}`, "dynamodb:Scan on " + table},
		{iam.DynamoDB, "POST /", target("DynamoDB_20120810.CreateTable"), `{"TableName":"t","Tags":[{"Key":"a","Value":"b"}]}`,
			"dynamodb:CreateTable on " + table + ", dynamodb:TagResource on " + table},
		{iam.DynamoDB, "POST /", target("DynamoDB_20120810.TransactWriteItems"),
			`{"TransactItems":[{"Put":{"TableName":"t"}},{"Update":{"TableName":"t"}},{"Update":{"TableName":"t"}}]}`,
			"dynamodb:PutItem on " + table + ", dynamodb:UpdateItem on " + table},
		{iam.DynamoDB, "POST /", target("DynamoDB_20120810.BatchWriteItem"), `{"RequestItems":{"t":[]}}`, ""},

		{iam.Glue, "POST /", target("AWSGlue.GetSchemaVersion"), `{"SchemaVersionId":"x"}`, "glue:GetSchemaVersion on *"},
		{iam.Glue, "POST /", target("AWSGlue.GetDatabase"), `{"Name":"lake"}`, "glue:GetDatabase on " + lake + "catalog, glue:GetDatabase on " + lake + "database/lake"},
		{iam.Glue, "POST /", target("AWSGlue.CreateDatabase"), `{"DatabaseInput":{"Name":"lake"}}`,
			"glue:CreateDatabase on " + lake + "catalog, glue:CreateDatabase on " + lake + "database/lake"},
		{iam.Glue, "POST /", target("AWSGlue.GetTable"), `{"DatabaseName":"lake","Name":"trips"}`,
			"glue:GetTable on " + lake + "catalog, glue:GetTable on " + lake + "database/lake, glue:GetTable on " + lake + "table/lake/trips"},
		{iam.Glue, "POST /", target("AWSGlue.GetTableVersion"), `{"DatabaseName":"lake","TableName":"trips","VersionId":"1"}`,
			"glue:GetTableVersion on " + lake + "catalog, glue:GetTableVersion on " + lake + "database/lake, glue:GetTableVersion on " + lake + "table/lake/trips"},
		{iam.Glue, "POST /", target("AWSGlue.UpdateTable"), `{"DatabaseName":"lake","TableInput":{"Name":"trips"},"VersionId":"1"}`,
			"glue:UpdateTable on " + lake + "catalog, glue:UpdateTable on " + lake + "database/lake, glue:UpdateTable on " + lake + "table/lake/trips"},
		{iam.Glue, "POST /", target("AWSGlue.DeleteTable"), `{"DatabaseName":"lake","Name":"trips"}`, ""},

		{iam.Firehose, "POST /", target("Firehose_20150804.DescribeDeliveryStream"), `{"DeliveryStreamName":"trips"}`,
			"firehose:DescribeDeliveryStream on arn:aws:firehose:eu-west-1:123456789012:deliverystream/trips"},
		{iam.Firehose, "POST /", target("Firehose_20150804.DeleteDeliveryStream"), `{"DeliveryStreamName":"trips"}`, ""},
		{iam.Firehose, "POST /", nil, `{}`, ""},
		{iam.Firehose, "POST /", target("Firehose_20150804.DescribeDeliveryStream"), `no JSON`, ""},

		{iam.Secrets, "POST /", target("secretsmanager.GetSecretValue"), `{"SecretId":"` + secret + `"}`, "secretsmanager:GetSecretValue on " + secret},
		{iam.Secrets, "POST /", target("secretsmanager.GetSecretValue"), `{"SecretId":"db"}`, ""},
		{iam.Secrets, "POST /", target("secretsmanager.PutSecretValue"), `{"SecretId":"` + secret + `"}`, ""},
		{iam.Secrets, "POST /", nil, `{}`, ""},
		{iam.Secrets, "POST /", target("secretsmanager.GetSecretValue"), `no JSON`, ""},

		{iam.Lambda, "POST /2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Amask%3Alive/invocations", nil, `{}`,
			"lambda:InvokeFunction on arn:aws:lambda:eu-west-1:123456789012:function:mask:live"},
		{iam.Lambda, "POST /2015-03-31/functions/mask/invocations", nil, `{}`, ""},
		{iam.Lambda, "GET /2015-03-31/functions/arn:aws:lambda:eu-west-1:123456789012:function:mask/invocations", nil, ``, ""},
		{iam.Lambda, "POST /2015-03-31/functions/arn:aws:lambda:eu-west-1:123456789012:function:mask/aliases", nil, ``, ""},

		{iam.S3, "HEAD /b", nil, "", "s3:ListBucket on arn:aws:s3:::b"},
		{iam.S3, "GET /b?list-type=2&prefix=x", nil, "", "s3:ListBucket on arn:aws:s3:::b"},
		{iam.S3, "GET /b?versioning", nil, "", ""},
		{iam.S3, "DELETE /b", nil, "", ""},
		{iam.S3, "HEAD /b/a/k%2A", nil, "", "s3:GetObject on arn:aws:s3:::b/a/k*"},
		{iam.S3, "GET /b/k", nil, "", "s3:GetObject on arn:aws:s3:::b/k"},
		{iam.S3, "GET /b/k?uploadId=u", nil, "", "s3:ListMultipartUploadParts on arn:aws:s3:::b/k"},
		{iam.S3, "PUT /b/k", nil, "", "s3:PutObject on arn:aws:s3:::b/k"},
		{iam.S3, "PUT /b/k", encrypted(key), "", "s3:PutObject on arn:aws:s3:::b/k, kms:GenerateDataKey on " + key},
		{iam.S3, "PUT /b/k", encrypted(""), "", "s3:PutObject on arn:aws:s3:::b/k"},
		{iam.S3, "PUT /b/k", http.Header{"If-Match": {"e"}}, "", "s3:PutObject on arn:aws:s3:::b/k, s3:GetObject on arn:aws:s3:::b/k"},
		{iam.S3, "PUT /b/k", http.Header{"X-Amz-Copy-Source": {"b/o"}}, "", ""},
		{iam.S3, "PUT /b/k?partNumber=1&uploadId=u", nil, "", "s3:PutObject on arn:aws:s3:::b/k"},
		{iam.S3, "POST /b/k?uploads", nil, "", "s3:PutObject on arn:aws:s3:::b/k"},
		{iam.S3, "POST /b/k?uploads=", encrypted("k"), "", "s3:PutObject on arn:aws:s3:::b/k, kms:GenerateDataKey on " + key + ", kms:Decrypt on " + key},
		{iam.S3, "POST /b/k?uploadId=u", nil, "", "s3:PutObject on arn:aws:s3:::b/k"},
		{iam.S3, "POST /b/k?select", nil, "", ""},
		{iam.S3, "DELETE /b/k", nil, "", "s3:DeleteObject on arn:aws:s3:::b/k"},
		{iam.S3, "DELETE /b/k?uploadId=u", nil, "", "s3:AbortMultipartUpload on arn:aws:s3:::b/k"},
	} {
		method, path, _ := strings.Cut(test.request, " ")
		r := httptest.NewRequest(method, path, nil)
		if test.header != nil {
			r.Header = test.header
		}
		needs, err := site.Needs(test.service, r, []byte(test.body))
		var got []string
		for _, n := range needs {
			got = append(got, fmt.Sprint(n))
		}
		if strings.Join(got, ", ") != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%s %s %v %s: got %q and error %v, want %q", test.service, test.request, test.header, test.body, got, err, test.want)
		}
	}
}

func TestSite_KnowsKeysByTheirAliases(t *testing.T) {
	for _, name := range []string{"alias/a", "arn:aws:kms:eu-west-1:123456789012:alias/a"} {
		n := site.Key("kms:Decrypt", name)
		if !strings.HasPrefix(n.Resource, "arn:aws:kms:eu-west-1:123456789012:key/") || n.Context["kms:ResourceAliases"][0] != "alias/a" {
			t.Errorf("%s: %+v", name, n)
		}
	}
}

// Clients of AWS see the refusals of AWS, and only who may list a bucket is told that an object is missing.
func TestGuard_RefusesAsAWSDoes(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/missing") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprint(w, `{"Shards":[]}`)
	}))
	defer backend.Close()
	to, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	account := aws.Config{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	in := policy()
	saw := 0
	guard := func(service iam.Service) *string {
		g := httptest.NewServer(&iam.Guard{Service: service, Backend: to, Site: site, Policy: func() iam.Policy { return in }, Saw: func([]iam.Need, bool) { saw++ }})
		t.Cleanup(g.Close)
		return &g.URL
	}
	stream := kinesis.NewFromConfig(account, func(o *kinesis.Options) { o.BaseEndpoint = guard(iam.Kinesis) })
	bucket := s3.NewFromConfig(account, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = guard(iam.S3), true })
	list := func() error {
		_, err := stream.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("trips")})
		return err
	}
	get := func(key string) error {
		_, err := bucket.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("b"), Key: &key})
		return err
	}
	wantCode := func(what string, err error, code string) {
		t.Helper()
		got := ""
		if api, ok := errors.AsType[smithy.APIError](err); ok {
			got = api.ErrorCode()
		}
		if got != code || (err == nil) != (code == "") {
			t.Errorf("%s: got %v, want %q", what, err, code)
		}
	}
	wantCode("list", list(), "AccessDeniedException")
	wantCode("get", get("k"), "AccessDenied")
	in = policy(allow("kinesis:ListShards", "arn:aws:kinesis:*:*:stream/trips"), allow("s3:GetObject", "arn:aws:s3:::b/*"))
	wantCode("list when it is allowed", list(), "")
	wantCode("get when it is allowed", get("k"), "")
	wantCode("get what is missing", get("missing"), "Forbidden")
	in.Statement = append(in.Statement, allow("s3:ListBucket", "arn:aws:s3:::b"))
	wantCode("get what is missing, when listing is allowed", get("missing"), "NotFound")
	if saw == 0 {
		t.Error("nobody was told")
	}
}
