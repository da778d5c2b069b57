package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"aws-streaming-pipeline/internal/localbucket"
)

// servicesAddress is where the stream and the bucket are if nothing else listens there.
const servicesAddress = "127.0.0.1:4566"

// serve runs the stream and the bucket alone, both at one address, and says how to start a daemon and a producer by hand.
func serve(ctx context.Context, o options, out io.Writer) error {
	if _, err := os.Stat(o.out); err == nil {
		return fmt.Errorf("--out=%s: folder exists: want a new one", o.out)
	}
	address, err := freeAddress(servicesAddress)
	if err != nil {
		return err
	}
	st := &stage{}
	st.at(o)
	var bucket http.Handler
	wrap := func(h http.Handler) http.Handler {
		bucket = h
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch target := r.Header.Get("X-Amz-Target"); {
			case strings.HasPrefix(target, "Kinesis_"):
				st.stream.Kinesis.ServeHTTP(w, r)
			case target != "":
				refuse(w, target)
			case r.Method == http.MethodPost && r.URL.Path == "/":
				answerIdentity(w, r)
			default:
				bucket.ServeHTTP(w, r)
			}
		})
	}
	defer st.close()
	if err := st.set(ctx, o, address, localbucket.Options{Wrap: wrap}); err != nil {
		return err
	}
	if address != servicesAddress {
		fmt.Fprintf(out, "%s is taken by another program, so another port is used.\n\n", servicesAddress)
	}
	fmt.Fprintf(out, `The stream %[1]s with %[2]d shards and the bucket %[3]s, which is the folder %[4]s, are at %[5]s
until you press Ctrl-C. In two other terminals:

  export AWS_ENDPOINT_URL=%[5]s AWS_REGION=%[6]s AWS_ACCESS_KEY_ID=demo AWS_SECRET_ACCESS_KEY=demo
  export STREAM_NAME=%[1]s BUCKET=%[3]s S3_PATH_STYLE=true COMMIT_INTERVAL=10s CHECKPOINT_FILE=%[7]s

  go run ./cmd/consumer
  go run ./cmd/producer --stream %[1]s --generate %[8]d

Then prove what was delivered:

  go run ./cmd/consumer audit --deep
`, streamName, o.shards, bucketName, st.folder, st.bucket.URL(), st.aws.Region, filepath.Join(o.out, "checkpoints.db"), o.records)
	<-ctx.Done()
	return nil
}

// refuse answers a call of a service that is not here, named as in "DynamoDB_20120810.DescribeTable". The form is that of DynamoDB and other
// services with JSON (Amazon DynamoDB Developer Guide, "Error handling with DynamoDB"); a status that the SDK does not retry ends a start at once.
func refuse(w http.ResponseWriter, target string) {
	message := "only Kinesis and S3 are served here"
	if strings.HasPrefix(target, "DynamoDB_") {
		message = "there is no DynamoDB here: set CHECKPOINT_FILE"
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprintf(w, `{"__type":"com.amazon.coral.service#UnknownOperationException","message":%q}`, message)
}

// identity is the answer to GetCallerIdentity (AWS STS API Reference, "GetCallerIdentity", version 2011-06-15).
const identity = `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>` +
	`<Arn>arn:aws:iam::123456789012:user/demo</Arn><UserId>demo</UserId><Account>123456789012</Account></GetCallerIdentityResult>` +
	`<ResponseMetadata><RequestId>demo</RequestId></ResponseMetadata></GetCallerIdentityResponse>`

// answerIdentity answers the one call of STS that "consumer validate" makes: AWS_ENDPOINT_URL sends it here.
func answerIdentity(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	if action := r.PostFormValue("Action"); action != "GetCallerIdentity" {
		http.Error(w, "only Kinesis and S3 are served here", http.StatusNotImplemented)
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	io.WriteString(w, identity)
}
