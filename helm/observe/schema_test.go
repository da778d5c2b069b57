package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// violations are what Grafana's own schemas, of the dashboard, its panels and its queries, do not allow in a dashboard: unknown and
// missing fields, and values of another type (Grafana Foundation SDK, generated from the schemas of Grafana).
func violations(text string) string {
	plugins.RegisterDefaultPlugins()
	//lint:ignore SA1019 this model is the one that Grafana's sidecar and its HTTP API read; the newer one is for its Kubernetes API
	var d dashboard.Dashboard
	for _, err := range []error{d.UnmarshalJSONStrict([]byte(text)), d.Validate()} {
		if err != nil && err.Error() != "" { // without violations it is an empty list, and not nil
			return err.Error()
		}
	}
	return ""
}

func TestDashboard_HoldsToGrafanasSchemas(t *testing.T) {
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	if found := violations(string(text)); found != "" {
		t.Errorf("the dashboard violates Grafana's schemas:\n%s", found)
	}
	for wrong, right := range map[string]string{
		`"editible"`: `"editable"`, `"schemaVersion": "41"`: `"schemaVersion": 41`, `"multi": "yes"`: `"multi": true`,
		`"linewidth"`: `"lineWidth"`, `"showlegend"`: `"showLegend"`, `"expression"`: `"expr"`, `"gridpos"`: `"gridPos"`, `"address"`: `"url"`,
	} {
		changed := strings.ReplaceAll(string(text), right, wrong)
		if changed == string(text) || violations(changed) == "" {
			t.Errorf("%s in place of %s is not found", wrong, right)
		}
	}
}

// Each panel says what it shows, in a unit that Grafana knows, for what is chosen at the top; each alert's runbook is linked.
func TestDashboard_PanelsExplainThemselves(t *testing.T) {
	known := map[string]bool{
		units.Seconds: true, units.Short: true, units.PercentUnit: true, units.BytesIEC: true, units.BytesPerSecondIEC: true,
		units.RecordsPerSecond: true, units.RowsPerSecond: true, units.RequestsPerSecond: true,
	}
	metric := regexp.MustCompile(`(consumer|process)_[a-z0-9_]+`)
	books := make(map[string]string) // addresses by alert
	for _, a := range alerts(t) {
		books[a.Alert] = a.Annotations["runbook_url"]
	}
	linked := make(map[string]bool)
	for _, r := range rows {
		for _, p := range r.panels {
			if len(p.about) < 20 || !strings.HasSuffix(p.about, ".") || !known[p.unit] || len(p.queries) == 0 {
				t.Errorf("panel %q: unit %q, %d queries, %q", p.title, p.unit, len(p.queries), p.about)
			}
			for _, q := range p.queries {
				if len(metric.FindAllString(q.promql, -1)) != strings.Count(q.promql, "{$chosen") {
					t.Errorf("panel %q: %s ignores what is chosen", p.title, q.promql)
				}
				if len(p.queries) > 1 && q.legend == "" {
					t.Errorf("panel %q: %s has no name", p.title, q.promql)
				}
			}
			for _, l := range p.links() {
				alert := strings.TrimPrefix(l["title"].(string), "Runbook ")
				if books[alert] != l["url"] {
					t.Errorf("panel %q links to %v, the alert %s to %q", p.title, l["url"], alert, books[alert])
				}
				linked[alert] = true
			}
		}
	}
	for alert := range books {
		if !linked[alert] {
			t.Errorf("no panel links to the runbook of %s", alert)
		}
	}
}
