package firehose_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/operate/firehose"
)

var update = flag.Bool("update", false, "write the golden files anew")

// resources selects the stream in descriptions of several.
var resources = map[string]string{"template.yaml": "Delivery"}

// descriptions returns the names of the descriptions in testdata.
func descriptions(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(f string) bool { return filepath.Ext(f) == ".env" || strings.Contains(f, "refused-") })
	if len(files) < 20 {
		t.Fatalf("there are %d descriptions", len(files))
	}
	return files
}

// settings imports a description.
func settings(t *testing.T, path, schema string) firehose.Settings {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := firehose.Parse(text, resources[filepath.Base(path)])
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	s, err := d.Settings(schema)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return s
}

func write(t *testing.T, s firehose.Settings, form firehose.Form) (string, int) {
	t.Helper()
	var out strings.Builder
	left, err := s.Write(&out, form)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), left
}

// The descriptions were written for this test, after those that the Amazon Data Firehose API Reference, the AWS CloudFormation
// Template Reference and the documentation of Terraform's AWS provider show. Their settings are in the files beside them.
func TestSettings_AreThoseOfTheDescription(t *testing.T) {
	for _, path := range descriptions(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			got, _ := write(t, settings(t, path, ""), firehose.Env)
			golden := strings.TrimSuffix(path, filepath.Ext(path)) + ".env"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// The daemon accepts what is imported. It misses only what the output names as missing.
func TestSettings_AreAcceptedByTheDaemon(t *testing.T) {
	for _, path := range descriptions(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			s := settings(t, path, "trips.schema.json")
			for _, l := range s.Lines {
				t.Setenv(l.Name, l.Value)
			}
			text, _ := write(t, s, firehose.Env)
			for _, m := range regexp.MustCompile(`(STREAM_NAME|BUCKET) is missing|set (STREAM_NAME) to it`).FindAllStringSubmatch(text, -1) {
				t.Setenv(m[1]+m[2], "set-by-hand")
			}
			if _, err := consumer.LoadConfig(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A destination other than S3 has no settings.
func TestSettings_RefuseOtherDestinations(t *testing.T) {
	for file, want := range map[string]string{
		"refused-opensearch.json": "Destinations[0].AmazonopensearchserviceDestinationDescription: the destination is Amazon OpenSearch Service, and",
		"refused-iceberg.json":    "Destinations[0].IcebergDestinationDescription: the destination is Apache Iceberg (the setting TABLE",
	} {
		text, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		d, err := firehose.Parse(text, "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Settings("")
		if _, other := errors.AsType[*firehose.DestinationError](err); !other || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", file, err, want)
		}
	}
}
