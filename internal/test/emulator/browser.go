package emulator

import (
	"context"
	"errors"
	"os/exec"
	"testing"

	"github.com/chromedp/chromedp"
)

// browsers are the names of programs that chromedp drives.
var browsers = []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"}

// Browser starts a Chromium for the duration of a test and returns the context that chromedp's actions take. Without one on the PATH
// the test is skipped, like those that need an emulator.
func Browser(t *testing.T) context.Context {
	t.Helper()
	var path string
	for _, name := range browsers {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		leaveOut(t, "browser", errors.New("no Chromium on the PATH (Debian: apt-get install chromium-headless-shell)"))
	}
	// Chromium's sandbox needs rights that containers lack, and it shows pages of this process alone.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WSURLReadTimeout(readyBound))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return ctx
}
