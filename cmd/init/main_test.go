package main

import (
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/internal/test/lambdatest"
)

// An answer would tell Lambda that the records were delivered.
func TestFunction_RefusesEveryEvent(t *testing.T) {
	f := lambdatest.Start(t, lambdatest.Package(t, "init"), nil)
	for _, event := range []string{string(lambdatest.Trips), `{}`, `null`} {
		if r := f.Invoke([]byte(event), 10*time.Second); r.Answer != nil || !strings.Contains(string(r.Error), "placeholder") {
			t.Errorf("answer %s, error %s", r.Answer, r.Error)
		}
	}
}
