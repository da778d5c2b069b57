package gameday

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"aws-streaming-pipeline/internal/test/emulator"
)

// watch is a Prometheus with the rules. All cases share it; an application is named after its alert.
type watch struct {
	url     string
	targets string // folder of files, one for each process
}

func newWatch(t *testing.T, all []rule) *watch {
	t.Helper()
	dir := t.TempDir()
	w := &watch{targets: filepath.Join(dir, "targets")}
	if err := os.Mkdir(w.targets, 0o755); err != nil {
		t.Fatal(err)
	}
	fast := make([]rule, len(all))
	for i, r := range all {
		fast[i] = faster(r)
	}
	write := func(name string, content any) {
		text, err := yaml.Marshal(content)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write("alerts.yaml", map[string]any{"groups": []any{map[string]any{"name": "consumer", "interval": "500ms", "rules": fast}}})
	write("prometheus.yaml", map[string]any{
		"global":     map[string]any{"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
		"rule_files": []string{"alerts.yaml"},
		"scrape_configs": []any{map[string]any{
			"job_name": "pods", "file_sd_configs": []any{map[string]any{"files": []string{w.targets + "/*.json"}, "refresh_interval": "1s"}},
		}},
	})
	w.url = "http://" + emulator.Prometheus(t, filepath.Join(dir, "prometheus.yaml")).URL[len("http://"):]
	return w
}

// scrape begins to scrape an address, and stop ends it.
func (w *watch) scrape(t *testing.T, name, address string) (stop func()) {
	t.Helper()
	text, err := json.Marshal([]any{map[string]any{"targets": []string{address}}})
	path := filepath.Join(w.targets, name+".json")
	if err == nil {
		err = os.WriteFile(path+".new", text, 0o644)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = os.Remove(path) } // a second stop finds none
}

func (w *watch) get(path string, query url.Values, into any) error {
	answer, err := http.Get(w.url + path + "?" + query.Encode())
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var body struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		return err
	}
	if body.Status != "success" {
		return fmt.Errorf("prometheus: %s", body.Error)
	}
	return json.Unmarshal(body.Data, into)
}

// state returns the state of an alert of an application: firing, pending, or empty.
func (w *watch) state(alert, application string) (state string, err error) {
	var data struct {
		Alerts []struct {
			Labels map[string]string
			State  string
		}
	}
	err = w.get("/api/v1/alerts", nil, &data)
	for _, a := range data.Alerts {
		if a.Labels["alertname"] == alert && a.Labels["application"] == application && state != "firing" {
			state = a.State
		}
	}
	return state, err
}

// series returns how many series a query has.
func (w *watch) series(query string) (int, error) {
	var data struct{ Result []json.RawMessage }
	err := w.get("/api/v1/query", url.Values{"query": {query}, "time": {time.Now().UTC().Format(time.RFC3339Nano)}}, &data)
	return len(data.Result), err
}
