package shardmap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/streams"
)

const streamARN = "arn:aws:kinesis:us-east-1:123456789012:stream/trips"

// endpoint answers as Kinesis does, through the real client.
func endpoint(t *testing.T, answer func(w http.ResponseWriter, operation string, in map[string]any)) *kinesis.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in map[string]any
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Errorf("request: %v", err)
		}
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		answer(w, operation, in)
	}))
	t.Cleanup(server.Close)
	return kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL), RetryMaxAttempts: 1, HTTPClient: awshttp.Keep(nil),
		Credentials: credentials.NewStaticCredentialsProvider("k", "s", ""),
	})
}

func TestLister_ReadsAllPages(t *testing.T) {
	for _, stream := range []string{"trips", streamARN} {
		t.Run(stream, func(t *testing.T) {
			var asked []map[string]any
			api := endpoint(t, func(w http.ResponseWriter, operation string, in map[string]any) {
				asked = append(asked, in)
				if operation != "ListShards" {
					t.Errorf("operation %s", operation)
				}
				if in["NextToken"] == nil {
					fmt.Fprint(w, `{"NextToken":"more","Shards":[{"ShardId":"shardId-000000000000",
						"HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"9"},
						"SequenceNumberRange":{"StartingSequenceNumber":"10","EndingSequenceNumber":"20"}}]}`)
					return
				}
				fmt.Fprint(w, `{"Shards":[{"ShardId":"shardId-000000000002","ParentShardId":"shardId-000000000000",
					"AdjacentParentShardId":"shardId-000000000001","HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"19"},
					"SequenceNumberRange":{"StartingSequenceNumber":"30"}}]}`)
			})
			got, err := NewLister(api, streams.ID(stream)).ListShards(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := []Shard{
				{ID: "shardId-000000000000", HashStart: "0", HashEnd: "9", StartingSequence: "10", EndingSequence: "20", Closed: true},
				{ID: "shardId-000000000002", Parents: []string{"shardId-000000000000", "shardId-000000000001"},
					HashStart: "0", HashEnd: "19", StartingSequence: "30"},
			}
			if !reflect.DeepEqual(got.Shards, want) {
				t.Errorf("shards = %+v\nwant %+v", got, want)
			}
			wantAsked := []map[string]any{{"StreamName": "trips"}, {"NextToken": "more"}}
			if stream == streamARN {
				wantAsked = []map[string]any{{"StreamARN": streamARN}, {"NextToken": "more", "StreamARN": streamARN}}
			}
			if !reflect.DeepEqual(asked, wantAsked) {
				t.Errorf("requests = %v, want %v", asked, wantAsked)
			}
		})
	}
}

func TestLister_DescribesTheStreamWithTheServicesTime(t *testing.T) {
	served := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) // not the local time
	api := endpoint(t, func(w http.ResponseWriter, _ string, _ map[string]any) {
		w.Header().Set("Date", served.Format(http.TimeFormat))
		fmt.Fprintf(w, `{"StreamDescriptionSummary":{"StreamName":"trips","StreamARN":%q,"StreamStatus":"ACTIVE",
			"RetentionPeriodHours":24,"StreamCreationTimestamp":1700000000.5,"EnhancedMonitoring":[],"OpenShardCount":4}}`, streamARN)
	})
	got, err := NewLister(api, "trips").Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Stream{Name: "trips", ARN: streamARN, Created: time.UnixMilli(1700000000500).UTC(), Retention: 24 * time.Hour, OpenShards: 4, ServerTime: served}
	if !got.Created.Equal(want.Created) || !got.ServerTime.Equal(served) {
		t.Errorf("created %v, served %v; want %v, %v", got.Created, got.ServerTime, want.Created, served)
	}
	got.Created, got.ServerTime = want.Created, want.ServerTime
	if got != want {
		t.Errorf("stream = %+v, want %+v", got, want)
	}
}

// A listing is as old as its beginning, by the service's clock, however long its pages took.
func TestLister_KnowsWhenItsListingBegan(t *testing.T) {
	served := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) // not the local time
	const slow = 300 * time.Millisecond
	api := endpoint(t, func(w http.ResponseWriter, _ string, in map[string]any) {
		time.Sleep(slow)
		if in["NextToken"] == nil {
			w.Header().Set("Date", served.Format(http.TimeFormat))
			fmt.Fprint(w, `{"NextToken":"more","Shards":[{"ShardId":"shardId-000000000000"}]}`)
			return
		}
		w.Header().Set("Date", served.Add(time.Hour).Format(http.TimeFormat))
		fmt.Fprint(w, `{"Shards":[{"ShardId":"shardId-000000000001"}]}`)
	})
	began := time.Now()
	got, err := NewLister(api, "trips").ListShards(t.Context())
	if before := served.Sub(got.AsOf); err != nil || len(got.Shards) != 2 || before < slow || before > time.Since(began) {
		t.Errorf("%d shards as of %v, %v, want %v to %v before the first answer's date", len(got.Shards), got.AsOf, err, slow, time.Since(began))
	}
}

func TestLister_NamesTheStreamInErrors(t *testing.T) {
	api := endpoint(t, func(w http.ResponseWriter, _ string, _ map[string]any) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"__type":"ResourceNotFoundException","message":"no such stream"}`)
	})
	l := NewLister(api, "trips")
	_, listErr := l.ListShards(t.Context())
	_, describeErr := l.Describe(t.Context())
	for _, err := range []error{listErr, describeErr} {
		if _, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok || !strings.Contains(err.Error(), "trips") {
			t.Errorf("error = %v", err)
		}
	}
}

// script is an API that returns one answer after another.
type script struct {
	API
	answers []any // a page or an error
	asked   []string
}

func (s *script) ListShards(_ context.Context, in *kinesis.ListShardsInput, _ ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	s.asked = append(s.asked, aws.ToString(in.NextToken))
	answer := s.answers[0]
	s.answers = s.answers[1:]
	if err, ok := answer.(error); ok {
		return nil, err
	}
	return answer.(*kinesis.ListShardsOutput), nil
}

func page(token string, ids ...string) *kinesis.ListShardsOutput {
	out := &kinesis.ListShardsOutput{}
	if token != "" {
		out.NextToken = &token
	}
	for _, id := range ids {
		out.Shards = append(out.Shards, types.Shard{ShardId: aws.String(id)})
	}
	return out
}

func TestLister_ListingsAreCompleteOrAnError(t *testing.T) {
	throttle, expired := &types.LimitExceededException{}, &types.ExpiredNextTokenException{}
	for _, test := range []struct {
		name    string
		answers []any
		want    int // shards; 0 for an error
		asked   []string
	}{
		{"throttled on the second page", []any{page("t", "a"), throttle, throttle, page("", "b")}, 2, []string{"", "t", "t", "t"}},
		{"throttled without end", []any{throttle, throttle, throttle, throttle, throttle, throttle}, 0, []string{"", "", "", "", "", ""}},
		{"the token expires once", []any{page("t", "a"), expired, page("u", "a"), page("", "b")}, 2, []string{"", "t", "", "u"}},
		{"the token expires each time", []any{page("t", "a"), expired, page("u", "a"), expired}, 0, []string{"", "t", "", "u"}},
		{"the second page fails", []any{page("t", "a"), errors.New("reset")}, 0, []string{"", "t"}},
		{"no shard at all", []any{page("")}, 0, []string{""}},
		{"an empty page before another", []any{page("t"), page("", "a")}, 1, []string{"", "t"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &script{answers: test.answers}
				got, err := NewLister(api, "trips").ListShards(t.Context())
				if len(got.Shards) != test.want || (err == nil) != (test.want > 0) {
					t.Errorf("ListShards() = %d shards, %v; want %d", len(got.Shards), err, test.want)
				}
				if !reflect.DeepEqual(api.asked, test.asked) || len(api.answers) != 0 {
					t.Errorf("tokens asked for = %q, want %q; answers left: %d", api.asked, test.asked, len(api.answers))
				}
			})
		})
	}
}

func TestLister_StopsWaitingWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		api := &script{answers: slices.Repeat([]any{&types.LimitExceededException{}}, pageAttempts)}
		if _, err := NewLister(api, "trips").ListShards(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v, want the deadline's", err)
		}
	})
}

// silent accepts calls and never answers.
type silent struct{}

func (silent) ListShards(ctx context.Context, _ *kinesis.ListShardsInput, _ ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (silent) DescribeStreamSummary(ctx context.Context, _ *kinesis.DescribeStreamSummaryInput, _ ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestLister_GivesUpCallsThatAreNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLister(silent{}, "stream")
		for name, call := range map[string]func() error{
			"ListShards": func() error { _, err := l.ListShards(t.Context()); return err },
			"Describe":   func() error { _, err := l.Describe(t.Context()); return err },
		} {
			began := time.Now()
			if err := call(); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != callTimeout {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
		}
	})
}
