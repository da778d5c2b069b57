package chaos

import (
	"net/http"
	"strings"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/iam"
	"aws-streaming-pipeline/operate/policy"
)

const account = "123456789012" // of the embedded stream

// published reports whether the policies that are published for the daemons' settings allow a request. Daemons start with either
// bucket, and finish batches in the other.
func published(region, name string, names []string) func(Service, *http.Request, []byte) bool {
	var policies []iam.Policy
	for _, bucket := range names {
		for _, fanOut := range []string{"", "files"} {
			cfg := consumer.Defaults()
			cfg.Stream, cfg.Application, cfg.CheckpointTable, cfg.FanOutConsumer, cfg.Bucket = name, name, name, fanOut, bucket
			cfg.Prefix, cfg.ErrorPrefix, cfg.BackupPrefix, cfg.ManifestPrefix = dataPrefix, errorPrefix, backupPrefix, manifestPrefix
			policies = append(policies, policy.Daemon(&cfg, policy.Place{Region: region, Account: account}))
		}
	}
	return allowing(iam.Site{Partition: "aws", Region: region, Account: account, Stream: name}, policies)
}

// publishedOverTable is like published for daemons whose files are loaded into a table at a location, and for the loaders.
func publishedOverTable(region, name, bucket, uri, location string) (func(Service, *http.Request, []byte) bool, error) {
	cfg := consumer.Defaults()
	cfg.Stream, cfg.Application, cfg.CheckpointTable, cfg.Bucket = name, name, name, bucket
	cfg.Prefix, cfg.ErrorPrefix, cfg.BackupPrefix, cfg.ManifestPrefix = dataPrefix, errorPrefix, backupPrefix, manifestPrefix
	cfg.Format, cfg.TableConfig.Table, cfg.TableLocation = "parquet", uri, location
	place := policy.Place{Region: region, Account: account}
	loader, err := policy.Loader(&cfg, place)
	if err != nil {
		return nil, err
	}
	policies := []iam.Policy{policy.Daemon(&cfg, place), loader}
	cfg.FanOutConsumer = "files"
	policies = append(policies, policy.Daemon(&cfg, place))
	return allowing(iam.Site{Partition: "aws", Region: region, Account: account, Stream: name}, policies), nil
}

// allowing reports whether policies allow a request. A catalog is not AWS's, so they say nothing about it.
func allowing(site iam.Site, policies []iam.Policy) func(Service, *http.Request, []byte) bool {
	return func(service Service, r *http.Request, body []byte) bool {
		if service == Catalog {
			return true
		}
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
