package awshttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"aws-streaming-pipeline/internal/awshttp"
)

// service is an HTTP client whose service takes and sends bytes when it likes to.
type service struct {
	takes   []time.Duration // before each byte of the request that it takes; it answers when it has all of these
	answers time.Duration   // until the header of the answer; negative: never
	sends   []time.Duration // before each byte of the answer; negative: never
}

func (s service) Do(r *http.Request) (*http.Response, error) {
	for _, d := range append(s.takes, s.answers) {
		if err := wait(r.Context(), d); err != nil {
			return nil, err
		}
		if r.Body != nil {
			r.Body.Read(make([]byte, 1))
		}
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(&body{r.Context(), s.sends})}, nil
}

// body sends one byte at a time.
type body struct {
	ctx   context.Context
	sends []time.Duration
}

func (b *body) Read(p []byte) (int, error) {
	if len(b.sends) == 0 {
		return 0, io.EOF
	}
	if err := wait(b.ctx, b.sends[0]); err != nil {
		return 0, err
	}
	b.sends = b.sends[1:]
	return copy(p, "x"), nil
}

// wait waits for ever for a negative time. A context that has ended comes first, as on a connection that it has closed.
func wait(ctx context.Context, d time.Duration) error {
	if d < 0 {
		<-ctx.Done()
	}
	select {
	case <-time.After(max(d, 0)):
	case <-ctx.Done():
	}
	return ctx.Err()
}

func TestBounds_EndACallThatIsNotAnswered(t *testing.T) {
	const d, never = 10 * time.Second, -1
	slow := []time.Duration{6 * time.Second, 6 * time.Second, 6 * time.Second}
	for _, test := range []struct {
		name    string
		service service
		reader  time.Duration // that the reader takes between two bytes
		attend  time.Duration // when Attend gives up; 0: it does not
		bound   time.Duration // when Bound does
	}{
		{"answers at once", service{sends: make([]time.Duration, 3)}, 0, 0, 0},
		{"never answers", service{answers: never}, 0, d, d},
		{"stops taking the request", service{takes: []time.Duration{6 * time.Second, never}}, 0, 16 * time.Second, d},
		{"stops in the middle of the answer", service{answers: 6 * time.Second, sends: []time.Duration{0, 0, never}}, 0, 16 * time.Second, d},
		{"takes the request slowly", service{takes: slow}, 0, 0, d},
		{"sends the answer slowly", service{sends: slow}, 0, 0, d},
		{"has a slow reader", service{sends: make([]time.Duration, 3)}, 20 * time.Second, 0, d},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for name, c := range map[string]struct {
					client aws.HTTPClient
					want   time.Duration
				}{"Attend": {awshttp.Attend(test.service, d), test.attend}, "Bound": {awshttp.Bound(test.service, d), test.bound}} {
					began := time.Now()
					err := call(c.client, test.reader)
					took := time.Since(began)
					var timeout interface{ Timeout() bool }
					switch late := errors.As(err, &timeout) && timeout.Timeout(); {
					case c.want == 0 && err != nil:
						t.Errorf("%s: %v after %v", name, err, took)
					case c.want > 0 && !late:
						t.Errorf("%s: %v, want a timeout", name, err)
					case c.want > 0 && test.reader == 0 && took != c.want:
						t.Errorf("%s: gave up after %v, want %v", name, took, c.want)
					}
				}
			})
		})
	}
}

// call makes a call and reads its answer.
func call(client aws.HTTPClient, reader time.Duration) error {
	request, err := http.NewRequest(http.MethodPost, "http://service", io.NopCloser(strings.NewReader("four")))
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	for {
		time.Sleep(reader)
		switch _, err := answer.Body.Read(make([]byte, 1)); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

func TestBounds_LeaveTheCallersContextAndStreamsOfEventsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := awshttp.Attend(awshttp.Bound(service{answers: -1}, time.Minute), time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://service", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Amz-Target", "Kinesis_20131202.SubscribeToShard")
		began := time.Now()
		if _, err := client.Do(request); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Hour {
			t.Errorf("a stream of events ended with %v after %v", err, time.Since(began))
		}

		stopped, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, stop)
		if _, err := client.Do(request.Clone(stopped)); !errors.Is(err, context.Canceled) {
			t.Errorf("a call that its caller has ended gave %v", err)
		}
	})
}

func TestBounds_AreWorthAnotherAttemptOfTheSDK(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := call(awshttp.Attend(service{answers: -1}, time.Second), 0)
		inBody := call(awshttp.Attend(service{sends: []time.Duration{-1}}, time.Second), 0)
		for _, err := range []error{&smithyhttp.RequestSendError{Err: err}, inBody} {
			if retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err) != aws.TrueTernary {
				t.Errorf("%v is not tried again", err)
			}
		}
	})
}

// A service that gives credentials accepts the call and does not answer. The SDK makes one such call for all callers, and
// ends it with none of their contexts: without a bound of its own it would be the last.
func TestAccount_AsksAgainForCredentialsThatDoNotCome(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("token"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		answer string
		env    func(url string) map[string]string
	}{
		"STS, as with IRSA": {
			`<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>id</AccessKeyId>` +
				`<SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration>` +
				`</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
			func(url string) map[string]string {
				return map[string]string{
					"AWS_ENDPOINT_URL_STS": url, "AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/consumer",
				}
			},
		},
		"the agent of ECS or EKS Pod Identity": {
			`{"AccessKeyId":"id","SecretAccessKey":"secret","Token":"token","Expiration":"2100-01-01T00:00:00Z"}`,
			func(url string) map[string]string {
				return map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": url + "/v1/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": token}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			held := make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) == 1 {
					select {
					case <-held:
					case <-r.Context().Done():
					}
					return
				}
				io.WriteString(w, c.answer)
			}))
			defer server.Close()
			defer close(held)
			bare(t)
			for name, value := range c.env(server.URL) {
				t.Setenv(name, value)
			}
			account, err := awshttp.Account(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if got, err := account.Credentials.Retrieve(ctx); err != nil || got.AccessKeyID != "id" {
				t.Errorf("credentials %q, %v after %d calls", got.AccessKeyID, err, asked.Load())
			}
		})
	}
}

// bare leaves nothing of an account in the environment.
func bare(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CA_BUNDLE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
}

// A service may be told to have longer, or less, than Attend allows; others are not.
func TestMaySilence_SetsTheBoundOfACall(t *testing.T) {
	for _, d := range []time.Duration{0, time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			ctx, want := t.Context(), time.Minute
			if d != 0 {
				ctx, want = awshttp.MaySilence(ctx, d), d
			}
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://lambda", nil)
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			_, err = awshttp.Attend(service{answers: -1}, time.Minute).Do(r)
			if took := time.Since(began); err == nil || took != want {
				t.Errorf("ended with %v after %v, want %v", err, took, want)
			}
		})
	}
}
