package function_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"aws-streaming-pipeline/consumer/transform/function"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/record"
)

const shard = "shardId-000000000003"

// The request is Firehose's, byte for byte but for the invocation id: its members are in the order in which the service sends
// them, and AWS's own type reads them.
func TestApply_SendsWhatFirehoseSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &front{t: t, answer: func(_ int, w http.ResponseWriter, event []byte) { upper(w, event) }}
		stage, stop := f.start()
		defer stop()
		in := trips(3)
		in[1].Aggregated, in[1].SubSequence, in[1].PartitionKey = true, 7, "a \"key\" \x00 \xff é"
		in[2].Split, in[2].Part, in[2].Data = true, 2, []byte{0, 255, '"'}
		if _, err := stage.Apply(t.Context(), shard, in); err != nil {
			t.Fatal(err)
		}
		id := regexp.MustCompile(`"invocationId":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"`)
		got := id.ReplaceAll(f.events[0], []byte(`"invocationId":"ID"`))
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile("testdata/request.json", append(got, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile("testdata/request.json")
		if err != nil {
			t.Fatal(err)
		}
		if string(got)+"\n" != string(want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		e, err := event(f.events[0])
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range e.Records {
			if r.RecordID != in[i].EventID() || !bytes.Equal(r.Data, in[i].Data) || !r.ApproximateArrivalTimestamp.Equal(in[i].Arrival) ||
				r.KinesisFirehoseRecordMetadata.SequenceNumber != in[i].SequenceNumber || r.KinesisFirehoseRecordMetadata.ShardID != shard {
				t.Errorf("record %d is %+v", i, r)
			}
		}
		if f.paths[0] != "/2015-03-31/functions/"+arn+"/invocations" {
			t.Errorf("the call went to %s", f.paths[0])
		}
	})
}

// Each record of a call has a fate of its own, by what the function answers for it.
func TestApply_TakesEachRecordByItsAnswer(t *testing.T) {
	for _, c := range []struct {
		name, answer string // <id> is the record's id
		want         string // "" for dropped
		keys         map[string]string
	}{
		{"changed", `{"recordId":"<id>","result":"Ok","data":"eyJhIjoxfQ=="}`, `{"a":1}`, nil},
		{"in lines", `{"recordId":"<id>","result":"Ok","data":"eyJh\nIjoxfQ==\n"}`, `{"a":1}`, nil},
		{"with an escaped slash", `{"recordId":"<id>","result":"Ok","data":"\/\/8="}`, "\xff\xff", nil},
		{"empty", `{"recordId":"<id>","result":"Ok","data":""}`, "EMPTY", nil},
		{"no JSON", `{"recordId":"<id>","result":"Ok","data":"bm8="}`, "no", nil},
		{"with keys", `{"recordId":"<id>","result":"Ok","data":"bm8=","metadata":{"partitionKeys":{"a":"x","b":12.50,"c":true,"d":null,"e":[1],"f":{}}}}`, "no",
			map[string]string{"a": "x", "b": "12.50", "c": "true", "d": "", "e": "", "f": ""}},
		{"dropped", `{"recordId":"<id>","result":"Dropped"}`, "", nil},
		{"dropped with data", `{"recordId":"<id>","result":"Dropped","data":"bm8="}`, "", nil},
		{"failed", `{"recordId":"<id>","result":"ProcessingFailed","data":"bm8="}`, "Lambda.ProcessingFailedStatus 1 {\"trip\":1}", nil},
		{"missing", `{"recordId":"other","result":"Ok","data":"bm8="}`, "Lambda.MissingRecordId 1 {\"trip\":1}", nil},
		{"without an id", `{"result":"Ok","data":"bm8="}`, "Lambda.MissingRecordId 1 {\"trip\":1}", nil},
		{"with a number as its id", `{"recordId":1,"result":"Ok","data":"bm8="}`, "Lambda.MissingRecordId 1 {\"trip\":1}", nil},
		{"that is a text", `"<id>"`, "Lambda.MissingRecordId 1 {\"trip\":1}", nil},
		{"twice", `{"recordId":"<id>","result":"Ok","data":"bm8="},{"recordId":"<id>","result":"Ok","data":"bm8="}`, "Lambda.DuplicatedRecordId 1 {\"trip\":1}", nil},
		{"thrice", `{"recordId":"<id>","result":"Ok","data":"bm8="},{"recordId":"<id>","result":"Dropped"},{"recordId":"<id>","result":"Dropped"}`,
			"Lambda.DuplicatedRecordId 1 {\"trip\":1}", nil},
		{"of an unknown result", `{"recordId":"<id>","result":"OK","data":"bm8="}`, "Lambda.InvalidReturnFormat 1 {\"trip\":1}", nil},
		{"without a result", `{"recordId":"<id>","data":"bm8="}`, "Lambda.InvalidReturnFormat 1 {\"trip\":1}", nil},
		{"without data", `{"recordId":"<id>","result":"Ok"}`, "Lambda.InvalidReturnFormat 1 {\"trip\":1}", nil},
		{"with null", `{"recordId":"<id>","result":"Ok","data":null}`, "Lambda.InvalidReturnFormat 1 {\"trip\":1}", nil},
		{"that is not base64", `{"recordId":"<id>","result":"Ok","data":"{\"a\":1}"}`, "Lambda.InvalidReturnFormat 1 {\"trip\":1}", nil},
		{"with an object", `{"recordId":"<id>","result":"Ok","data":{"a":1}}`, "Lambda.InvalidReturnFormat 1 {\"trip\":1}", nil},
		{"in base64 without padding", `{"recordId":"<id>","result":"Ok","data":"bm8"}`, "Lambda.InvalidReturnFormat 1 {\"trip\":1}", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in := trips(3)
				f := &front{t: t, answer: func(_ int, w http.ResponseWriter, _ []byte) {
					// The other two are answered well, in another order.
					ok := `{"recordId":"%s","result":"Ok","data":"` + base64.StdEncoding.EncodeToString([]byte("well")) + `"}`
					fmt.Fprintf(w, `{"records":[`+ok+`,%s,`+ok+`]}`, in[2].EventID(), strings.ReplaceAll(c.answer, "<id>", in[1].EventID()), in[0].EventID())
				}}
				stage, stop := f.start()
				defer stop()
				out, err := stage.Apply(t.Context(), shard, in)
				if err != nil {
					t.Fatal(err)
				}
				want, dropped := "well\n"+c.want+"\nwell", 0
				if c.want == "" {
					want, dropped = "well\nwell", 1
				}
				want = strings.ReplaceAll(want, "EMPTY", "")
				if got := fates(out.Records); got != want || out.Dropped != dropped || out.Added != 0 || f.calls() != 1 {
					t.Errorf("got\n%s\nwant\n%s\n%d dropped, %d calls", got, want, out.Dropped, f.calls())
				}
				if c.want != "" {
					r := out.Records[1]
					if fmt.Sprint(r.Keys) != fmt.Sprint(c.keys) {
						t.Errorf("keys %v, want %v", r.Keys, c.keys)
					}
					if r.Fault != nil && (r.Fault.Function != arn || r.Fault.Type != record.ProcessingFailed || r.Fault.Message == "") {
						t.Errorf("fault %+v", r.Fault)
					}
				}
				if in[1].Fault != nil || string(in[1].Data) != `{"trip":1}` {
					t.Error("the input has changed")
				}
				if extra := strings.Contains(f.logged(), "was not given"); extra != (strings.Contains(c.answer, "other") || !strings.Contains(c.answer, `Id":"<id>`)) {
					t.Errorf("the log says %q", f.logged())
				}
			})
		})
	}
}

// A record that has a fault already is not sent, and keeps its place.
func TestApply_PassesFaultsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &front{t: t, answer: func(_ int, w http.ResponseWriter, event []byte) { upper(w, event) }}
		stage, stop := f.start()
		defer stop()
		in := trips(3)
		in[1].Fault = &record.Fault{Type: record.ProcessingFailed, Code: record.CodeGzipCorrupt}
		out, err := stage.Apply(t.Context(), shard, in)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fates(out.Records), "{\"TRIP\":0}\nGzip.Corrupt 0 {\"trip\":1}\n{\"TRIP\":2}"; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if e, err := event(f.events[0]); err != nil || len(e.Records) != 2 {
			t.Errorf("%d records were sent, %v", len(e.Records), err)
		}
		// Without anything to send there is no call.
		in = in[1:2]
		if out, err = stage.Apply(t.Context(), shard, in); err != nil || len(out.Records) != 1 || f.calls() != 1 {
			t.Errorf("%d records, %d calls, %v", len(out.Records), f.calls(), err)
		}
	})
}

// refuse answers as Lambda does (AWS Lambda API Reference, "Invoke", errors).
func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", code)
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"Type":"User","Message":"planted %s"}`, code)
}

// fail answers as Lambda does for a function that has failed.
func fail(w http.ResponseWriter, answer string) {
	w.Header().Set("X-Amz-Function-Error", "Unhandled")
	fmt.Fprint(w, answer)
}

// A call that goes wrong in one of these ways is repeated: as often as TRANSFORM_RETRIES says if the function was called, and
// otherwise until it is.
func TestApply_RepeatsCalls(t *testing.T) {
	refusal := func(status int, code string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { refuse(w, status, code) }
	}
	failing := func(answer string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { fail(w, answer) }
	}
	for _, c := range []struct {
		name   string
		wrong  func(http.ResponseWriter)
		code   string // of the records if it lasts; "" if it is waited for
		result string
	}{
		{"throttled", refusal(429, "TooManyRequestsException"), "", "throttled"},
		{"throttled in a VPC", refusal(502, "EC2ThrottledException"), "", "throttled"},
		{"not permitted", refusal(403, "AccessDeniedException"), "", "refused"},
		{"no such function", refusal(404, "ResourceNotFoundException"), "", "refused"},
		{"its key is disabled", refusal(502, "KMSDisabledException"), "", "unavailable"},
		{"still being made", refusal(409, "ResourceConflictException"), "", "refused"},
		{"expired credentials", refusal(403, "ExpiredTokenException"), "", "refused"},
		{"service error", refusal(500, "ServiceException"), "", "unavailable"},
		{"bad gateway", func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) }, "", "unavailable"},
		{"no answer", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, "", "unavailable"},
		{"torn", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"records":[`)
		}, "", "unavailable"},
		{"torn without a length", func(w http.ResponseWriter) {
			fmt.Fprint(w, `{"records":[`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "", "unavailable"},
		{"failed", failing(`{"errorType":"KeyError","errorMessage":"'secret'"}`), "Lambda.FunctionError", "failed"},
		{"failed with an empty answer", failing(""), "Lambda.FunctionError", "failed"},
		{"timed out", failing(`{"errorMessage":"2026-11-28T12:00:00Z 5d8a Task timed out after 3.00 seconds"}`), "Lambda.FunctionTimedOut", "timeout"},
		{"timed out by its type", failing(`{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 5d8a Error: Task timed out after 3.00 seconds"}`), "Lambda.FunctionTimedOut", "timeout"},
		{"silent", func(http.ResponseWriter) { time.Sleep(time.Hour) }, "Lambda.FunctionTimedOut", "timeout"},
		{"trickling", func(w http.ResponseWriter) {
			for range 60 {
				fmt.Fprint(w, " ")
				w.(http.Flusher).Flush()
				time.Sleep(time.Minute)
			}
		}, "Lambda.FunctionTimedOut", "timeout"},
		{"no body", func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) }, "Lambda.JsonProcessingException", "unreadable"},
		{"a page", func(w http.ResponseWriter) { fmt.Fprint(w, "<html>") }, "Lambda.JsonProcessingException", "unreadable"},
		{"cut off", func(w http.ResponseWriter) { fmt.Fprint(w, `{"records":[`) }, "Lambda.JsonProcessingException", "unreadable"},
	} {
		for _, times := range []int{3, 4, 40} {
			t.Run(fmt.Sprintf("%s %d times", c.name, times), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := &front{t: t}
					f.answer = func(n int, w http.ResponseWriter, event []byte) {
						if n <= times {
							c.wrong(w)
							return
						}
						upper(w, event)
					}
					stage, stop := f.start()
					defer stop()
					in := trips(2)
					var named string
					watched, watching := context.WithCancel(t.Context())
					go func() { // what the check says meanwhile
						for watched.Err() == nil {
							if err := stage.Health(); err != nil {
								named = err.Error()
							}
							time.Sleep(time.Second)
						}
					}()
					out, err := stage.Apply(t.Context(), shard, in)
					watching()
					synctest.Wait()
					time.Sleep(2 * time.Second) // the watcher has ended
					if err != nil {
						t.Fatal(err)
					}
					want, calls, wrong := "{\"TRIP\":0}\n{\"TRIP\":1}", times+1, times
					if c.code != "" && times > 3 {
						want, calls, wrong = fmt.Sprintf("%[1]s 4 {\"trip\":0}\n%[1]s 4 {\"trip\":1}", c.code), 4, 4
					}
					if got := fates(out.Records); got != want || f.calls() != calls || f.count(c.result) != wrong {
						t.Errorf("got\n%s\nwant\n%s\nafter %d calls, want %d, %d of them %s", got, want, f.calls(), calls, f.count(c.result), c.result)
					}
					// Few failures may or may not be named, which depends on when somebody looks.
					says := strings.HasPrefix(named, "shard "+shard+" waits for the function "+arn)
					if c.code == "" && times == 40 && !says || c.code != "" && named != "" {
						t.Errorf("the check said %q", named)
					}
					if err := stage.Health(); err != nil {
						t.Errorf("afterwards the check says %v", err)
					}
					if held := f.held.Used(); held != 0 {
						t.Errorf("%d bytes are still held", held)
					}
					if log := f.logged(); strings.Contains(log, "secret") || strings.Contains(fmt.Sprint(out.Records), "secret") {
						t.Errorf("the function's text is in the log or a record: %s", log)
					}
				})
			})
		}
	}
}

// An answer without records is the function's, and final: Firehose does not repeat such a call either.
func TestApply_DoesNotRepeatWhatTheFunctionAnswered(t *testing.T) {
	for _, answer := range []string{`null`, `{}`, `[]`, `"ok"`, `{"records":null}`, `{"records":{}}`, `{"records":[]}`} {
		t.Run(answer, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &front{t: t, answer: func(_ int, w http.ResponseWriter, _ []byte) { fmt.Fprint(w, answer) }}
				stage, stop := f.start()
				defer stop()
				out, err := stage.Apply(t.Context(), shard, trips(1))
				if got := fates(out.Records); err != nil || got != `Lambda.MissingRecordId 1 {"trip":0}` || f.calls() != 1 {
					t.Errorf("got %s, %v, after %d calls", got, err, f.calls())
				}
			})
		})
	}
}

// An answer that is too large is had in halves, down to the record that makes it so.
func TestApply_HalvesWhatIsTooLarge(t *testing.T) {
	for name, tooLarge := range map[string]func(http.ResponseWriter){
		"Lambda says so": func(w http.ResponseWriter) {
			fail(w, `{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`)
		},
		"the service refuses the request": func(w http.ResponseWriter) { refuse(w, 413, "RequestTooLargeException") },
		"it comes":                        func(w http.ResponseWriter) { fmt.Fprintf(w, `{"x":%q}`, strings.Repeat("x", 7<<20)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &front{t: t, answer: func(_ int, w http.ResponseWriter, text []byte) {
					e, err := event(text)
					if err != nil {
						t.Error(err)
					}
					if slices.ContainsFunc(e.Records, func(r events.KinesisFirehoseEventRecord) bool { return string(r.Data) == `{"trip":5}` }) {
						tooLarge(w)
						return
					}
					upper(w, text)
				}}
				stage, stop := f.start()
				defer stop()
				out, err := stage.Apply(t.Context(), shard, trips(8))
				if err != nil {
					t.Fatal(err)
				}
				code := "Lambda.ResponseTooLarge"
				if strings.Contains(name, "request") {
					code = "Lambda.RequestTooLarge"
				}
				want := "{\"TRIP\":0}\n{\"TRIP\":1}\n{\"TRIP\":2}\n{\"TRIP\":3}\n{\"TRIP\":4}\n" + code + " 1 {\"trip\":5}\n{\"TRIP\":6}\n{\"TRIP\":7}"
				if got := fates(out.Records); got != want || f.calls() != 7 {
					t.Errorf("got\n%s\nwant\n%s\nafter %d calls, want 7", got, want, f.calls())
				}
			})
		})
	}
}

// Calls have at most the buffer's bytes, and no request as many as Lambda refuses.
func TestApply_KeepsCallsWithinTheirSizes(t *testing.T) {
	sizes := func(sizes ...int) []record.Record {
		list := trips(len(sizes))
		for i, n := range sizes {
			list[i].Data = bytes.Repeat([]byte{'x'}, n)
		}
		return list
	}
	tiny := trips(20_000)
	odd := trips(6_000)
	for i := range odd {
		odd[i].PartitionKey = strings.Repeat("\x01", 256)
	}
	for _, c := range []struct {
		name   string
		buffer int64
		in     []record.Record
		calls  int
		failed int
	}{
		{"one call", 1 << 20, sizes(1<<19, 1<<19), 1, 0},
		{"a byte more", 1 << 20, sizes(1<<19, 1<<19+1), 2, 0},
		{"one that is larger than the buffer", 200_000, sizes(100, 300_000, 100), 3, 0},
		{"the largest buffer", 3 << 20, sizes(1<<20, 1<<20, 1<<20), 1, 0},
		{"one that is too large", 1 << 20, sizes(100, 5<<20, 100), 1, 1},
		{"very many", 3 << 20, tiny, 2, 0},
		{"keys that grow", 3 << 20, odd, 2, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &front{t: t}
				f.answer = func(_ int, w http.ResponseWriter, text []byte) {
					e, err := event(text)
					payload := 0
					for _, r := range e.Records {
						payload += len(r.Data)
					}
					if err != nil || len(text) >= 6<<20 || int64(payload) > c.buffer && len(e.Records) > 1 {
						t.Errorf("%d bytes with %d records of %d, %v", len(text), len(e.Records), payload, err)
					}
					upper(w, text)
				}
				stage, stop := f.start(func(cfg *function.Config) { cfg.BufferSize = c.buffer })
				defer stop()
				out, err := stage.Apply(t.Context(), shard, c.in)
				if err != nil {
					t.Fatal(err)
				}
				failed := 0
				for i, r := range out.Records {
					if r.EventID() != c.in[i].EventID() {
						t.Fatalf("record %d is out of order", i)
					}
					if r.Fault != nil {
						failed++
						if r.Fault.Code != function.CodeRequestTooLarge || r.Fault.Attempts != 0 || r.Fault.Function != arn {
							t.Errorf("fault %+v", r.Fault)
						}
					}
				}
				if f.calls() != c.calls || failed != c.failed || len(out.Records) != len(c.in) {
					t.Errorf("%d calls, want %d; %d failed, want %d", f.calls(), c.calls, failed, c.failed)
				}
			})
		})
	}
}

// Calls run side by side, and their results are in the order of the records whoever answers first. The memory of all calls
// together has a bound.
func TestApply_CallsSideBySideInOrder(t *testing.T) {
	for _, c := range []struct{ concurrency, shards, most int }{{1, 1, 1}, {5, 1, 5}, {3, 2, 6}, {5, 100, 11}} {
		t.Run(fmt.Sprintf("%d of %d shards", c.concurrency, c.shards), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in := trips(12)
				for i := range in {
					in[i].Data = fmt.Appendf(nil, "%02d%s", i, strings.Repeat("x", 1<<16-2))
				}
				f := &front{t: t, memory: 16 << 20}
				f.answer = func(n int, w http.ResponseWriter, text []byte) {
					time.Sleep(time.Duration(100-n%100) * time.Second) // the later, the sooner
					var e struct{ Records []struct{ RecordID string } }
					if err := json.Unmarshal(text, &e); err != nil {
						t.Error(err)
					}
					fmt.Fprintf(w, `{"records":[{"recordId":%q,"result":"Ok","data":"bm8="}]}`, e.Records[0].RecordID)
				}
				stage, stop := f.start(func(cfg *function.Config) { cfg.Concurrency, cfg.BufferSize = c.concurrency, 1<<16 })
				defer stop()
				errs := make(chan error)
				for range c.shards {
					go func() {
						out, err := stage.Apply(t.Context(), shard, in[:min(12, 600/c.shards)])
						for i := range out.Records {
							if out.Records[i].EventID() != in[i].EventID() {
								err = errors.New("out of order")
							}
						}
						errs <- err
					}()
				}
				for range c.shards {
					if err := <-errs; err != nil {
						t.Error(err)
					}
				}
				if f.most != c.most {
					t.Errorf("%d calls at a time, want %d", f.most, c.most)
				}
				if held := f.held.Held(budget.Received); held != 0 {
					t.Errorf("%d bytes are still held", held)
				}
			})
		})
	}
}

// Apply ends with its context, with the cause, and leaves no trouble: during a call, in a pause, and while it waits for room.
func TestApply_EndsWithItsContext(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter){
		"during a call":            func(http.ResponseWriter) { time.Sleep(time.Minute) },
		"while it waits":           func(w http.ResponseWriter) { refuse(w, 403, "AccessDeniedException") },
		"while it is repeated":     func(w http.ResponseWriter) { fail(w, "{}") },
		"while an answer trickles": func(w http.ResponseWriter) { w.(http.Flusher).Flush(); time.Sleep(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &front{t: t, answer: func(_ int, w http.ResponseWriter, _ []byte) { answer(w) }}
				stage, stop := f.start(func(cfg *function.Config) { cfg.Retries = 1000 })
				defer stop()
				ctx, cancel := context.WithCancelCause(t.Context())
				cause := errors.New("the lease is lost")
				time.AfterFunc(20*time.Second, func() { cancel(cause) })
				began := time.Now()
				_, err := stage.Apply(ctx, shard, trips(2))
				if took := time.Since(began); !errors.Is(err, cause) || took != 20*time.Second {
					t.Errorf("ended with %v after %v", err, took)
				}
				if err := stage.Health(); err != nil || f.held.Used() != 0 {
					t.Errorf("afterwards the check says %v, %d bytes are held", err, f.held.Used())
				}
			})
		})
	}
}

// What an answer has made of records counts with its partition keys, which may be larger than the payload.
func TestApply_CountsPartitionKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := ""
		f := &front{t: t, answer: func(_ int, w http.ResponseWriter, text []byte) {
			e, err := event(text)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(w, `{"records":[{"recordId":%q,"result":"Ok","data":"bm8=","metadata":{"partitionKeys":{%s}}}]}`, e.Records[0].RecordID, keys)
		}}
		stage, stop := f.start()
		defer stop()
		for _, c := range []struct {
			keys  string
			least int64
		}{{"", 2}, {`"a":"x"`, 300}, {fmt.Sprintf(`"a":%q,%q:"x"`, strings.Repeat("x", 1<<20), strings.Repeat("y", 1<<20)), 2 << 20}} {
			keys = c.keys
			out, err := stage.Apply(t.Context(), shard, trips(1))
			if err != nil || out.Bytes < c.least || out.Bytes > c.least+1000 {
				t.Errorf("keys of %d bytes hold %d, want at least %d; %v", len(c.keys), out.Bytes, c.least, err)
			}
		}
	})
}

// panicking is a client with a bug.
type panicking struct{}

func (panicking) Invoke(context.Context, *lambda.InvokeInput, ...func(*lambda.Options)) (*lambda.InvokeOutput, error) {
	panic("secret")
}

// A panic fails the records of its call, and the process goes on.
func TestApply_SurvivesPanics(t *testing.T) {
	name, err := function.ParseARN(arn)
	if err != nil {
		t.Fatal(err)
	}
	stage := function.New(function.Config{Function: name, Stream: func() string { return "" }, BufferSize: 1 << 20, Concurrency: 1, Timeout: time.Minute},
		function.Parts{Client: panicking{}, Budget: budget.New(256<<20, nil), Log: slog.New(slog.DiscardHandler)})
	out, err := stage.Apply(t.Context(), shard, trips(2))
	if err != nil || len(out.Records) != 2 {
		t.Fatal(out, err)
	}
	for _, r := range out.Records {
		if r.Fault == nil || r.Fault.Code != record.CodeRecordPanicked || strings.Contains(r.Fault.Message, "secret") {
			t.Errorf("fault %+v", r.Fault)
		}
	}
}

func TestParseARN(t *testing.T) {
	for _, text := range []string{
		arn, "arn:aws:lambda:eu-west-1:123456789012:function:mask", "arn:aws-cn:lambda:cn-north-1:123456789012:function:mask:42",
		"arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:mask:$LATEST",
	} {
		if a, err := function.ParseARN(text); err != nil || a.String() != text {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{
		"", "mask", "arn:aws:lambda:eu-west-1:123456789012:function:", "arn:aws:lambda:eu-west-1:123456789012:layer:mask",
		"arn:aws:lambda:eu-west-1:1234:function:mask", "arn:aws:lambda::123456789012:function:mask", arn + ":x", arn + "\n",
	} {
		if _, err := function.ParseARN(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
