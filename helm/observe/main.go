// Command observe prints the Grafana dashboard of the daemon. The chart installs the output (make generate).
//
// panels.go lists the panels. The tests in this folder check the dashboard and helm/consumer/files/alerts.yaml against
// the metrics that the daemon exports.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	text, err := render()
	if err == nil {
		_, err = os.Stdout.Write(text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "observe:", err)
		os.Exit(1)
	}
}

// object is a JSON object of Grafana's dashboard model (Grafana documentation, "Dashboard JSON model").
type object map[string]any

// schemaVersion is that of Grafana 12; newer versions migrate it when they load it.
const schemaVersion = 41

// datasource is chosen at the top of the dashboard.
var datasource = object{"type": "prometheus", "uid": "${datasource}"}

// render returns the dashboard as JSON.
func render() ([]byte, error) {
	text, err := json.MarshalIndent(object{
		"uid":           "aws-streaming-pipeline",
		"title":         "Stream to S3",
		"description":   "Kinesis to S3 by the consumer daemon: how late data is, where it waits, what it costs.",
		"tags":          []string{"kinesis", "s3"},
		"schemaVersion": schemaVersion,
		"editable":      true,
		"graphTooltip":  1, // one crosshair in all panels
		"refresh":       "30s",
		"time":          object{"from": "now-6h", "to": "now"},
		"timezone":      "browser",
		"links":         []any{},
		"annotations":   object{"list": []any{}},
		"templating":    object{"list": variables()},
		"panels":        layOut(rows),
	}, "", "  ")
	return append(text, '\n'), err
}

// variables narrow down the selection from left to right. All also matches if a label is missing, such as the namespace
// outside Kubernetes.
func variables() []object {
	list := []object{{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1}}
	chosen := ""
	for _, name := range []string{"namespace", "job", "application"} {
		query := fmt.Sprintf("label_values(consumer_workers%s, %s)", braces(chosen), name)
		list = append(list, object{
			"name": name, "type": "query", "datasource": datasource, "definition": query,
			"query":   object{"query": query, "refId": "variable"},
			"refresh": 2, "sort": 1, "multi": true, "includeAll": true, "allValue": ".*",
			"current": object{"text": "All", "value": "$__all"},
		})
		if chosen != "" {
			chosen += ", "
		}
		chosen += fmt.Sprintf(`%s=~"$%s"`, name, name)
	}
	return list
}

func braces(matchers string) string {
	if matchers == "" {
		return ""
	}
	return "{" + matchers + "}"
}

// columns is the width of a dashboard in Grafana.
const columns = 24

// layOut places the panels of each row next to each other, and starts a new line if one does not fit.
func layOut(rows []row) []object {
	var all []object
	y := 0
	add := func(o object, w, h, x int) {
		o["id"], o["gridPos"] = len(all)+1, object{"w": w, "h": h, "x": x, "y": y}
		all = append(all, o)
	}
	for _, r := range rows {
		add(object{"type": "row", "title": r.title, "collapsed": false, "panels": []any{}}, columns, 1, 0)
		y++
		x := 0
		for _, p := range r.panels {
			if x+r.width > columns {
				x, y = 0, y+r.height
			}
			add(p.object(), r.width, r.height, x)
			x += r.width
		}
		y += r.height
	}
	return all
}

// object is the panel in Grafana's model.
func (p panel) object() object {
	targets := make([]object, len(p.queries))
	for i, q := range p.queries {
		targets[i] = object{
			"refId": string(rune('A' + i)), "datasource": datasource, "editorMode": "code", "range": true,
			"expr": q.expr(), "legendFormat": q.legend,
		}
	}
	defaults := object{"unit": p.unit, "color": object{"mode": "palette-classic"}, "min": 0}
	o := object{
		"title": p.title, "description": p.about, "datasource": datasource, "targets": targets,
		"fieldConfig": object{"defaults": defaults, "overrides": []any{}}, "links": p.links(),
	}
	if p.stat {
		o["type"] = "stat"
		o["options"] = object{
			"colorMode": "value", "graphMode": "area", "reduceOptions": object{"calcs": []string{"lastNotNull"}}, "justifyMode": "auto", "textMode": "auto",
			"wideLayout": true, "orientation": "auto", "showPercentChange": false, "percentChangeColorMode": "standard",
		}
		defaults["color"] = object{"mode": "thresholds"}
		defaults["thresholds"] = object{"mode": "absolute", "steps": p.limits.steps()}
		return o
	}
	o["type"] = "timeseries"
	o["options"] = object{
		"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}},
		"tooltip": object{"mode": "multi", "sort": "desc"},
	}
	custom := object{"lineWidth": 1, "fillOpacity": 10, "showPoints": "auto", "spanNulls": false}
	if p.stacked {
		custom["stacking"] = object{"mode": "normal", "group": "A"}
	}
	defaults["custom"] = custom
	return o
}

// runbook is the address of an alert's runbook. The chart puts that of its values in its place.
const runbook = "https://github.com/OWNER/aws-streaming-pipeline/blob/HEAD/docs/runbooks/%s.md"

// links are the runbooks of the panel's alerts.
func (p panel) links() []object {
	links := []object{}
	for _, alert := range p.alerts {
		links = append(links, object{
			"title": "Runbook " + alert, "type": "link", "url": fmt.Sprintf(runbook, alert), "targetBlank": true,
			"icon": "", "tooltip": "", "tags": []string{}, "asDropdown": false, "includeVars": false, "keepTime": false,
		})
	}
	return links
}

// limits colour a figure: green below warn, red from alarm on. Falling reverses them.
type limits struct {
	warn, alarm float64
	falling     bool
}

func (l limits) steps() []object {
	if l.falling {
		return []object{{"color": "red", "value": nil}, {"color": "green", "value": l.warn}}
	}
	steps := []object{{"color": "green", "value": nil}}
	if l.warn > 0 {
		steps = append(steps, object{"color": "orange", "value": l.warn})
	}
	if l.alarm > 0 {
		steps = append(steps, object{"color": "red", "value": l.alarm})
	}
	return steps
}
