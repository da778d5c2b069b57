package kcl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	par "github.com/vmware/vmware-go-kcl-v2/clientlibrary/partition"
)

// board is a Driver that offers shards and watches how they are read. Faults go to faults, not to t, because sessions
// end after the test's body has.
type board struct {
	mu      sync.Mutex
	offered map[string]bool
	open    map[string]*boardSession
	opens   map[string]int
	nexts   map[string]int
	closes  map[string]int
	faults  []string

	next    func(ctx context.Context, s *boardSession) error
	process func(ctx context.Context, s *boardSession) error
	refuse  func(shard string) bool
	close   func(s *boardSession)

	panicOpen, panicClose func() bool
}

type boardSession struct {
	board *board
	shard string
	nth   int // number among this shard's sessions, from 1
	busy  bool
	lost  chan struct{}
	state string
}

func newBoard(shards ...string) *board {
	b := &board{
		offered: map[string]bool{}, open: map[string]*boardSession{},
		opens: map[string]int{}, nexts: map[string]int{}, closes: map[string]int{},
	}
	for _, s := range shards {
		b.offered[s] = true
	}
	b.next = waitSecond
	b.process = func(context.Context, *boardSession) error { return nil }
	b.refuse = func(string) bool { return false }
	b.close = func(*boardSession) {}
	b.panicOpen = func() bool { return false }
	b.panicClose = b.panicOpen
	return b
}

// waitSecond is the Next of a shard without records.
func waitSecond(ctx context.Context, s *boardSession) error {
	select {
	case <-time.After(time.Second):
		return nil
	case <-s.lost:
		return errors.New("lease lost")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *board) fault(format string, args ...any) {
	b.faults = append(b.faults, fmt.Sprintf(format, args...))
}

func (b *board) Shards() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var shards []string
	for s := range b.offered {
		shards = append(shards, s)
	}
	return shards
}

func (b *board) Open(shard string) (Session, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open[shard] != nil {
		b.fault("%s: opened while a session is open", shard)
	}
	if b.panicOpen() {
		panic("Open")
	}
	if b.refuse(shard) {
		return nil, false
	}
	b.opens[shard]++
	s := &boardSession{board: b, shard: shard, nth: b.opens[shard], lost: make(chan struct{}), state: "open"}
	b.open[shard] = s
	return s, true
}

// enter checks the order of a session's calls.
func (s *boardSession) enter(call string, allowed ...string) func(after string) {
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	if s.busy {
		s.board.fault("%s: %s during another call", s.shard, call)
	}
	if !slices.Contains(allowed, s.state) {
		s.board.fault("%s: %s in state %q", s.shard, call, s.state)
	}
	s.busy = true
	if call == "Next" {
		s.board.nexts[s.shard]++
	}
	return func(after string) {
		s.board.mu.Lock()
		defer s.board.mu.Unlock()
		s.busy, s.state = false, after
	}
}

func (s *boardSession) Next(ctx context.Context) (err error) {
	leave := s.enter("Next", "open", "processed")
	after := "failed"
	defer func() { leave(after) }()
	if err = s.board.next(ctx, s); err == nil {
		after = "fetched"
	}
	return err
}

func (s *boardSession) Process(ctx context.Context) (err error) {
	leave := s.enter("Process", "fetched")
	after := "failed"
	defer func() { leave(after) }()
	if err = s.board.process(ctx, s); err == nil {
		after = "processed"
	}
	return err
}

func (s *boardSession) Close() {
	defer s.enter("Close", "open", "fetched", "processed", "failed")("closed")
	s.board.close(s)
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	s.board.closes[s.shard]++
	if s.board.open[s.shard] != s {
		s.board.fault("%s: closed although it is not the open session", s.shard)
	}
	delete(s.board.open, s.shard)
	if s.board.panicClose() {
		panic("Close")
	}
}

// check fails the test for any recorded fault, and for sessions that were not closed exactly once.
func (b *board) check(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.faults {
		t.Error(f)
	}
	for shard, n := range b.opens {
		if b.closes[shard] != n {
			t.Errorf("%s: %d sessions opened, %d closed", shard, n, b.closes[shard])
		}
	}
}

func (b *board) offer(shards ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range shards {
		b.offered[s] = true
	}
}

func (b *board) withdraw(shards ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range shards {
		delete(b.offered, s)
	}
}

func (b *board) reading() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var shards []string
	for s := range b.open {
		shards = append(shards, s)
	}
	slices.Sort(shards)
	return shards
}

func (b *board) isOffered(shard string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.offered[shard]
}

// progress is the number of calls of Next for each shard.
func (b *board) progress() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.nexts)
}

var testConfig = Config{Application: "app", Stream: "stream", Worker: testWorker}

// start runs an engine in the test's bubble, stops it at the end, and checks its Run and the board.
func start(t *testing.T, b *board, e *Engine) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		b.check(t)
	}
}

func TestEngine_ReadsEveryShardOfferedUntilItIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard("a", "b", "c")
		stop := start(t, b, New(testConfig, b))
		time.Sleep(time.Second)
		if got := b.reading(); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("after a second %q are read", got)
		}
		b.offer("d")
		time.Sleep(200 * time.Millisecond)
		if got := b.reading(); !slices.Contains(got, "d") {
			t.Errorf("200 ms after d was offered %q are read", got)
		}
		began := time.Now()
		stop()
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("stop took %v while sessions waited in Next", took)
		}
	})
}

// A session of a finished shard is closed and not opened again while its shard is not offered; a session that failed is
// closed and opened again.
func TestEngine_ClosesASessionThatHasEndedAndOpensTheShardAgain(t *testing.T) {
	for _, test := range []struct {
		name  string
		plant func(b *board)
	}{
		{"Next fails", func(b *board) {
			b.next = func(ctx context.Context, s *boardSession) error {
				if s.nth == 1 {
					return errors.New("lease lost")
				}
				return waitSecond(ctx, s)
			}
		}},
		{"Next fails with an error that the library would retry", func(b *board) {
			b.next = func(ctx context.Context, s *boardSession) error {
				if s.nth == 1 {
					return fmt.Errorf("read: %w", &types.ProvisionedThroughputExceededException{})
				}
				return waitSecond(ctx, s)
			}
		}},
		{"Next panics", func(b *board) {
			b.next = func(ctx context.Context, s *boardSession) error {
				if s.nth == 1 {
					panic("Next")
				}
				return waitSecond(ctx, s)
			}
		}},
		{"Process fails", func(b *board) {
			b.process = func(_ context.Context, s *boardSession) error {
				if s.nth == 1 {
					return errors.New("batch dropped")
				}
				return nil
			}
		}},
		{"Process panics", func(b *board) {
			b.process = func(_ context.Context, s *boardSession) error {
				if s.nth == 1 {
					panic("Process")
				}
				return nil
			}
		}},
		{"the shard ends and is offered nevertheless", func(b *board) {
			b.next = func(ctx context.Context, s *boardSession) error {
				if s.nth == 1 {
					return ErrShardEnd
				}
				return waitSecond(ctx, s)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoard("a")
				test.plant(b)
				stop := start(t, b, New(testConfig, b))
				time.Sleep(3 * time.Second)
				stop()
				if b.opens["a"] != 2 {
					t.Errorf("%d sessions were opened", b.opens["a"])
				}
			})
		})
	}
}

func TestEngine_GivesEachSessionItsTimeAtLeast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard("a")
		b.next = func(context.Context, *boardSession) error { return nil }
		stop := start(t, b, New(testConfig, b))
		time.Sleep(20 * time.Second)
		stop()
		// The library adds a millisecond to each cycle, and nothing more.
		if n := b.nexts["a"]; n < 19_500/206 || n > 20_000/205+1 {
			t.Errorf("%d calls of Next in 20 s", n)
		}
	})
}

func TestEngine_StopsWhileSessionsAreAtWork(t *testing.T) {
	for _, test := range []struct {
		name  string
		plant func(b *board)
	}{
		{"in Next", func(b *board) {
			b.next = func(ctx context.Context, _ *boardSession) error {
				<-ctx.Done()
				return ctx.Err()
			}
		}},
		{"in Process", func(b *board) {
			b.process = func(ctx context.Context, _ *boardSession) error {
				<-ctx.Done()
				return ctx.Err()
			}
		}},
		{"between both", func(b *board) {
			b.next = func(context.Context, *boardSession) error { return nil }
		}},
		{"in Close", func(b *board) {
			b.next = func(context.Context, *boardSession) error { return errors.New("lease lost") }
			b.close = func(*boardSession) { time.Sleep(100 * time.Millisecond) }
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoard("a", "b", "c")
				test.plant(b)
				stop := start(t, b, New(testConfig, b))
				time.Sleep(2100 * time.Millisecond)
				began := time.Now()
				stop()
				if took := time.Since(began); took > 300*time.Millisecond {
					t.Errorf("stop took %v", took)
				}
			})
		})
	}
}

func TestEngine_NamesTheShardsThatDoNotStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard("a", "b")
		b.next = func(ctx context.Context, s *boardSession) error {
			if s.shard == "b" {
				time.Sleep(time.Minute) // hangs
			}
			return waitSecond(ctx, s)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		err := New(testConfig, b).Run(ctx)
		if err == nil || !strings.HasSuffix(err.Error(), ": b") || time.Since(began) != 12*time.Second {
			t.Errorf("Run: %v after %v", err, time.Since(began))
		}
		time.Sleep(time.Minute)
		b.check(t)
	})
}

func TestEngine_RunsOnceAndOnlyWithACompleteConfig(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := New(testConfig, newBoard())
	if err := e.Run(ctx); err != nil {
		t.Errorf("first Run: %v", err)
	}
	if err := e.Run(ctx); err == nil {
		t.Error("second Run began")
	}
	err := New(Config{Tick: 1, StopWithin: -1}, newBoard()).Run(ctx)
	for _, want := range []string{"Application", "Stream", "Worker", "Tick", "StopWithin"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run with a config without values does not name %s: %v", want, err)
		}
	}
}

// The registry's answer to GetLease in each state of a status: the table of the package comment.
func TestRegistry_OpensASessionForAFreshStatusOnly(t *testing.T) {
	b := newBoard("a")
	r := newRegistry(b, Config{Worker: testWorker, Logger: slog.New(slog.DiscardHandler)})
	r.ctx = t.Context()
	status := func() *par.ShardStatus { return &par.ShardStatus{ID: "a", Mux: new(sync.RWMutex)} }
	check := func(when string, s *par.ShardStatus, granted bool, owner string) {
		t.Helper()
		err := checkpointer{r}.GetLease(s, testWorker)
		if (err == nil) != granted || s.GetLeaseOwner() != owner {
			t.Errorf("%s: GetLease answers %v, owner %q", when, err, s.GetLeaseOwner())
		}
	}
	first, second := status(), status()
	check("fresh", first, true, testWorker)
	check("renewal", first, true, testWorker)
	check("another status of a shard that is read", second, false, "")
	first.SetLeaseOwner("") // as the library does when the consumer ends
	check("renewal or event loop, while it is released", first, false, "")
	checkpointer{r}.RemoveLeaseOwner("a")
	check("renewal or event loop, after the release", first, false, "")
	if list, err := r.list(); err != nil || len(list) != 0 {
		t.Errorf("first listing after the release: %q, %v", list, err)
	}
	if list, err := r.list(); err != nil || len(list) != 1 {
		t.Errorf("second listing after the release: %q, %v", list, err)
	}
	check("the other status, still fresh", second, true, testWorker)
	check("late renewal of the first session", first, false, "")
	second.SetLeaseOwner("")
	checkpointer{r}.RemoveLeaseOwner("a")
	checkpointer{r}.RemoveLeaseOwner("a") // nothing is left to release
	if b.opens["a"] != 2 {
		t.Errorf("%d sessions were opened", b.opens["a"])
	}
	b.check(t)
}

func TestRegistry_AnswersNothingForASessionThatIsClosed(t *testing.T) {
	b := newBoard("a")
	r := newRegistry(b, Config{Worker: testWorker, Logger: slog.New(slog.DiscardHandler)})
	r.ctx = t.Context()
	client := newClient(r.answer)
	ctx := t.Context()
	iterator := func() (string, error) {
		out, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{ShardId: aws.String("a"), ShardIteratorType: types.ShardIteratorTypeLatest})
		if err != nil {
			return "", err
		}
		return *out.ShardIterator, nil
	}
	if _, err := iterator(); !errors.Is(err, errEnded) {
		t.Errorf("GetShardIterator without a session: %v", err)
	}
	open := func() {
		if err := r.getLease(&par.ShardStatus{ID: "a", Mux: new(sync.RWMutex)}); err != nil {
			t.Fatal(err)
		}
	}
	open()
	old, err := iterator()
	if err != nil {
		t.Fatal(err)
	}
	r.release("a")
	open()
	if _, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: &old}); !errors.Is(err, errEnded) {
		t.Errorf("GetRecords with the iterator of a session that is closed: %v", err)
	}
	r.release("a")
	if _, err := client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("s")}); !errors.Is(err, errUnused) {
		t.Errorf("an operation that nobody answers: %v", err)
	}
	b.check(t)
}

// lines is a slog.Handler that keeps what is logged.
type lines struct {
	mu   sync.Mutex
	kept []slog.Record
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lines) WithGroup(string) slog.Handler            { return l }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, r.Clone())
	return nil
}

func (l *lines) count(level slog.Level, message string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.kept {
		if r.Level == level && strings.HasPrefix(r.Message, message) {
			n++
		}
	}
	return n
}

func TestEngine_LogsTheEndOfASessionOnceAndKeepsTheLibraryDown(t *testing.T) {
	for _, test := range []struct {
		name  string
		end   func() error
		level slog.Level
	}{
		{"lost", func() error { return errors.New("lease lost") }, slog.LevelInfo},
		{"at the end", func() error { return ErrShardEnd }, slog.LevelInfo},
		{"panic", func() error { panic("Next") }, slog.LevelError},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &lines{}
				cfg := testConfig
				cfg.Logger = slog.New(log)
				b := newBoard("a")
				b.next = func(ctx context.Context, s *boardSession) error {
					if s.nth == 1 {
						return test.end()
					}
					return waitSecond(ctx, s)
				}
				stop := start(t, b, New(cfg, b))
				time.Sleep(2 * time.Second)
				if n := log.count(test.level, "shard session ended"); n != 1 {
					t.Errorf("the end was logged %d times at %v", n, test.level)
				}
				stop()
				if n := log.count(slog.LevelDebug, "vmware-go-kcl: "); n == 0 {
					t.Error("nothing of the library at debug")
				}
				for _, level := range []slog.Level{slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
					if n := log.count(level, "vmware-go-kcl: "); n != 0 {
						t.Errorf("%d lines of the library at %v", n, level)
					}
				}
			})
		})
	}
}

// A panic ends the session and not the process, and the driver is told where it happened, without any of the text that
// a library put into it.
func TestEngine_TellsOfEachPanic(t *testing.T) {
	once := func() func() bool {
		left := 1
		return func() bool { left--; return left == 0 }
	}
	for name, plant := range map[string]func(*board){
		"Next":    func(b *board) { b.next = func(context.Context, *boardSession) error { panic("secret") } },
		"Process": func(b *board) { b.process = func(context.Context, *boardSession) error { panic("secret") } },
		"Open":    func(b *board) { b.panicOpen = once() },
		"Close": func(b *board) {
			b.panicClose = once()
			b.next = func(ctx context.Context, s *boardSession) error {
				if s.nth == 1 {
					return errors.New("lease lost")
				}
				return waitSecond(ctx, s)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testConfig
				var mu sync.Mutex
				var told []string
				cfg.Panicked = func(shard, what string) {
					mu.Lock()
					defer mu.Unlock()
					told = append(told, shard+": "+what)
				}
				b := newBoard("a")
				plant(b)
				stop := start(t, b, New(cfg, b))
				time.Sleep(2 * time.Second)
				stop()
				if len(told) == 0 || !strings.HasPrefix(told[0], "a: a panic of type string in ") || strings.Contains(told[0], "secret") {
					t.Errorf("told %q", told)
				}
			})
		})
	}
}
