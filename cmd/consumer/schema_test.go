package main

import (
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/registrytest"
)

// A schema of the registry, by its name or by a version's id, becomes a document that is good for SCHEMA.
func TestSchemaFromRegistry_PrintsADocument(t *testing.T) {
	moto := emulator.Moto(t).URL
	ids := registrytest.Register(t, moto, "trip.avsc", "everything.proto", "trip.json")
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": moto, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"} {
		t.Setenv(name, value)
	}
	print := func(args ...string) (string, error) {
		var out strings.Builder
		err := dispatch(t.Context(), &out, append([]string{"schema", "from-registry"}, args...)...)
		return out.String(), err
	}
	for _, test := range []struct {
		args []string
		want string // of the document
	}{
		{[]string{"--schema", "trip-avsc"}, `"x-parquet": "decimal(9,2)"`},
		{[]string{"--schema", "trip-avsc", "--registry", "default-registry", "--version", "1"}, `"title": "lake.test.Trip"`},
		{[]string{"--version-id", ids["trip.avsc"]}, `"title": "lake.test.Trip"`},
		{[]string{"--schema", "everything-proto"}, `"title": "lake.test.Everything"`},
		{[]string{"--schema", "everything-proto", "--message", "lake.test.Zebra"}, `"stripes": {`},
		{[]string{"--schema", "trip-json"}, `"$schema": "http://json-schema.org/draft-07/schema#"`},
	} {
		document, err := print(test.args...)
		if err != nil || !strings.Contains(document, test.want) {
			t.Errorf("%q prints %s, %v; want %s in it", test.args, document, err, test.want)
		}
	}
	for _, test := range []struct {
		args []string
		want string // of the error
	}{
		{nil, `want exactly one of them`},
		{[]string{"--schema", "trip-avsc", "--version-id", ids["trip.avsc"]}, `want exactly one of them`},
		{[]string{"--schema", "absent"}, `schema absent of the registry default-registry`},
		{[]string{"--schema", "trip-avsc", "--version", "-1"}, `--version=-1`},
		{[]string{"--schema", "everything-proto", "--message", "Zebra"}, `message "Zebra"`},
		{[]string{"--schema", "trip-avsc", "--message", "Zebra"}, `only a Protobuf schema has messages`},
	} {
		if document, err := print(test.args...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q prints %s, %v; want an error with %s", test.args, document, err, test.want)
		}
	}
}
