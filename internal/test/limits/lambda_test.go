package limits

import (
	"net/http"
	"strings"
	"testing"
)

// An event may have up to 6 MB, and must be JSON; other calls of Lambda pass.
func TestProxy_RefusesEventsThatLambdaRefuses(t *testing.T) {
	const path = "/2015-03-31/functions/arn:aws:lambda:eu-west-1:123456789012:function:mask/invocations"
	for _, c := range []struct{ name, method, path, body, want string }{
		{"the largest", http.MethodPost, path, `"` + strings.Repeat("x", 6<<20-3) + `"`, ""},
		{"a byte more", http.MethodPost, path, `"` + strings.Repeat("x", 6<<20-2) + `"`, "RequestTooLargeException"},
		{"no JSON", http.MethodPost, path, `{"records":[`, "InvalidRequestContentException"},
		{"another call", http.MethodGet, "/2015-03-31/functions/mask", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, Lambda)
			r, err := http.NewRequest(c.method, "http://service"+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if got := b.do(r); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
