package infra_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/consumer/transform/function"
	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/internal/test/lambdatest"
	"aws-streaming-pipeline/operate/policy"
	"aws-streaming-pipeline/producer"
)

// grant is a statement of a role's policy.
type grant struct {
	sid       string
	actions   []string
	resources []any
}

// grants lists what a role is allowed, including statements under a condition of the template.
func grants(t *testing.T, r resource) []grant {
	t.Helper()
	if r.properties["ManagedPolicyArns"] != nil {
		t.Error("managed policies allow more than the code calls")
	}
	var all []grant
	for _, policy := range list(r.properties["Policies"]) {
		for _, s := range list(asNode(asNode(policy)["PolicyDocument"])["Statement"]) {
			statement := s.(node)
			if choice, ok := statement["Fn::If"]; ok {
				statement = choice.([]any)[1].(node)
			}
			if statement["Effect"] != "Allow" || statement["NotAction"] != nil || statement["NotResource"] != nil {
				t.Errorf("statement %v is not a plain permission", statement["Sid"])
			}
			g := grant{resources: list(statement["Resource"])}
			g.sid, _ = statement["Sid"].(string)
			for _, action := range list(statement["Action"]) {
				g.actions = append(g.actions, action.(string))
			}
			all = append(all, g)
		}
	}
	return all
}

// text is a resource of a statement on one line.
func text(resource any) string { return fmt.Sprint(resource) }

func TestPolicies_NameActionsPurposeAndResources(t *testing.T) {
	count := 0
	for _, tpl := range loadAll(t) {
		for _, id := range tpl.ofKind("AWS::IAM::Role") {
			r := tpl.resources[id]
			reasons := maps.Clone(asNode(r.metadata["AnyResource"]))
			for _, g := range grants(t, r) {
				count++
				if g.sid == "" {
					t.Errorf("%s: a statement of %s does not name its purpose", tpl.name, id)
				}
				for _, action := range g.actions {
					if strings.ContainsAny(action, "*?") {
						t.Errorf("%s: %s allows %s", tpl.name, id, action)
					}
				}
				for _, on := range g.resources {
					if on != "*" {
						continue
					}
					if reason, _ := reasons[g.sid].(string); len(strings.Fields(reason)) < 3 {
						t.Errorf("%s: %s allows %s on everything, and AnyResource does not say why", tpl.name, id, g.sid)
					}
					delete(reasons, g.sid)
				}
			}
			for sid := range reasons {
				t.Errorf("%s: AnyResource of %s gives a reason for %s, which needs none", tpl.name, id, sid)
			}
		}
	}
	if count < 20 {
		t.Errorf("looked at %d statements", count)
	}
}

// Who may assume a role: one service, for this account if the service says on whose behalf it asks.
func TestRoles_AreTakenOnByOneService(t *testing.T) {
	for _, tpl := range loadAll(t) {
		for _, id := range tpl.ofKind("AWS::IAM::Role") {
			statements := list(asNode(tpl.resources[id].properties["AssumeRolePolicyDocument"])["Statement"])
			if len(statements) != 1 {
				t.Fatalf("%s: %s trusts %v", tpl.name, id, statements)
			}
			s := statements[0].(node)
			service, _ := asNode(s["Principal"])["Service"].(string)
			// Lambda's trust policy has no condition in the AWS Lambda Developer Guide, "Defining Lambda function
			// permissions with an execution role": somebody with iam:PassRole passes the role to it.
			if !strings.HasSuffix(service, ".amazonaws.com") || s["Condition"] == nil && service != "lambda.amazonaws.com" {
				t.Errorf("%s: %s trusts %v under %v", tpl.name, id, s["Principal"], s["Condition"])
			}
		}
	}
}

// pollStream is what Lambda needs to read a stream for a function, and to keep the records it gives up (AWS Lambda
// Developer Guide, "Using Lambda to process records from Amazon Kinesis Data Streams"). ListStreams, which has no
// resources, is for the console.
var pollStream = []string{
	"kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards",
}

func TestFunctionRoles_AllowWhatTheCodeCalls(t *testing.T) {
	tpl := load(t, "stream")
	permissions := lambdatest.Permissions()
	for role, function := range map[string]string{"WriteToS3Role": "write-to-s3", "SendToFirehoseRole": "send-to-firehose", "ScaleStreamRole": "scale-stream"} {
		want := []string{"logs:CreateLogStream", "logs:PutLogEvents"}
		if function != "scale-stream" {
			want = append(want, pollStream...)
			want = append(want, "s3:ListBucket", "s3:PutObject")
		}
		for _, p := range permissions[function] {
			want = append(want, p.Action)
		}
		sameActions(t, role, actions(t, tpl.resources[role]), want)
		for _, p := range permissions[function] {
			if !allowed(t, tpl.resources[role], p.Action, patternOf(t, p.On, function)) {
				t.Errorf("%s does not allow %s on %s", role, p.Action, p.On)
			}
		}
	}
}

// patternOf is how the template writes a resource that the functions' permissions name.
func patternOf(t *testing.T, on lambdatest.Resource, function string) string {
	t.Helper()
	switch on {
	case lambdatest.Any:
		return "*"
	case lambdatest.DataObjects:
		return "${Bucket}/context=write_to_s3/*"
	case lambdatest.ErrorObjects:
		return "${Bucket}/errors/" + strings.ReplaceAll(function, "-", "_") + "/*"
	case lambdatest.DeliveryStream:
		return "[DeliveryStream Arn]"
	case lambdatest.ScaledStream:
		return "[Stream Arn]"
	}
	t.Fatalf("a permission is on %q, which this test does not know", on)
	return ""
}

func allowed(t *testing.T, r resource, action, on string) bool {
	t.Helper()
	for _, g := range grants(t, r) {
		if slices.Contains(g.actions, action) && slices.ContainsFunc(g.resources, func(of any) bool { return strings.Contains(text(of), on) }) {
			return true
		}
	}
	return false
}

// The functions write their error records where they are allowed to.
func TestFunctions_WriteErrorsWhereTheyMay(t *testing.T) {
	tpl := load(t, "stream")
	for id, role := range map[string]string{"WriteToS3Function": "WriteToS3Role", "SendToFirehoseFunction": "SendToFirehoseRole"} {
		prefix, _ := asNode(asNode(tpl.resources[id].properties["Environment"])["Variables"])["ERROR_PREFIX"].(string)
		fixed, _, found := strings.Cut(prefix, "!{")
		if !found || !allowed(t, tpl.resources[role], "s3:PutObject", "${Bucket}/"+fixed+"*") {
			t.Errorf("%s writes to %s, where %s lets nobody", id, prefix, role)
		}
	}
}

// The policy that the daemon prints matches the calls of its code, over all settings.
func TestPolicy_IsWhatTheDaemonCalls(t *testing.T) {
	want := actionsOf("kinesis", methods(reflect.TypeFor[consumer.Kinesis]()))
	for _, call := range calls(t, "../writers/s3sink", reflect.TypeFor[*s3.Client]()) {
		want = append(want, s3Actions[call]...)
		if s3Actions[call] == nil {
			t.Errorf("s3sink calls %s, of which this test does not know the action", call)
		}
	}
	for _, call := range calls(t, "../checkpoint/dynamo", reflect.TypeFor[*dynamodb.Client]()) {
		switch call {
		case "TransactWriteItems":
			want = append(want, "dynamodb:PutItem", "dynamodb:UpdateItem")
		case "DescribeContinuousBackups": // only consumer validate asks, and says nothing if it may not
		default:
			want = append(want, "dynamodb:"+call)
		}
	}
	want = append(want, "s3:DeleteObject") // of the lists that batches of very many files have
	cfg := consumer.Defaults()
	want = append(want, "glue:GetSchemaVersion")                 // record/registry
	want = append(want, "glue:GetTable", "glue:GetTableVersion") // record/catalog
	cfg.Stream, cfg.Bucket, cfg.Schema, cfg.SchemaRegistry = "trips", "out", "s3://deploy/schema/trips.json", "glue"
	want = append(want, actionsOf("lambda", lambdaActions(methods(reflect.TypeFor[function.Client]())))...)
	cfg.Transform = "lambda:arn:aws:lambda:eu-west-1:123456789012:function:mask"
	got := policy.Daemon(&cfg, policy.Place{}).Actions()
	cfg.FanOutConsumer = "push"
	for _, cfg.Schema = range []string{"glue://lake/trips", "glue://lake/trips?version=7"} {
		got = append(got, policy.Daemon(&cfg, policy.Place{}).Actions()...)
	}
	sameActions(t, "consumer policy", got, want)
}

// The role of the task allows what the policies for the settings of daemon and loader allow, with and without fan-out and
// for each kind of table, and no other action.
func TestConsumerRole_AllowsWhatItsProgramsCall(t *testing.T) {
	tpl := load(t, "consumer-ecs")
	const stream = "arn:aws:kinesis:eu-west-1:123456789012:stream/streaming-pipeline-dev"
	values := map[string]string{
		"Project": "streaming-pipeline", "Stage": "dev", "ManifestPrefix": "manifests/", "FanOut": "ENABLED", "SchemaRegistry": "glue",
		"Transform":                                  "lambda:arn:aws:lambda:eu-west-1:123456789012:function:mask:live",
		"streaming-pipeline-dev-StreamArn":           stream,
		"streaming-pipeline-dev-OutputBucketArn":     "arn:aws:s3:::output",
		"streaming-pipeline-dev-DeploymentBucketArn": "arn:aws:s3:::deployment",
		"CheckpointTable.Arn":                        "arn:aws:dynamodb:eu-west-1:123456789012:table/checkpoints",
		"FanOutConsumer.ConsumerARN":                 stream + "/consumer/consumer:1",
		"MetricsLogGroup.Arn":                        "arn:aws:logs:eu-west-1:123456789012:log-group:metrics:*",
		"AWS::Partition":                             "aws", "AWS::Region": "eu-west-1", "AWS::AccountId": "123456789012",
	}
	env := environment(container(t, tpl, "ConsumerTask", "consumer"))
	if env["CHECKPOINT_TABLE_CREATE"] != "false" {
		t.Error("the daemon would make a table, which it is not allowed to")
	}
	if named := text(env["FAN_OUT_CONSUMER"]); !strings.Contains(named, "FanOutConsumer.ConsumerARN") && !strings.Contains(named, "FanOutConsumer ConsumerARN") {
		t.Errorf("FAN_OUT_CONSUMER is %s, not the ARN of the consumer that the stack registers", named)
	}
	place := policy.Place{Region: "eu-west-1", Account: "123456789012"}
	const (
		secret   = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf"
		database = "postgres://db.example.com/lake/trips"
	)
	for _, table := range []struct{ uri, location, secret, auth, user, schema string }{
		{}, {schema: "glue://raw/trips"}, {schema: "glue://raw/trips?case=exact"}, {uri: "glue://lake/trips", schema: "glue://raw/trips?version=7&case=exact"}, {uri: "glue://lake/trips"}, {uri: "glue://lake/trips", location: "s3://warehouse/lake/trips"}, {uri: "s3://warehouse/lake/trips"},
		{uri: "rest://catalog.example/v1/lake.trips", location: "s3://warehouse/lake/trips"},
		{uri: database, secret: secret}, {uri: database, auth: "iam", user: "loader"}, {uri: "glue://lake/trips," + database, secret: secret},
		{uri: "s3://warehouse/lake/trips," + database, secret: secret, auth: "iam"},
	} {
		values["Table"], values["TableLocation"], values["DatabaseResourceId"] = table.uri, table.location, ""
		values["Schema"] = cmp.Or(table.schema, "s3://deployment/schema/trips.json")
		values["PostgresSecret"], values["PostgresAuth"], values["PostgresUser"] = table.secret, cmp.Or(table.auth, "password"), table.user
		role := inForce(t, tpl, "ConsumerRole", values)
		cfg := consumer.Defaults()
		cfg.Stream, cfg.Bucket, cfg.CheckpointTable, cfg.CheckpointCreate = "streaming-pipeline-dev", "output", "checkpoints", false
		cfg.Schema, cfg.SchemaRegistry, cfg.TableConfig.Table, cfg.TableLocation = values["Schema"], "glue", table.uri, table.location
		cfg.Transform = values["Transform"]
		cfg.PostgresSecret, cfg.PostgresAuth, cfg.PostgresUser = values["PostgresSecret"], values["PostgresAuth"], values["PostgresUser"]
		// The collector's, for awsemf (AWS Distro for OpenTelemetry, "Setting permissions").
		want := []string{"logs:CreateLogStream", "logs:PutLogEvents"}
		var needed []iam.Policy
		for _, cfg.FanOutConsumer = range []string{"", values["FanOutConsumer.ConsumerARN"]} { // fan-out off and on
			needed = append(needed, policy.Daemon(&cfg, place))
		}
		if table.schema != "" { // the role is the same whether or not a version is named
			for _, cfg.Schema = range []string{"glue://raw/trips", "glue://raw/trips?version=7", "s3://deployment/schema/trips.json"} {
				needed = append(needed, policy.Daemon(&cfg, place))
			}
		}
		if table.uri != "" {
			loader, err := policy.Loader(&cfg, place)
			if err != nil {
				t.Fatal(err)
			}
			needed = append(needed, loader)
		}
		for _, p := range needed {
			want = append(want, p.Actions()...)
			for _, s := range p.Statement {
				for _, action := range s.Action {
					for _, r := range s.Resource {
						if need := (iam.Need{Action: action, Resource: strings.ReplaceAll(r, "*", "anything")}); !role.Allows(need) {
							t.Errorf("table %q: the role does not allow %s, which is for %s", table.uri, need, s.Sid)
						}
					}
				}
			}
		}
		sameActions(t, "ConsumerRole with table "+table.uri, role.Actions(), want)
		others := []string{
			"arn:aws:glue:eu-west-1:123456789012:table/lake/fares", "arn:aws:glue:eu-west-1:123456789012:table/raw/fares", "arn:aws:s3:::warehouse/lake/fares/metadata/v1.metadata.json",
			"arn:aws:lambda:eu-west-1:123456789012:function:mask", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:other-AbCdEf", "arn:aws:rds-db:us-east-1:123456789012:dbuser:db-1/loader",
		}
		if table.user != "" {
			others = append(others, "arn:aws:rds-db:eu-west-1:123456789012:dbuser:db-1/admin")
		}
		for _, other := range others {
			for _, action := range []string{"glue:GetTable", "glue:UpdateTable", "s3:PutObject", "secretsmanager:GetSecretValue", "rds-db:connect", "lambda:InvokeFunction"} {
				if role.Allows(iam.Need{Action: action, Resource: other}) {
					t.Errorf("table %q: the role allows %s on %s", table.uri, action, other)
				}
			}
		}
	}
}

// Tasks reach the database at its port: in its security group if one is named, and otherwise at private addresses. Without a
// database they reach AWS alone.
func TestSecurityGroup_LetsOutToTheDatabase(t *testing.T) {
	tpl := load(t, "consumer-ecs")
	for _, c := range []struct {
		table, group string
		want         []string
	}{
		{"", "", nil},
		{"glue://lake/trips", "sg-1", nil},
		{"postgres://db.example.com/lake/trips", "sg-1", []string{"5432 sg-1"}},
		{"glue://lake/trips,postgres://db.example.com/lake/trips", "", []string{"5432 10.0.0.0/8", "5432 172.16.0.0/12", "5432 192.168.0.0/16", "5432 100.64.0.0/10"}},
	} {
		values := map[string]string{"Table": c.table, "DatabaseSecurityGroup": c.group, "DatabasePort": "5432"}
		var got []string
		for _, rule := range list(tpl.resources["SecurityGroup"].properties["SecurityGroupEgress"]) {
			if choice := list(asNode(rule)["Fn::If"]); len(choice) == 3 {
				if !holds(t, node{"Condition": choice[0]}, values) {
					continue
				}
				rule = choice[1]
			}
			r := asNode(rule)
			if r["IpProtocol"] != "tcp" || !reflect.DeepEqual(r["FromPort"], r["ToPort"]) {
				t.Errorf("rule %v is not one port", r)
			}
			to := r["CidrIp"]
			if to == nil {
				to = resolve(t, r["DestinationSecurityGroupId"], values)
			}
			got = append(got, resolve(t, r["FromPort"], values)+" "+text(to))
		}
		if want := append([]string{"443 0.0.0.0/0"}, c.want...); !slices.Equal(got, want) {
			t.Errorf("table %q, group %q: tasks reach %q, want %q", c.table, c.group, got, want)
		}
	}
}

// inForce returns what a role is allowed if the parameters have these values.
func inForce(t *testing.T, tpl template, role string, values map[string]string) iam.Policy {
	t.Helper()
	p := iam.Policy{Version: iam.Version}
	for _, document := range list(tpl.resources[role].properties["Policies"]) {
		for _, statement := range list(asNode(asNode(document)["PolicyDocument"])["Statement"]) {
			choice := list(asNode(statement)["Fn::If"])
			if len(choice) == 3 {
				if !holds(t, tpl.conditions[text(choice[0])], values) {
					continue
				}
				statement = choice[1]
			}
			s := iam.Statement{Sid: text(asNode(statement)["Sid"]), Effect: iam.Allow}
			for _, action := range list(asNode(statement)["Action"]) {
				s.Action = append(s.Action, text(action))
			}
			for _, r := range list(asNode(statement)["Resource"]) {
				s.Resource = append(s.Resource, resolve(t, r, values))
			}
			p.Statement = append(p.Statement, s)
		}
	}
	return p
}

// holds reports whether a condition of a template holds.
func holds(t *testing.T, condition node, values map[string]string) bool {
	t.Helper()
	if not := list(condition["Fn::Not"]); len(not) == 1 && not[0] != nil {
		return !holds(t, asNode(not[0]), values)
	}
	if all := list(condition["Fn::And"]); len(all) == 2 {
		return holds(t, asNode(all[0]), values) && holds(t, asNode(all[1]), values)
	}
	if name, ok := condition["Condition"].(string); ok {
		return holds(t, load(t, "consumer-ecs").conditions[name], values)
	}
	pair := list(condition["Fn::Equals"])
	if len(pair) != 2 {
		t.Fatalf("the test does not know what %v means", condition)
	}
	return resolve(t, pair[0], values) == resolve(t, pair[1], values)
}

// resolve returns a text of a template with the values of what it refers to.
func resolve(t *testing.T, v any, values map[string]string) string {
	t.Helper()
	find := func(name string) string {
		value, known := values[name]
		if !known {
			t.Errorf("the test does not know %s", name)
		}
		return value
	}
	n, ok := v.(node)
	if !ok {
		return text(v)
	}
	switch {
	case n["Ref"] != nil:
		return find(text(n["Ref"]))
	case n["Fn::ImportValue"] != nil:
		return find(resolve(t, n["Fn::ImportValue"], values))
	case n["Fn::GetAtt"] != nil:
		var parts []string
		for _, p := range list(n["Fn::GetAtt"]) {
			parts = append(parts, text(p))
		}
		return find(strings.Join(parts, "."))
	case n["Fn::Sub"] != nil:
		args := list(n["Fn::Sub"])
		known := maps.Clone(values)
		if len(args) > 1 {
			for name, value := range asNode(args[1]) {
				known[name] = resolve(t, value, values)
			}
		}
		return os.Expand(text(args[0]), func(name string) string {
			value, is := known[name]
			if !is {
				t.Errorf("the test does not know %s", name)
			}
			return value
		})
	case n["Fn::If"] != nil:
		choice := list(n["Fn::If"])
		if holds(t, node{"Condition": choice[0]}, values) {
			return resolve(t, choice[1], values)
		}
		return resolve(t, choice[2], values)
	case n["Fn::Join"] != nil:
		arguments := list(n["Fn::Join"])
		split := list(asNode(arguments[1])["Fn::Split"])
		return strings.ReplaceAll(resolve(t, split[1], values), text(split[0]), text(arguments[0]))
	case n["Fn::Select"] != nil:
		arguments := list(n["Fn::Select"])
		split := list(asNode(arguments[1])["Fn::Split"])
		parts := strings.Split(resolve(t, split[1], values), text(split[0]))
		i := number(t, arguments[0])
		if i >= len(parts) { // CloudFormation refuses the template
			t.Fatalf("%v has no part %d", parts, i)
		}
		return parts[i]
	}
	t.Fatalf("the test does not know what %v is", v)
	return ""
}

// The transactions hold no writes of other kinds, whose actions the role would need.
func TestTransactions_PutAndUpdateOnly(t *testing.T) {
	kinds := make(map[string]bool)
	for _, file := range sources(t, "../checkpoint/dynamo") {
		ast.Inspect(file, func(n ast.Node) bool {
			if pair, ok := n.(*ast.KeyValueExpr); ok {
				if key, ok := pair.Key.(*ast.Ident); ok && slices.Contains([]string{"Put", "Update", "Delete", "ConditionCheck"}, key.Name) {
					kinds[key.Name] = true
				}
			}
			return true
		})
	}
	if got := slices.Sorted(maps.Keys(kinds)); !slices.Equal(got, []string{"Put", "Update"}) {
		t.Errorf("transactions hold %v", got)
	}
}

// lambdaActions returns the actions of calls (AWS Lambda API Reference, "Invoke": "This operation requires permission for the
// lambda:InvokeFunction action").
func lambdaActions(calls []string) (actions []string) {
	for _, call := range calls {
		actions = append(actions, call+"Function")
	}
	return actions
}

// s3Actions are the actions that calls need (Amazon S3 User Guide, "Required permissions for Amazon S3 API operations").
var s3Actions = map[string][]string{
	"CreateMultipartUpload":   {"s3:PutObject"},
	"UploadPart":              {"s3:PutObject"},
	"CompleteMultipartUpload": {"s3:PutObject"},
	"AbortMultipartUpload":    {"s3:AbortMultipartUpload"},
	"ListParts":               {"s3:ListMultipartUploadParts"},
	"PutObject":               {"s3:PutObject"},
	"GetObject":               {"s3:GetObject"},
	"DeleteObject":            {"s3:DeleteObject"},
	"HeadObject":              {"s3:GetObject"},
	"HeadBucket":              {"s3:ListBucket"},
	"ListObjectsV2":           {"s3:ListBucket"},
}

func TestProducerRole_AllowsWhatTheProducerCalls(t *testing.T) {
	sameActions(t, "ProducerRole", actions(t, load(t, "consumer-ecs").resources["ProducerRole"]),
		actionsOf("kinesis", methods(reflect.TypeFor[producer.Client]())))
	sameActions(t, "consumer policy --producer", policy.Producer(&consumer.Config{}, policy.Place{}).Actions(),
		actionsOf("kinesis", methods(reflect.TypeFor[producer.Client]())))
}

// Roles of AWS's own code allow the calls that AWS documents: Amazon Data Firehose Developer Guide, "Grant Firehose
// access to an Amazon S3 destination", and Amazon ECS Developer Guide, "Amazon ECS task execution IAM role".
func TestServiceRoles_AllowWhatAWSDocuments(t *testing.T) {
	sameActions(t, "FirehoseRole", actions(t, load(t, "stream").resources["FirehoseRole"]), []string{
		"logs:PutLogEvents", "s3:AbortMultipartUpload", "s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket",
		"s3:ListBucketMultipartUploads", "s3:PutObject",
	})
	sameActions(t, "ExecutionRole", actions(t, load(t, "consumer-ecs").resources["ExecutionRole"]), []string{
		"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetAuthorizationToken", "ecr:GetDownloadUrlForLayer",
		"logs:CreateLogStream", "logs:PutLogEvents", "secretsmanager:GetSecretValue",
	})
}

// The tests above cover every role.
func TestRoles_AreAllHeldToTheirCode(t *testing.T) {
	var roles []string
	for _, tpl := range loadAll(t) {
		roles = append(roles, tpl.ofKind("AWS::IAM::Role")...)
	}
	slices.Sort(roles)
	want := []string{"ConsumerRole", "ExecutionRole", "FirehoseRole", "ProducerRole", "ScaleStreamRole", "SendToFirehoseRole", "WriteToS3Role"}
	if !slices.Equal(roles, want) {
		t.Errorf("the roles are %v, the tests know %v", roles, want)
	}
}

func actions(t *testing.T, r resource) []string {
	t.Helper()
	var all []string
	for _, g := range grants(t, r) {
		all = append(all, g.actions...)
	}
	return all
}

func sameActions(t *testing.T, role string, got, want []string) {
	t.Helper()
	tidy := func(list []string) []string {
		list = slices.Clone(list)
		slices.Sort(list)
		return slices.Compact(list)
	}
	if got, want := tidy(got), tidy(want); !slices.Equal(got, want) {
		t.Errorf("%s allows\n  %v\nand the code needs\n  %v", role, got, want)
	}
}

func actionsOf(service string, names []string) []string {
	var all []string
	for _, name := range names {
		all = append(all, service+":"+name)
	}
	return all
}

func methods(of reflect.Type) []string {
	var names []string
	for m := range of.Methods() {
		names = append(names, m.Name)
	}
	return names
}

// calls lists the API calls that a package makes with a client, by the names of its methods.
func calls(t *testing.T, folder string, client reflect.Type) []string {
	t.Helper()
	known := make(map[string]bool)
	for _, name := range methods(client) {
		known[name] = name != "Options"
	}
	found := make(map[string]bool)
	for _, file := range sources(t, folder) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if s, ok := call.Fun.(*ast.SelectorExpr); ok && known[s.Sel.Name] {
				found[s.Sel.Name] = true
			}
			return true
		})
	}
	if len(found) == 0 {
		t.Fatalf("%s calls nothing", folder)
	}
	return slices.Sorted(maps.Keys(found))
}
