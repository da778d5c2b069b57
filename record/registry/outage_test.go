package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/google/uuid"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/internal/test/registrytest"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/recordtest"
	"aws-streaming-pipeline/record/registry"
)

// serviceFunc is a registry that is a function.
type serviceFunc func(ctx context.Context, id string) (registry.Definition, error)

func (f serviceFunc) SchemaVersion(ctx context.Context, id string) (registry.Definition, error) {
	return f(ctx, id)
}

var jsonDefinition = registry.Definition{Format: "JSON", Text: `{}`}

// framed is a JSON record of the nth of many versions.
func framed(n int) []byte {
	id := uuid.UUID{14: byte(n >> 8), 15: byte(n)}
	return slices.Concat([]byte{3, 0}, id[:], fmt.Appendf(nil, `{"n":%d}`, n))
}

// Many shards want a version that nobody knows yet: the registry is asked once, and never again.
func TestRegistry_AsksOnceForAVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		r := newRegistry(serviceFunc(func(context.Context, string) (registry.Definition, error) {
			calls.Add(1)
			time.Sleep(time.Second)
			return jsonDefinition, nil
		}))
		var shards sync.WaitGroup
		for range 100 {
			shards.Go(func() {
				for range 10 {
					if text, fault, err := r.Open(t.Context(), framed(1), 100, new(int)); string(text) != `{"n":1}` || fault != nil || err != nil {
						t.Errorf("%s, %v, %v", text, fault, err)
					}
				}
			})
		}
		shards.Wait()
		if calls.Load() != 1 {
			t.Errorf("the registry was asked %d times", calls.Load())
		}
	})
}

// An outage of any kind is waited for: no record gets a fault, the calls are bounded and far between, and health says why.
func TestRegistry_WaitsForARegistryThatDoesNotAnswer(t *testing.T) {
	for name, fail := range map[string]func(context.Context) error{
		"refused":    func(context.Context) error { return errors.New("AccessDeniedException") },
		"unanswered": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const outage = 10 * time.Minute
				began, calls := time.Now(), 0
				r := newRegistry(serviceFunc(func(ctx context.Context, _ string) (registry.Definition, error) {
					calls++
					if time.Since(began) < outage {
						return registry.Definition{}, fail(ctx)
					}
					return jsonDefinition, nil
				}))
				gone, leave := context.WithCancel(t.Context())
				var waiting sync.WaitGroup
				waiting.Go(func() { // the first caller, who makes the call, has to go
					if _, fault, err := r.Open(gone, framed(1), 100, new(int)); fault != nil || !errors.Is(err, context.Canceled) {
						t.Errorf("who leaves gets %v, %v", fault, err)
					}
				})
				synctest.Wait()
				waiting.Go(func() {
					if text, fault, err := r.Open(t.Context(), framed(1), 100, new(int)); string(text) != `{"n":1}` || fault != nil || err != nil {
						t.Errorf("%s, %v, %v", text, fault, err)
					}
					if took := time.Since(began); took < outage || took > outage+30*time.Second {
						t.Errorf("it took %v", took)
					}
				})
				time.Sleep(time.Minute)
				leave()
				time.Sleep(time.Minute)
				if err := r.Health(); err == nil || !strings.Contains(err.Error(), "cannot be looked up") {
					t.Errorf("health says %v meanwhile", err)
				}
				waiting.Wait()
				if err := r.Health(); err != nil {
					t.Errorf("health says %v afterwards", err)
				}
				if calls < 20 || calls > 200 {
					t.Errorf("the registry was asked %d times in %v", calls, outage)
				}
			})
		})
	}
}

// A version that is unknown is looked for again after a while: the record goes to the error prefix, and its re-drive finds it.
func TestRegistry_LooksAgainForAnUnknownVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, known := 0, false
		r := newRegistry(serviceFunc(func(context.Context, string) (registry.Definition, error) {
			if calls++; !known {
				return registry.Definition{}, registry.ErrUnknown
			}
			return jsonDefinition, nil
		}))
		for range 1000 {
			if _, fault, err := r.Open(t.Context(), framed(1), 100, new(int)); fault == nil || fault.Code != record.CodeRegistrySchemaUnknown || err != nil {
				t.Fatalf("%v, %v", fault, err)
			}
		}
		if calls != 1 {
			t.Errorf("the registry was asked %d times for what it does not have", calls)
		}
		known = true
		time.Sleep(2 * time.Minute)
		if _, fault, err := r.Open(t.Context(), framed(1), 100, new(int)); fault != nil || err != nil {
			t.Errorf("%v, %v", fault, err)
		}
	})
}

// One Kinesis record cannot make any number of calls: a shard would wait for each. What the cache has is opened all the same.
func TestRegistry_LooksForFewVersionsOfARecordInVain(t *testing.T) {
	calls, id := 0, uuid.MustParse(anyID)
	r := newRegistry(serviceFunc(func(_ context.Context, id string) (registry.Definition, error) {
		if calls++; id != anyID {
			return registry.Definition{}, registry.ErrUnknown
		}
		return jsonDefinition, nil
	}))
	sound := record.Record{Data: slices.Concat([]byte{3, 0}, id[:], []byte(`{"a":1}`))}
	users := []record.Record{sound}
	for n := range 5000 {
		users = append(users, record.Record{Data: framed(n)})
	}
	users = append(users, sound)
	decoder, err := record.NewDecoder(record.DecoderOptions{Frames: r})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		calls = 0
		all, err := decoder.Append(t.Context(), nil, record.Record{Data: recordtest.AppendAggregate(nil, users)})
		if err != nil || len(all) != len(users) {
			t.Fatalf("%d of %d records, %v", len(all), len(users), err)
		}
		if calls > 20 {
			t.Errorf("the registry was asked %d times for one Kinesis record", calls)
		}
		for i, u := range all {
			if known := i == 0 || i == len(all)-1; known != (u.Fault == nil) || !known && u.Fault.Code != record.CodeRegistrySchemaUnknown {
				t.Fatalf("record %d: %v", i, u.Fault)
			}
		}
	}
}

// The cache is bounded: versions in use stay, others may be asked for again.
func TestRegistry_KeepsWhatIsInUse(t *testing.T) {
	asked := make(map[string]int)
	r := newRegistry(serviceFunc(func(_ context.Context, id string) (registry.Definition, error) {
		asked[id]++
		return jsonDefinition, nil
	}))
	for n := range 20_000 {
		for _, of := range []int{0, n} {
			if _, fault, err := r.Open(t.Context(), framed(of), 100, new(int)); fault != nil || err != nil {
				t.Fatal(fault, err)
			}
		}
	}
	if n := asked[uuid.UUID{}.String()]; n != 1 {
		t.Errorf("a version in use was looked up %d times", n)
	}
	if _, _, err := r.Open(t.Context(), framed(1), 100, new(int)); err != nil || asked[uuid.UUID{15: 1}.String()] != 2 {
		t.Errorf("a version not in use is kept for ever (%v)", err)
	}
}

// The client finds the endpoint that the SDK's client of AWS Glue finds.
func TestGlue_CallsWhereTheSDKCalls(t *testing.T) {
	for _, env := range []map[string]string{
		{"AWS_REGION": "eu-west-1"},
		{"AWS_REGION": "us-east-1", "AWS_USE_FIPS_ENDPOINT": "true"},
		{"AWS_REGION": "us-east-1", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
		{"AWS_REGION": "us-gov-west-1", "AWS_USE_FIPS_ENDPOINT": "true"},
		{"AWS_REGION": "cn-north-1"},
		{"AWS_REGION": "cn-north-1", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
		{"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": "http://all.test:1"},
		{"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": "http://all.test:1", "AWS_ENDPOINT_URL_GLUE": "http://glue.test:2/path"},
		{"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL_GLUE": "http://glue.test:2", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
	} {
		t.Run(fmt.Sprint(env), func(t *testing.T) {
			t.Setenv("AWS_ACCESS_KEY_ID", "test")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
			for name, value := range env {
				t.Setenv(name, value)
			}
			var seen []string
			account, err := config.LoadDefaultConfig(t.Context(), config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }))
			if err != nil {
				t.Fatal(err)
			}
			account.HTTPClient = clientFunc(func(r *http.Request) (*http.Response, error) {
				seen = append(seen, r.Method+" "+r.URL.String()+" "+r.Header.Get("X-Amz-Target")+" "+scope(r.Header.Get("Authorization")))
				return nil, errors.New("that is all")
			})
			if _, err := glue.NewFromConfig(account).GetSchemaVersion(t.Context(), &glue.GetSchemaVersionInput{SchemaVersionId: aws.String(anyID)}); err == nil || len(seen) != 1 {
				t.Fatalf("the SDK called %v, %v", seen, err)
			}
			ours, err := registry.NewGlue(t.Context(), account)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ours.SchemaVersion(t.Context(), anyID); err == nil || len(seen) != 2 || seen[0] != seen[1] {
				t.Errorf("the SDK calls %s, this client %v (%v)", seen[0], seen[1:], err)
			}
		})
	}
}

// scope is the scope of a signature, without the key and the date.
func scope(authorization string) string {
	parts := strings.Split(authorization, "/")
	if len(parts) < 4 {
		return authorization
	}
	return strings.Join(parts[2:4], "/")
}

type clientFunc func(*http.Request) (*http.Response, error)

func (f clientFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestGlue_TellsAnUnknownVersionFromEveryOtherFailure(t *testing.T) {
	service, err := registry.NewGlue(t.Context(), registrytest.Account(emulator.Moto(t).URL))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.SchemaVersion(t.Context(), anyID); !errors.Is(err, registry.ErrUnknown) {
		t.Errorf("moto does not have the version, and the error is %v", err)
	}
	for body, status := range map[string]int{
		`{"__type":"AccessDeniedException","Message":"not authorized"}`:          400,
		`{"__type":"com.amazonaws.glue#ThrottlingException","message":"slower"}`: 400,
		`{"__type":"InternalServiceException"}`:                                  500,
		`{}`:                                                                     200,
		`<html>`:                                                                 200,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}))
		service, err := registry.NewGlue(t.Context(), registrytest.Account(server.URL))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := service.SchemaVersion(t.Context(), anyID); err == nil || errors.Is(err, registry.ErrUnknown) || !strings.Contains(err.Error(), anyID) {
			t.Errorf("%d %s gives %v", status, body, err)
		}
		server.Close()
	}
}

// A host whose clock is wrong signs by the service's after the first refusal.
func TestGlue_TakesTheClockOfTheServiceOver(t *testing.T) {
	ahead := time.Hour
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now().Add(ahead)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil || signed.Sub(now).Abs() > 5*time.Minute {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"__type":"InvalidSignatureException"}`)
			return
		}
		if err := json.NewEncoder(w).Encode(map[string]string{"SchemaDefinition": "{}", "DataFormat": "JSON"}); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	service, err := registry.NewGlue(t.Context(), registrytest.Account(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.SchemaVersion(t.Context(), anyID); err == nil {
		t.Fatal("the wrong clock was not refused")
	}
	if _, err := service.SchemaVersion(t.Context(), anyID); err != nil {
		t.Error(err)
	}
}
