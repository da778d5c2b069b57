package registrytest

import "testing"

// The comparison never confuses two values, so a test that passes has seen each value.
func TestSameInColumns_TellsValuesApart(t *testing.T) {
	for _, test := range []struct {
		got, want string
		same      bool
	}{
		{`{"a":1,"b":null}`, `{"a":1.0}`, true}, {`{"a":1}`, `{"a":2}`, false}, {`{"a":1,"b":2}`, `{"a":1}`, false}, {`{"a":1}`, `{"a":1,"b":null}`, false},
		{`{"a":null}`, `{"a":0}`, false}, {`{"a":[1,"2"]}`, `{"a":[1,2]}`, true}, {`{"a":[1]}`, `{"a":[1,2]}`, false}, {`{"a":[]}`, `{"a":null}`, false},
		{`{"a":"12.30"}`, `{"a":12.3}`, true}, {`{"a":"12.31"}`, `{"a":12.3}`, false}, {`{"a":9007199254740993}`, `{"a":9007199254740992}`, false},
		{`{"a":"2024-01-31T00:00:00.500000Z"}`, `{"a":"2024-01-31T00:00:00.5Z"}`, true}, {`{"a":"2024-01-31T00:00:00.500001Z"}`, `{"a":"2024-01-31T00:00:00.5Z"}`, false},
		{`{"a":"{\"n\":[1]}"}`, `{"a":{"n":[1]}}`, true}, {`{"a":"{\"n\":[2]}"}`, `{"a":{"n":[1]}}`, false}, {`{"a":"x"}`, `{"a":"y"}`, false}, {`{"a":"NaN"}`, `{"a":0}`, false},
	} {
		if got := SameInColumns(any(Rows(t, []byte(test.got))[0]), any(Rows(t, []byte(test.want))[0])); got != test.same {
			t.Errorf("%s and %s: %v", test.got, test.want, got)
		}
	}
}
