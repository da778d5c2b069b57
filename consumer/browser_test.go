package consumer

import (
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"aws-streaming-pipeline/internal/localstream"
	"aws-streaming-pipeline/internal/test/emulator"
)

var screenshots = flag.String("screenshots", "", "folder for pictures of the status page")

//go:embed testdata/audit.js
var pageAudit string

// tab is a browser's tab that shows the status page.
type tab struct {
	*testing.T
	ctx context.Context

	mu     sync.Mutex
	faults []string // what the console shows
}

func openTab(t *testing.T) *tab {
	t.Helper()
	b := &tab{T: t, ctx: emulator.Browser(t)}
	err := chromedp.Listen(b.ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			b.fault(e.ExceptionDetails.Text)
		case *runtime.EventConsoleAPICalled:
			b.fault("console." + string(e.Type))
		case *cdplog.EventEntryAdded:
			b.fault(e.Entry.Text + " " + e.Entry.URL)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *tab) fault(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, what)
}

// console returns what the console has shown since the last call.
func (b *tab) console() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := b.faults
	b.faults = nil
	return seen
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.Fatal(err)
	}
}

// run returns what an action returns.
func run[T any](b *tab, action chromedp.Action[T]) T {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// value returns what an expression of the page is, a promise awaited.
func value[T any](b *tab, expression string) (v T) {
	b.Helper()
	return run(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// until waits until an expression of the page is true.
func (b *tab) until(expression string) {
	b.Helper()
	eventually(b.T, expression, func() bool { return value[bool](b, expression) })
}

// open visits a status page and waits until it shows the status.
func (b *tab) open(url string) {
	b.Helper()
	b.do(chromedp.Navigate(url))
	b.until(`document.title !== "consumer"`)
}

// see sets the size of the window and the colours.
func (b *tab) see(width, height int64, scheme string, phone bool) {
	b.Helper()
	var options []chromedp.EmulateViewportOption
	if phone {
		options = []chromedp.EmulateViewportOption{chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait}
	}
	b.do(chromedp.EmulateViewport(width, height, options...), call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}))
}

// call is a command of the Chrome DevTools Protocol as an action.
func call[P any](command cdp.Command[P, cdp.Empty], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

func (b *tab) audit() (found []string) {
	b.Helper()
	return value[[]string](b, pageAudit)
}

// picture takes a picture of the whole page, if they are asked for.
func (b *tab) picture(name string) {
	b.Helper()
	if *screenshots == "" {
		return
	}
	image := run(b, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(*screenshots, name+".png"), image, 0o644); err != nil {
		b.Fatal(err)
	}
}

// shown serves the status page with a status that tests change.
type shown struct {
	mu      sync.Mutex
	status  Status
	refuses bool
	hangs   bool
}

func (s *shown) set(status Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.refuses, s.hangs = status, false, false
}

// refuse has the server answer with an error until the next status is set.
func (s *shown) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuses = true
}

// hang has the server never answer until the next status is set.
func (s *shown) hang() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangs = true
}

func (s *shown) hanging() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hangs
}

func (s *shown) serve(t *testing.T) (url string) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", servePage)
	mux.HandleFunc("GET /status.json", func(w http.ResponseWriter, r *http.Request) {
		if s.hanging() {
			<-r.Context().Done()
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		code := http.StatusOK
		if s.refuses {
			code = http.StatusInternalServerError
		}
		answer(w, code, s.status)
	})
	server := httptest.NewServer(guarded(mux))
	t.Cleanup(server.Close)
	return server.URL
}

// Whatever the daemon is doing, on a phone and on a desktop, by day and by night, the page can be read, and nothing on it is
// cut off, overlaps, or is too small to tap.
func TestPage_CanBeReadAndUsed(t *testing.T) {
	b := openTab(t)
	var s shown
	url := s.serve(t)
	views := []struct {
		name          string
		width, height int64
		touch         bool
	}{{"desktop", 1440, 900, false}, {"phone", 390, 844, true}}
	fixtures := pageFixtures()
	for _, name := range slices.Sorted(maps.Keys(fixtures)) {
		s.set(fixtures[name])
		b.open(url)
		for _, v := range views {
			for _, scheme := range []string{"light", "dark"} {
				b.see(v.width, v.height, scheme, v.touch)
				for _, what := range b.audit() {
					t.Errorf("%s, %s, %s: %s", name, v.name, scheme, what)
				}
				b.picture(name + "-" + v.name + "-" + scheme)
			}
		}
		if seen := b.console(); len(seen) > 0 {
			t.Errorf("%s: the console shows %q", name, seen)
		}
		if name == "trouble" && !value[bool](b, `!document.querySelector("img") && document.querySelector("#published td").textContent.includes("<img src=x")`) {
			t.Error("the HTML of a key is not shown as text")
		}
	}
	for name, want := range map[string]struct{ led, link, shards string }{
		"running":  {"This worker leads", "", "Shards4"},
		"follower": {"Led by " + workerOf(1), "http://10.0.1.11:8080/", "Shards4, other workers' as of 09:26:49 UTC"},
		"cut":      {"Led by " + workerOf(1) + ", which plans for all workers. The shards of others could not be read: scan: ", "", "Shards2, of this worker"},
	} {
		s.set(fixtures[name])
		b.open(url)
		led := value[string](b, `document.getElementById("lead").textContent`)
		link := value[string](b, `document.querySelector("#lead a")?.href || ""`)
		shards := value[string](b, `document.querySelector("#shards h2").textContent`)
		if !strings.HasPrefix(led, want.led) || link != want.link || shards != want.shards {
			t.Errorf("%s: the page says %q with the link %q, and %q", name, led, link, shards)
		}
		if held := value[string](b, `document.querySelector("#now .sub").textContent`); held != "of 4, with 2 workers" {
			t.Errorf("%s: shards held are %q", name, held)
		}
	}
	t.Run("the daemon does not answer", func(t *testing.T) {
		s.set(fixtures["running"])
		b.open(url)
		s.refuse()
		value[any](b, "refresh()")
		if got := value[string](b, `document.getElementById("notices").textContent`); !strings.Contains(got, "does not answer") || !strings.Contains(got, "2026-03-14T09:26:53Z") {
			t.Errorf("the page says %q", got)
		}
		for _, what := range b.audit() {
			t.Error(what)
		}
		b.picture("unanswered-phone-dark")
	})
	t.Run("the daemon hangs", func(t *testing.T) {
		s.set(fixtures["running"])
		b.open(url)
		s.hang()
		value[any](b, "patience = 100; refresh()")
		if got := value[string](b, `document.getElementById("notices").textContent`); !strings.Contains(got, "does not answer") {
			t.Errorf("the page says %q", got)
		}
	})
	t.Run("the audit finds what is wrong", func(t *testing.T) {
		s.set(fixtures["running"])
		b.open(url)
		b.see(1440, 900, "light", false)
		for want, rule := range map[string]string{
			"contrast of":         "td { color: #999 }",
			"scrolls sideways":    "main { width: 3000px; max-width: none }",
			"target of":           "button { min-height: 0; line-height: .5 }",
			"clipped text":        ".value { overflow: hidden; width: 5px; white-space: nowrap }",
			"text over":           ".sub { margin-top: -1rem }",
			"text outside of its": ".sub { white-space: nowrap; padding-left: 300px }",
		} {
			n := value[int](b, fmt.Sprintf("document.styleSheets[0].insertRule(%q, document.styleSheets[0].cssRules.length)", rule))
			if found := strings.Join(b.audit(), "\n"); !strings.Contains(found, want) {
				t.Errorf("%s: the audit lacks %q: %s", rule, want, found)
			}
			value[any](b, fmt.Sprintf("document.styleSheets[0].deleteRule(%d)", n))
		}
	})
}

// Each figure says what it means to a pointer, to the keyboard and to a finger; shards can be searched, ordered and grouped.
func TestPage_ExplainsAndFilters(t *testing.T) {
	b := openTab(t)
	var s shown
	s.set(pageFixtures()["wide"])
	b.see(1440, 900, "light", false)
	b.open(s.serve(t))
	explained := func(by, want string) {
		t.Helper()
		b.until(`!document.getElementById("tip").hidden`)
		if got := value[string](b, `document.getElementById("tip").textContent`); !strings.Contains(got, want) {
			t.Errorf("%s: the help says %q, want %q", by, got, want)
		}
		for _, what := range b.audit() {
			t.Errorf("%s, with help: %s", by, what)
		}
	}
	center := func(name string) (x, y float64) {
		at := value[[2]float64](b, fmt.Sprintf(`(() => { const e = [...document.querySelectorAll(".help")].find(e => e.textContent === %q); e.scrollIntoView({block: "center"});
			const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()`, name))
		return at[0], at[1]
	}
	closed := `document.getElementById("tip").hidden`
	x, y := center("Freshness")
	b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x, y))
	explained("a pointer", "not yet visible in the bucket")
	b.picture("help-desktop")
	b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, 5, 5))
	b.until(closed)

	b.do(chromedp.KeyEvent(kb.Tab))
	explained("the keyboard", "Payload bytes")
	b.do(chromedp.KeyEvent(kb.Escape))
	b.until(closed)
	if n := value[int](b, `[...document.querySelectorAll(".help")].filter(e => !e.dataset.help).length`); n > 0 {
		t.Errorf("%d labels explain nothing", n)
	}

	shards := func() int {
		return value[int](b, `[...document.querySelectorAll("#shards tbody tr:not(.group)")].length`)
	}
	set := func(selector, property, to string) {
		value[any](b, fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.%s = %s; e.dispatchEvent(new Event("input")) })()`, selector, property, to))
	}
	const box, grouped, problems = `#shards input[type=search]`, `#shards label:nth-of-type(3) input`, `#shards label:nth-of-type(4) input`
	if n := shards(); n != 10 {
		t.Errorf("grouped by worker: %d shards are shown, want the 10 of this worker", n)
	}
	set(grouped, "checked", "false")
	if n := shards(); n != 100 {
		t.Errorf("ungrouped: %d shards are shown, want 100", n)
	}
	set("#shards select", "value", `"lag"`)
	if first := value[string](b, `document.querySelector("#shards tbody tr td").textContent`); first != "shardId-000000000007" {
		t.Errorf("by lag the first shard is %s", first)
	}
	set(problems, "checked", "true")
	if n := shards(); n != 4 {
		t.Errorf("with problems only: %d shards are shown, want 4", n)
	}
	set(problems, "checked", "false")
	b.do(chromedp.SendKeys(box, "0042"))
	if n := shards(); n != 1 {
		t.Errorf("after a search for 0042: %d shards are shown, want 1", n)
	}

	// What is shown is renewed without taking away the focus.
	value[any](b, `refresh()`)
	if !value[bool](b, `document.activeElement === document.querySelector("#shards input[type=search]")`) {
		t.Error("the renewal has taken the focus away")
	}
	set(box, "value", `""`)
	set(grouped, "checked", "true")
	if links := value[[]string](b, `[...document.querySelectorAll("#workers a")].map(a => a.href)`); len(links) != 10 || links[1] != "http://10.0.1.11:8080/" {
		t.Errorf("the workers' pages are %q", links)
	}

	b.see(390, 844, "light", true)
	x, y = center("Freshness")
	b.do(chromedp.TapXY(x, y))
	explained("a finger", "not yet visible in the bucket")
	b.picture("help-phone")
	b.do(chromedp.TapXY(x, y))
	b.until(closed)
	if seen := b.console(); len(seen) > 0 {
		t.Errorf("the console shows %q", seen)
	}

	b.do(call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}), chromedp.Reload(),
		chromedp.WaitVisible(`noscript a[href="status.json"]`))
	b.picture("noscript")
}

// The figures of the page are those of /metrics, after a load has ended and before its last records are committed.
func TestPage_ShowsTheFiguresOfTheMetrics(t *testing.T) {
	b := openTab(t)
	b.see(1440, 900, "light", false)
	st := newStage(t, 4, localstream.Options{})
	d := st.daemon(func(c *Config) { c.CommitInterval, c.Failover = time.Second, time.Second })
	server := httptest.NewServer(d.Handler())
	defer server.Close()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	defer running.Wait()
	defer stop()

	b.open(server.URL)
	eventually(t, "the shards are held", func() bool { return held(d) == 4 })
	// A figure whose text gets longer or shorter moves no other (Layout Instability API).
	value[any](b, `refresh().then(() => { window.moved = [];
		const figure = s => s.node && s.node.parentElement?.closest(".grid");
		new PerformanceObserver(seen => seen.getEntries().forEach(e => moved.push(...e.sources.filter(figure).map(s => s.node.textContent)))).observe({ type: "layout-shift" }) })`)
	send := func(records int) {
		t.Helper()
		in := &kinesis.PutRecordsInput{StreamName: aws.String("stream")}
		for i := range records {
			data := fmt.Sprintf(`{"n":%d,"text":%q}`, i, strings.Repeat("x", i%300))
			if i%50 == 7 {
				data = "no JSON" // for the error prefix
			}
			in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: []byte(data), PartitionKey: aws.String(fmt.Sprint(i))})
		}
		account := Account{Config: st.account, KinesisEndpoint: st.stream.URL()}
		if _, err := account.kinesis().PutRecords(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		send(500)
	}
	const label = "4 shards, 2000 records, some of them published"
	var page, metrics map[string]float64
	agree := func() bool {
		b.Helper()
		value[any](b, `refresh()`)
		page = value[map[string]float64](b, `Object.fromEntries([...document.querySelectorAll(".grid .box")].map(e => [e.querySelector(".help").textContent, Number(e.querySelector("data").value)]))`)
		metrics = scrapedFigures(t, server.URL)
		if metrics["Records read"] < 2000 || metrics["Records delivered"]+metrics["Error records"] < 2000 {
			return false
		}
		for name, want := range metrics {
			if page[name] != want {
				return false
			}
		}
		return true
	}
	eventually(t, label, agree)
	t.Logf("page %v", page)
	if page["Error records"] != 40 || page["Shards held"] != 4 || page["Bytes in"] == 0 || page["Bytes out"] == 0 || page["Files published"] == 0 {
		t.Errorf("the load does not show in %v", page)
	}
	for _, what := range b.audit() {
		t.Error(what)
	}
	if moved := value[[]string](b, "moved"); len(moved) > 0 {
		t.Errorf("figures have moved: %q", moved)
	}
	b.picture("real-desktop-light")
	if seen := b.console(); len(seen) > 0 {
		t.Errorf("the console shows %q", seen)
	}
}

// held is the number of shards that the daemon holds.
func held(d *Daemon) (n int) {
	for _, s := range d.Status().Shards {
		if s.Mine {
			n++
		}
	}
	return n
}

// scrapedFigures are the page's figures, by their labels, as /metrics has them.
func scrapedFigures(t *testing.T, url string) map[string]float64 {
	t.Helper()
	got, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	sum := func(name string, labels ...string) (sum float64) {
		for _, m := range families[name].GetMetric() {
			matches := len(labels) == 0
			for _, l := range m.GetLabel() {
				matches = matches || l.GetName() == labels[0] && l.GetValue() == labels[1]
			}
			if matches {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
		return sum
	}
	return map[string]float64{
		"Bytes in": sum("consumer_read_bytes_total"), "Bytes out": sum("consumer_written_bytes_total"),
		"Lag": sum("consumer_shard_behind_latest_seconds"), "Shards held": sum("consumer_leases_held"),
		"Freshness": sum("consumer_data_freshness_seconds"), "Retention used": sum("consumer_retention_used_ratio"),
		"Throttled reads":     sum("consumer_get_records_total", "result", "throttled") + sum("consumer_subscriptions_total", "result", "throttled"),
		"Unpublished batches": sum("consumer_outbox_batches"), "Records read": sum("consumer_read_records_total"),
		"Memory":            sum("consumer_buffered_bytes") - sum("consumer_buffered_bytes", "where", "spool"),
		"Records delivered": sum("consumer_records_total", "result", "delivered"), "Error records": sum("consumer_records_total", "result", "error"),
		"Files published": sum("consumer_files_total"),
	}
}

// The page is sent with each visit, also over a port that is forwarded to a laptop.
func TestPage_IsSmall(t *testing.T) {
	if len(page) > 48<<10 {
		t.Errorf("the page has %d bytes", len(page))
	}
	var big json.RawMessage
	text, err := json.Marshal(pageFixtures()["wide"])
	if err != nil || json.Unmarshal(text, &big) != nil || len(text) > 96<<10 {
		t.Errorf("the status of 100 shards and 10 workers has %d bytes (%v)", len(text), err)
	}
}
