// Package registrytest has records framed by the AWS Glue Schema Registry, written by third-party encoders, with their schemas.
package registrytest

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"

	"aws-streaming-pipeline/internal/test/emulator"
)

//go:embed testdata
var files embed.FS

// formats are the formats of the schemas, by file extension.
var formats = map[string]types.DataFormat{".avsc": types.DataFormatAvro, ".proto": types.DataFormatProtobuf, ".json": types.DataFormatJson}

// Definition returns the text of a schema in testdata.
func Definition(tb testing.TB, file string) string {
	tb.Helper()
	text, err := files.ReadFile("testdata/" + file)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// Account returns the configuration for clients of an emulator.
func Account(endpoint string) aws.Config {
	return aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), BaseEndpoint: &endpoint}
}

// SchemaName returns the name under which Register adds a schema to the default registry.
func SchemaName(file string) string { return strings.ReplaceAll(file, ".", "-") }

// Register adds schemas of testdata to a registry, and returns the ids of their versions by file.
func Register(tb testing.TB, endpoint string, names ...string) map[string]string {
	tb.Helper()
	client := glue.NewFromConfig(Account(endpoint))
	ids := make(map[string]string)
	for _, file := range names {
		created, err := client.CreateSchema(tb.Context(), &glue.CreateSchemaInput{
			SchemaName: aws.String(SchemaName(file)), DataFormat: formats[filepath.Ext(file)], Compatibility: types.CompatibilityNone,
			SchemaDefinition: aws.String(Definition(tb, file)),
		})
		if err != nil {
			tb.Fatal(err)
		}
		ids[file] = *created.SchemaVersionId
	}
	return ids
}

// Record is a record of a third-party encoder.
type Record struct {
	File    string // of its schema
	Payload []byte
	Want    string // the encoder's input, as JSON
}

// Encode makes third-party encoders write the given number of records of each schema, which depend on the seed.
func Encode(tb testing.TB, seed, count int, ids map[string]string) []Record {
	tb.Helper()
	folder := tb.TempDir()
	data, err := fs.Sub(files, "testdata")
	if err == nil {
		err = os.CopyFS(folder, data)
	}
	if err != nil {
		tb.Fatal(err)
	}
	args := []string{fmt.Sprint(seed), fmt.Sprint(count)}
	for file, id := range ids {
		args = append(args, file+"="+id)
	}
	slices.Sort(args[2:])
	cmd := emulator.Encoders(tb, filepath.Join(folder, "encode.py"), args...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%v: %s", err, complaints.Bytes())
	}
	var all []Record
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var r Record
		if err := d.Decode(&r); err != nil {
			tb.Fatal(err)
		}
		all = append(all, r)
	}
	if len(all) != count*len(ids) {
		tb.Fatalf("%d records of %d schemas, want %d of each", len(all), len(ids), count)
	}
	return all
}

// Rows returns the JSON objects of a text.
func Rows(tb testing.TB, text []byte) []map[string]any {
	tb.Helper()
	var all []map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	for d.More() {
		var row map[string]any
		if err := d.Decode(&row); err != nil {
			tb.Fatal(err)
		}
		all = append(all, row)
	}
	return all
}

// Same reports whether two values of Rows are the same. Numbers are the same if their exact values are.
func Same(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(want) {
			return false
		}
		for k, w := range want {
			if v, ok := g[k]; !ok || !Same(v, w) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return false
		}
		for i, w := range want {
			if !Same(g[i], w) {
				return false
			}
		}
		return true
	case json.Number:
		g, ok := got.(json.Number)
		a, ok1 := new(big.Rat).SetString(string(g))
		b, ok2 := new(big.Rat).SetString(string(want))
		return ok && ok1 && ok2 && a.Cmp(b) == 0
	}
	return got == want
}

// SameInColumns compares what a reader found in columns with what was sent. A value that was not sent must be null in its column.
// Times are the same if they are the same instant. Other text that differs is compared as JSON.
func SameInColumns(got, want any) bool {
	if Same(got, want) {
		return true
	}
	switch g := got.(type) {
	case map[string]any:
		w, ok := want.(map[string]any)
		for k := range w {
			_, there := g[k]
			ok = ok && there
		}
		for k, v := range g {
			ok = ok && SameInColumns(v, w[k])
		}
		return ok
	case []any:
		w, ok := want.([]any)
		ok = ok && len(w) == len(g)
		for i := 0; ok && i < len(g); i++ {
			ok = SameInColumns(g[i], w[i])
		}
		return ok
	case string:
		if text, ok := want.(string); ok {
			a, err1 := time.Parse(time.RFC3339Nano, g)
			b, err2 := time.Parse(time.RFC3339Nano, text)
			if err1 == nil && err2 == nil {
				return a.Equal(b)
			}
		}
		var held any
		d := json.NewDecoder(strings.NewReader(g))
		d.UseNumber()
		return d.Decode(&held) == nil && Same(held, want)
	}
	return false
}
