package awshttp_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	sdkhttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"

	"aws-streaming-pipeline/internal/awshttp"
)

// EKS Pod Identity puts the address of its agent and a file with a token into the pod; in clusters with IPv6 the address is
// of that family (EKS User Guide, "Understand how EKS Pod Identity works"). An address that is nobody's gets no token.
func TestAccount_TakesCredentialsOfThePodIdentityAgent(t *testing.T) {
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/credentials" || r.Header.Get("Authorization") != "pod-token" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, `{"AccessKeyId":"of-the-agent","SecretAccessKey":"secret","Token":"session","Expiration":"2999-01-01T00:00:00Z"}`)
	}))
	defer agent.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("pod-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	bare(t)
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token)
	for host, good := range map[string]bool{"169.254.170.23": true, "[fd00:ec2::23]": true, "[fd00:ec2::24]": false, "192.0.2.1": false} {
		t.Run(host, func(t *testing.T) {
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://"+host+"/v1/credentials")
			var asked []string
			network := sdkhttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
				tr.Proxy = nil
				tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
					asked = append(asked, address)
					return new(net.Dialer).DialContext(ctx, network, agent.Listener.Addr().String())
				}
			})
			account, err := awshttp.Account(t.Context(), config.WithEndpointCredentialOptions(func(o *endpointcreds.Options) { o.HTTPClient = network }))
			if !good {
				if err == nil || len(asked) != 0 {
					t.Errorf("error %v, asked %v", err, asked)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			keys, err := account.Credentials.Retrieve(t.Context())
			if err != nil || keys.AccessKeyID != "of-the-agent" || len(asked) != 1 || asked[0] != host+":80" {
				t.Errorf("key %q of %v, %v", keys.AccessKeyID, asked, err)
			}
		})
	}
}
