package loader_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/prometheus/client_golang/prometheus"

	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/record/table"
)

var screenshots = flag.String("screenshots", "", "folder for pictures of the status page")

// shown is a table with a status.
type shown loader.Status

func (s shown) Status() loader.Status { return loader.Status(s) }
func (shown) Alive() error            { return nil }
func (shown) Health() error           { return errors.New("planted") }

// The page can be read on a phone and a desktop, by day and by night: see the test of the daemon's page, whose measures it takes.
func TestPage_CanBeRead(t *testing.T) {
	audit, err := os.ReadFile("../consumer/testdata/audit.js")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	server := httptest.NewServer(loader.Handler(prometheus.NewRegistry(),
		shown{
			Table: "iceberg://s3/trips-lake/warehouse/trips", Loader: "loader-5d8f7b9c4-x00qz-09b2a7f31c0d", Started: now.Add(-time.Hour), Elected: true, LastLook: now.Add(-time.Second),
			LastCommit: now.Add(-time.Minute), CompleteUpTo: now.Add(-2 * time.Minute), Waiting: 3, Oldest: now.Add(-time.Minute), Loaded: 1234, RefusedRows: 2,
			Size: loader.Size{Snapshots: 120, MetadataBytes: 3 << 20}, Refused: []table.Column{{Member: "surcharge", Type: "double"}},
			Stuck:   []loader.Stuck{{Batch: "20260314T084300Z-7f31c0de9b2a", Since: now.Add(-time.Hour), Text: "trips/dt=2026-03-14/hour=08/7f31c0de9b2a-0001.parquet: column fare: string where the table has double"}},
			Problem: "commit to the table: catalog https://glue.eu-central-1.amazonaws.com/iceberg: 503 Service Unavailable", ProblemSince: now.Add(-time.Hour),
		},
		shown{Table: "postgres://db.example.com/lake/public.trips", Opening: true}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(emulator.Browser(t), time.Minute)
	defer cancel()
	for _, width := range []int64{390, 1440} {
		for _, scheme := range []string{"light", "dark"} {
			err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 900), chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
				_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
				})
				return err
			}), chromedp.Navigate(server.URL))
			if err != nil {
				t.Fatal(err)
			}
			found, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](string(audit)))
			if err != nil {
				t.Fatal(err)
			}
			for _, what := range found {
				t.Errorf("%d pixels, %s: %s", width, scheme, what)
			}
			if *screenshots != "" {
				image, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				if err == nil {
					err = os.WriteFile(fmt.Sprintf("%s/loader-%d-%s.png", *screenshots, width, scheme), image, 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
