package main_test

import (
	archive "archive/zip"
	"bytes"
	"compress/gzip"
	bigendian "encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	gluetypes "github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/golang/snappy"

	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/internal/test/emulator"
)

// firehoses are descriptions for which the stream and the bucket are those of the surroundings.
const firehoses = "../../operate/firehose/testdata/"

// variables returns what a shell makes of the output of import firehose.
func variables(t *testing.T, output string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "firehose.env")
	if err := os.WriteFile(file, []byte(output), 0o600); err != nil {
		t.Fatal(err)
	}
	shell := exec.CommandContext(t.Context(), "/bin/sh", "-c", `set -a; . "$0"; exec env -0`, file)
	shell.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := shell.Output()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		// The surroundings are in another region, and the test does not wait for minutes.
		return slices.Contains([]string{"PATH", "PWD", "SHLVL", "_", "OLDPWD", "AWS_REGION", "COMMIT_INTERVAL"}, name)
	})
}

// object is an object of the bucket, with its bytes as a reader of its encoding sees them.
type object struct{ key, encoding, body string }

// objects returns the objects that are not manifests.
func (s *surroundings) objects() (list []object) {
	s.t.Helper()
	page, err := s.s3.ListObjectsV2(s.t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucketName)})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, o := range page.Contents {
		if strings.HasPrefix(*o.Key, "manifests/") {
			continue
		}
		got, err := s.s3.GetObject(s.t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: o.Key})
		if err != nil {
			s.t.Fatal(err)
		}
		raw, err := io.ReadAll(got.Body)
		if err != nil {
			s.t.Fatal(err)
		}
		body, err := decoded(aws.ToString(got.ContentEncoding), raw)
		if err != nil {
			s.t.Fatalf("%s: %v", *o.Key, err)
		}
		list = append(list, object{*o.Key, aws.ToString(got.ContentEncoding), string(body)})
	}
	return list
}

// decoded reads the encodings of Firehose.
func decoded(encoding string, raw []byte) ([]byte, error) {
	switch encoding {
	case "":
		return raw, nil
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(z)
	case "zip": // one entry
		z, err := archive.NewReader(bytes.NewReader(raw), int64(len(raw)))
		if err != nil || len(z.File) != 1 {
			return nil, fmt.Errorf("%d entries, %w", len(z.File), err)
		}
		entry, err := z.File[0].Open()
		if err != nil {
			return nil, err
		}
		return io.ReadAll(entry)
	case "snappy-java": // a header of 16 bytes, then blocks after their length (xerial/snappy-java, SnappyOutputStream)
		if !bytes.HasPrefix(raw, []byte("\x82SNAPPY\x00")) || len(raw) < 16 {
			return nil, errors.New("no header of snappy-java")
		}
		return blocks(raw[16:], 0)
	case "hadoop-snappy": // blocks after their length and that of their content (Apache Hadoop, BlockCompressorStream)
		return blocks(raw, 4)
	}
	return nil, fmt.Errorf("encoding %q is not one of Firehose's", encoding)
}

// blocks reads blocks of Snappy, each after a length, which comes after so many bytes.
func blocks(raw []byte, before int) (out []byte, err error) {
	for len(raw) > 0 {
		if len(raw) < before+4 {
			return nil, io.ErrUnexpectedEOF
		}
		n := int(bigendian.BigEndian.Uint32(raw[before:]))
		raw = raw[before+4:]
		if len(raw) < n {
			return nil, io.ErrUnexpectedEOF
		}
		block, err := snappy.Decode(nil, raw[:n])
		if err != nil {
			return nil, err
		}
		out, raw = append(out, block...), raw[n:]
	}
	return out, nil
}

// wanted are the objects that a Firehose stream with a description would make of some payloads.
type wanted struct {
	description string
	resource    string
	payloads    []string
	objects     []object // with YYYY, MM, DD, HH and RANDOM in the key, and * for the stream, the time and the id; a body after ~ is a part
	zone        string
}

// ending is what follows the prefix in Firehose's keys (Amazon Data Firehose Developer Guide, "Configure Amazon S3 object name
// format"), before the extension.
const ending = `trips-1-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-[0-9a-z-]+`

// check says how the objects differ from those that are wanted. Records arrived between two times.
func (w *wanted) check(t *testing.T, got []object, from, to time.Time) error {
	t.Helper()
	zone, err := time.LoadLocation(w.zone)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(w.objects) {
		return fmt.Errorf("%d objects, want %d: %+v", len(got), len(w.objects), got)
	}
	left := slices.Clone(got)
	for _, o := range w.objects {
		prefix, extension, _ := strings.Cut(o.key, "*")
		i := slices.IndexFunc(left, func(g object) bool {
			for _, at := range []time.Time{from, to} { // an hour may end in between
				at = at.In(zone)
				evaluated := strings.NewReplacer("YYYY", at.Format("2006"), "MM", at.Format("01"), "DD", at.Format("02"), "HH", at.Format("15"), "RANDOM", "[0-9A-Za-z]{11}").
					Replace(regexp.QuoteMeta(prefix))
				if regexp.MustCompile("^" + evaluated + ending + regexp.QuoteMeta(extension) + "$").MatchString(g.key) {
					return g.encoding == o.encoding && (g.body == o.body || strings.HasPrefix(o.body, "~") && strings.Contains(g.body, o.body[1:]))
				}
			}
			return false
		})
		if i < 0 {
			return fmt.Errorf("no object is %+v: %+v", o, left)
		}
		left = slices.Delete(left, i, i+1)
	}
	return nil
}

// gzipped compresses a payload.
func gzipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.String()
}

// A daemon with imported settings makes the keys and the bytes that the description says. What one description makes is not what
// another one does.
func TestImportFirehose_DeliversWhatTheDescriptionSays(t *testing.T) {
	t.Parallel()
	const envelope = `{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"g","logStream":"s","subscriptionFilters":["f"],"logEvents":[` +
		`{"id":"0","timestamp":1,"message":"first \"line\""},{"id":"1","timestamp":2,"message":"second"}]}`
	rows := []wanted{
		{"defaults.json", "", []string{`{"n":1}`, "no JSON\n", `{"n":2}`}, []object{{"YYYY/MM/DD/HH/*", "", `{"n":1}` + "no JSON\n" + `{"n":2}`}}, ""},
		{"plain-destination.json", "", []string{`{"n":1}`, `{"n":2}`}, []object{{"legacyYYYY/MM/DD/HH/*.zip", "zip", `{"n":1}{"n":2}`}}, ""},
		{"time-zone.json", "", []string{`{"n":1}`}, []object{{"trips/dt=YYYY-MM-DD/hour=HH/*.json.gz", "gzip", `{"n":1}`}}, "Europe/Lisbon"},
		{"error-prefix.json", "", []string{`{"n":1}`, ""}, []object{
			{"in/YYYY/MM/DD/HH/*", "", `{"n":1}`},
			{"out/processing-failed/YYYY/MM/DD/HH/*.jsonl", "", `~"errorCode":"Json.Empty"`},
		}, ""},
		{"delimiter.json", "", []string{"a", "b\n", ""}, []object{{"lines/YYYY/MM/DD/HH/*.snappy", "hadoop-snappy", "a\nb\n\n\n"}}, ""},
		{"partitioning.json", "", []string{`{"customer":{"id":42}}{"customer":{"id":"x"}}`, `{"customer":{"id":42},"n":2}`, `{"customer":{}}`}, []object{
			{"customer=42/YYYY-MM-DD/*", "", `{"customer":{"id":42}}` + "\n" + `{"customer":{"id":42},"n":2}` + "\n"},
			{"customer=x/YYYY-MM-DD/*", "", `{"customer":{"id":"x"}}` + "\n"},
			{"errors/processing-failed/*.jsonl", "", `~"errorCode":"DynamicPartitioning.MetadataExtractionFailed"`},
		}, ""},
		{"deaggregation.json", "", []string{"1\n2\n", "3"}, []object{{"rows/YYYY/MM/DD/RANDOM/*.snappy", "snappy-java", "1\n2\n3\n"}}, ""},
		{"cloudwatch-logs.json", "", []string{gzipped(envelope)}, []object{{"logs/YYYY/MM/DD/HH/*", "", "first \"line\"\nsecond\n"}}, ""},
		{"template.yaml", "Delivery", []string{`{"n":1} {"n":2}`}, []object{{"events/YYYY/*.gz", "gzip", `{"n":1}{"n":2}`}}, ""},
		{"terraform-state.json", "", []string{`{"city":"Porto"}`}, []object{{"city=Porto/*.gz", "gzip", `{"city":"Porto"}`}}, ""},
	}
	for i, w := range rows {
		t.Run(w.description, func(t *testing.T) {
			t.Parallel()
			s := newSurroundings(t, 1)
			output, code := s.tool(s.environment(), "import", "firehose", "--file", firehoses+w.description, "--resource", w.resource)
			if code != 0 {
				t.Fatalf("exit code %d\n%s", code, output)
			}
			from := time.Now()
			s.send(w.payloads...)
			p := s.start(append(variables(t, output), "START_POSITION=TRIM_HORIZON")...)
			var got []object
			eventually(t, fmt.Sprintf("%d objects", len(w.objects)), func() bool {
				got = s.objects()
				return len(got) >= len(w.objects)
			})
			to := time.Now()
			if err := p.terminate(); err != nil {
				t.Errorf("exit: %v\n%s", err, p.log)
			}
			got = s.objects()
			if err := w.check(t, got, from, to); err != nil {
				t.Error(err)
			}
			if other := rows[(i+1)%len(rows)]; other.check(t, got, from, to) == nil {
				t.Errorf("the objects are also what %s makes: the check sees no difference", other.description)
			}
		})
	}
}

// The description of a stream by its name is that of the API, and the schema is that of the Glue table.
func TestImportFirehose_AsksForTheDescription(t *testing.T) {
	t.Parallel()
	moto := emulator.Moto(t).URL
	account := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), BaseEndpoint: &moto}
	source, err := kinesis.NewFromConfig(account).CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("trips"), ShardCount: aws.Int32(1)})
	if err != nil {
		t.Fatal(source, err)
	}
	catalog := glue.NewFromConfig(account)
	if _, err := catalog.CreateDatabase(t.Context(), &glue.CreateDatabaseInput{DatabaseInput: &gluetypes.DatabaseInput{Name: aws.String("lake")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := catalog.CreateTable(t.Context(), &glue.CreateTableInput{DatabaseName: aws.String("lake"), TableInput: &gluetypes.TableInput{
		Name: aws.String("trips"), PartitionKeys: []gluetypes.Column{{Name: aws.String("day"), Type: aws.String("string")}},
		StorageDescriptor: &gluetypes.StorageDescriptor{Columns: []gluetypes.Column{
			{Name: aws.String("fare"), Type: aws.String("decimal(9,2)"), Comment: aws.String("in euros")}, {Name: aws.String("stops"), Type: aws.String("array<struct<at:timestamp>>")},
		}},
	}}); err != nil {
		t.Fatal(err)
	}
	create := func(name string, destination *types.ExtendedS3DestinationConfiguration) {
		t.Helper()
		role := aws.String("arn:aws:iam::123456789012:role/firehose")
		destination.RoleARN, destination.BucketARN = role, aws.String("arn:aws:s3:::out")
		if _, err := firehose.NewFromConfig(account).CreateDeliveryStream(t.Context(), &firehose.CreateDeliveryStreamInput{
			DeliveryStreamName: &name, DeliveryStreamType: types.DeliveryStreamTypeKinesisStreamAsSource,
			KinesisStreamSourceConfiguration: &types.KinesisStreamSourceConfiguration{
				KinesisStreamARN: aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/trips"), RoleARN: role,
			},
			ExtendedS3DestinationConfiguration: destination,
		}); err != nil {
			t.Fatal(err)
		}
	}
	create("plain", &types.ExtendedS3DestinationConfiguration{
		Prefix: aws.String("in/"), CompressionFormat: types.CompressionFormatGzip, BufferingHints: &types.BufferingHints{SizeInMBs: aws.Int32(7), IntervalInSeconds: aws.Int32(120)},
	})
	create("columns", &types.ExtendedS3DestinationConfiguration{
		Prefix: aws.String("in/"), BufferingHints: &types.BufferingHints{SizeInMBs: aws.Int32(64), IntervalInSeconds: aws.Int32(120)},
		DataFormatConversionConfiguration: &types.DataFormatConversionConfiguration{
			Enabled:                   aws.Bool(true),
			InputFormatConfiguration:  &types.InputFormatConfiguration{Deserializer: &types.Deserializer{OpenXJsonSerDe: &types.OpenXJsonSerDe{}}},
			OutputFormatConfiguration: &types.OutputFormatConfiguration{Serializer: &types.Serializer{ParquetSerDe: &types.ParquetSerDe{}}},
			SchemaConfiguration:       &types.SchemaConfiguration{DatabaseName: aws.String("lake"), TableName: aws.String("trips"), RoleARN: aws.String("arn:aws:iam::123456789012:role/firehose")},
		},
	})
	s := &surroundings{t: t}
	environment := []string{"AWS_ENDPOINT_URL=" + moto, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true"}
	file := filepath.Join(t.TempDir(), "trips.schema.json")
	for _, test := range []struct {
		code int
		args []string
		says []string
	}{
		{0, []string{"plain"}, []string{"\nSTREAM_NAME=trips\n", "\nBUCKET=out\n", "\nFORMAT=firehose\n", "\nCOMPRESSION=gzip\n", "\nFILE_SIZE=7MiB\n", "\nCOMMIT_INTERVAL=2m\n",
			"\n# Destinations[0].ExtendedS3DestinationDescription.Prefix\n# Firehose appends the time to a Prefix without expressions\nPREFIX='in/!{timestamp:yyyy/MM/dd/HH}/'\n"}},
		{0, []string{"columns"}, []string{"\nFORMAT=parquet\n", "\nCOMPRESSION=snappy\n", "\nSCHEMA=glue://lake/trips\n"}},
		{0, []string{"columns", "--glue-schema", file}, []string{"\nFORMAT=parquet\n", "\nSCHEMA=" + file + "\n"}},
		{1, []string{"absent"}, []string{`the Firehose stream "absent" does not exist`}},
		{1, []string{"plain", "--glue-schema", file}, []string{"names no Glue table"}},
	} {
		out, code := s.tool(environment, append([]string{"import", "firehose"}, test.args...)...)
		if code != test.code {
			t.Errorf("%q: exit code %d, want %d\n%s", test.args, code, test.code, out)
		}
		for _, text := range test.says {
			if !strings.Contains(out, text) {
				t.Errorf("%q does not say %q:\n%s", test.args, text, out)
			}
		}
	}
	s.wantNoMoreThanThePolicy(moto, environment, file)
	output, _ := s.tool(environment, "import", "firehose", "columns")
	wantColumns(t, append(variables(t, output), "AWS_ENDPOINT_URL_GLUE="+moto))
	document, err := os.ReadFile(file)
	if printed, code := s.tool(environment, "schema", "from-table", "glue://lake/trips"); code != 0 || printed != string(document) {
		t.Errorf("schema from-table prints with code %d\n%s", code, printed)
	}
	if printed, code := s.tool(environment, "ddl", "--schema", "glue://lake/trips", "--location", "s3://out/in/"); code != 0 || !strings.Contains(printed, "  fare decimal(9,2) COMMENT 'in euros',\n  stops array<struct<at:timestamp>>,\n") {
		t.Errorf("ddl prints with code %d\n%s", code, printed)
	}
	if printed, code := s.tool(environment, "schema", "from-table", "glue://lake/fares"); code != 1 || !strings.Contains(printed, "glue://lake/fares: the table does not exist in the AWS Glue Data Catalog of the account of the credentials in us-east-1") {
		t.Errorf("schema from-table of no table prints with code %d\n%s", code, printed)
	}
	if err != nil || !strings.Contains(string(document), `"x-parquet": "decimal(9,2)"`) || !strings.Contains(string(document), `"format": "date-time"`) || strings.Contains(string(document), `"day"`) {
		t.Errorf("the document is %s, %v", document, err)
	}
}

// wantColumns checks that a daemon with the settings writes Parquet with the columns of the Glue table, as DuckDB reads them.
func wantColumns(t *testing.T, settings []string) {
	t.Helper()
	s := newSurroundings(t, 1)
	s.send(`{"Fare":"12.50","stops":[{"AT":"2026-01-31T08:00:00Z"}]}`)
	p := s.start(append(settings, "START_POSITION=TRIM_HORIZON")...)
	eventually(t, "the file is there", func() bool { return len(s.files("in/")) == 1 })
	if err := p.terminate(); err != nil {
		t.Errorf("exit: %v\n%s", err, p.log)
	}
	script := filepath.Join(t.TempDir(), "read.py")
	if err := os.WriteFile(script, []byte(`
import duckdb, sys
file = f"read_parquet('{sys.argv[1]}')"
print([(c[0], c[1]) for c in duckdb.sql(f"DESCRIBE SELECT fare, stops FROM {file}").fetchall()])
print(duckdb.sql(f"SELECT fare::VARCHAR, epoch(stops[1].at)::BIGINT FROM {file}").fetchall())
`), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := emulator.Python(t, script, s.files("in/")[0]).CombinedOutput()
	want := "[('fare', 'DECIMAL(9,2)'), ('stops', 'STRUCT(\"at\" TIMESTAMP WITH TIME ZONE)[]')]\n[('12.50', 1769846400)]\n"
	if err != nil || string(out) != want {
		t.Errorf("DuckDB reads %s, %v, want %s", out, err, want)
	}
}

// wantNoMoreThanThePolicy checks that the operators' policy is what the command needs, for the stream and the table that it names.
func (s *surroundings) wantNoMoreThanThePolicy(moto string, environment []string, file string) {
	s.t.Helper()
	to, err := url.Parse(moto)
	if err != nil {
		s.t.Fatal(err)
	}
	printed, code := s.tool(append([]string{"STREAM_NAME=trips", "BUCKET=out"}, environment...),
		"policy", "--operator", "--account", accountID, "--import-firehose", "columns", "--import-glue-table", "lake.trips")
	allowed, err := iam.Parse([]byte(printed))
	if code != 0 || err != nil {
		s.t.Fatalf("exit code %d, %v\n%s", code, err, printed)
	}
	guarded := slices.Clone(environment)
	for _, service := range []iam.Service{iam.Firehose, iam.Glue} {
		guard := httptest.NewServer(&iam.Guard{Service: service, Backend: to, Site: iam.Site{Partition: "aws", Region: region, Account: accountID}, Policy: func() iam.Policy { return allowed }})
		s.t.Cleanup(guard.Close)
		guarded = append(guarded, "AWS_ENDPOINT_URL_"+strings.ToUpper(string(service))+"="+guard.URL)
	}
	if out, code := s.tool(guarded, "import", "firehose", "columns", "--glue-schema", file); code != 0 {
		s.t.Errorf("exit code %d\n%s", code, out)
	}
	if out, code := s.tool(guarded, "import", "firehose", "plain"); code != 1 || !strings.Contains(out, "AccessDenied") {
		s.t.Errorf("another stream: exit code %d, want 1\n%s", code, out)
	}
}

func TestImportFirehose_ExitCodeSaysWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	s := &surroundings{t: t}
	broken := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(broken, []byte(`{"DeliveryStreamDescription":{`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		code int
		args []string
		says string
	}{
		{0, []string{"--file", firehoses + "defaults.json"}, "\nFILE_SIZE=5MiB\n"},
		{0, []string{"--file", firehoses + "time-zone.json", "--as", "helm"}, "\n  timeZone: \"Europe/Lisbon\"\n"},
		{3, []string{"--file", firehoses + "defaults.json", "--as", "ecs"}, "BUCKET=out has no parameter"},
		{3, []string{"--file", firehoses + "lambda.json"}, "\nTRANSFORM='lambda:arn:aws:lambda:eu-west-1:111122223333:function:mask:$LATEST'\n"},
		{3, []string{"--file", firehoses + "refused-opensearch.json"}, "the destination is Amazon OpenSearch Service"},
		{1, []string{"--file", broken}, "want JSON: unexpected EOF"},
		{1, []string{"--file", broken + ".absent"}, "no such file"},
		{1, []string{"--file", firehoses + "template.yaml"}, "want one of Delivery, Other to be named with --resource"},
		{1, []string{"--file", firehoses + "template.yaml", "--resource", "Third"}, `resource "Third": want one of Delivery, Other`},
		{2, nil, "want the NAME of a Firehose stream or --file, and not both"},
		{2, []string{"trips", "--file", broken}, "and not both"},
		{2, []string{"trips", "--resource", "x"}, `--resource="x": want --file as well`},
		{2, []string{"trips", "--as", "toml"}, `--as="toml": want env, helm or ecs`},
		{0, []string{"--help"}, "Usage:\n  consumer import firehose [NAME] [flags]\n"},
	} {
		out, code := s.tool(nil, append([]string{"import", "firehose"}, test.args...)...)
		if code != test.code || !strings.Contains(out, test.says) {
			t.Errorf("%q: exit code %d, want %d, and %q in\n%s", test.args, code, test.code, test.says, out)
		}
	}
}
