package catalog_test

import (
	"strings"
	"testing"

	"aws-streaming-pipeline/record/catalog"
)

func TestParseSource_ReturnsWhatStringWrites(t *testing.T) {
	for text, want := range map[string]catalog.Source{
		"glue://lake/trips":            {Database: "lake", Table: "trips"},
		"glue://my-lake/trips.v2":      {Database: "my-lake", Table: "trips.v2"},
		"glue://lake/trips?case=exact": {Database: "lake", Table: "trips", ExactCase: true},
		"glue://lake/trips?catalog=123456789012&region=us-gov-west-1&version=7":        {Database: "lake", Table: "trips", Catalog: "123456789012", Region: "us-gov-west-1", Version: "7"},
		"glue://lake/trips?catalog=123456789012&region=eu-west-1&version=0&case=exact": {Database: "lake", Table: "trips", Catalog: "123456789012", Region: "eu-west-1", Version: "0", ExactCase: true},
	} {
		if got, err := catalog.ParseSource(text); err != nil || got != want || got.String() != text {
			t.Errorf("%s: got %+v, %v, which is written as %s", text, got, err, got)
		}
	}
	// Glue folds names to lower case.
	if got, err := catalog.ParseSource("glue://Lake/Trips"); err != nil || got.String() != "glue://lake/trips" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestParseSource_NamesWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"s3://lake/trips": catalog.Form, "glue://lake": catalog.Form, "glue:///trips": catalog.Form, "glue://lake/a/b": catalog.Form, "glue://lake/a b": catalog.Form,
		"glue://lake/" + strings.Repeat("x", 256): catalog.Form, "glue://lake/trips?%": catalog.Form,
		"glue://lake/trips?catalog=1":           "catalog=1: want an account of 12 digits",
		"glue://lake/trips?region=here":         "region=here: want a region such as eu-west-1",
		"glue://lake/trips?version=LATEST":      "version=LATEST: want the number of a version",
		"glue://lake/trips?case=lower":          "case=lower: want exact",
		"glue://lake/trips?version=1&version=2": "version=1,2: want the number of a version",
		"glue://lake/trips?table=x":             "table: want catalog, region, version or case",
	} {
		if got, err := catalog.ParseSource(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %+v, %v, want %s", text, got, err, want)
		}
	}
}
