package diagnosis

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
)

// Endpoints returns an error if a variable that gives the endpoint of a service has no URL. The SDK finds that out only when it has
// tried several times to send a request there.
func Endpoints() error {
	if os.Getenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") == "true" {
		return nil
	}
	variables := os.Environ()
	slices.Sort(variables)
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, "AWS_ENDPOINT_URL") || value == "" {
			continue
		}
		if u, err := url.Parse(value); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return &Error{Err: fmt.Errorf("%s: %w", name, errNoURL), Finding: noURL(name, value)}
		}
	}
	return nil
}

var errNoURL = errors.New("this is not a URL")

func noURL(setting, value string) Finding {
	return Finding{
		Final: true, Exit: exitSettings, Setting: setting, Text: fmt.Sprintf("%s=%q: %v", setting, value, errNoURL),
		Advice: "want http:// or https:// and host:port",
	}
}
