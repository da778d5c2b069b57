package chaos

import (
	"net/http"
	"strings"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/operate/policy"
)

// published reports whether the policies that are published for the daemons' settings allow a request. Daemons start with either
// bucket, and finish batches in the other.
func published(region, name string, names []string) func(Service, *http.Request, []byte) bool {
	const account = "123456789012" // of the embedded stream
	var policies []iam.Policy
	for _, bucket := range names {
		for _, fanOut := range []string{"", "files"} {
			cfg := consumer.Defaults()
			cfg.Stream, cfg.Application, cfg.CheckpointTable, cfg.FanOutConsumer, cfg.Bucket = name, name, name, fanOut, bucket
			cfg.Prefix, cfg.ErrorPrefix, cfg.ManifestPrefix = dataPrefix, errorPrefix, manifestPrefix
			policies = append(policies, policy.Daemon(&cfg, policy.Place{Region: region, Account: account}))
		}
	}
	site := iam.Site{Partition: "aws", Region: region, Account: account, Stream: name}
	return func(service Service, r *http.Request, body []byte) bool {
		needs, err := site.Needs(iam.Service(strings.ToLower(string(service))), r, body)
		if err != nil {
			return false
		}
		for _, need := range needs {
			if !anyAllows(policies, need) {
				return false
			}
		}
		return true
	}
}

func anyAllows(policies []iam.Policy, need iam.Need) bool {
	for _, p := range policies {
		if p.Allows(need) {
			return true
		}
	}
	return false
}
