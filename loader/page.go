package loader

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const style = `body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:1rem auto;padding:0 1rem;color-scheme:light dark}
table{border-collapse:collapse}th,td{text-align:left;padding:.3rem .75rem .3rem 0;vertical-align:top}.bad{color:#b42318}`

// policy lets the page use only its own style. No page may frame it.
var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"since": func(t time.Time) string {
		if t.IsZero() {
			return "–"
		}
		return time.Since(t).Round(time.Second).String() + " ago"
	},
}).Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="10"><title>loader</title><style>` + style + `</style></head><body>
<h1>Loader of {{.Table}}</h1>
{{with .Problem}}<p class="bad">{{.}}</p>{{end}}
<table>
<tr><th>Loader</th><td>{{.Loader}}, {{if .Elected}}elected{{else if .Other}}waiting for {{.Other}}, which is elected{{else}}not elected{{end}}</td></tr>
<tr><th>Batches waiting</th><td>{{.Waiting}}, the oldest published {{since .Oldest}}</td></tr>
<tr><th>Batches loaded</th><td>{{.Loaded}}</td></tr>
<tr><th>Last commit</th><td>{{since .LastCommit}}</td></tr>
<tr><th>Last look at the table</th><td>{{since .LastLook}}</td></tr>
<tr><th>Snapshots</th><td>{{.Size.Snapshots}}, metadata of {{.Size.MetadataBytes}} bytes</td></tr>
</table>
{{if .Stuck}}<h2>Batches that could not be loaded</h2><table><tr><th>Batch</th><th>Since</th><th>Reason</th></tr>
{{range .Stuck}}<tr><td>{{.Batch}}</td><td>{{since .Since}}</td><td>{{.Text}}</td></tr>{{end}}</table>{{end}}
{{if .Refused}}<h2>Members without a column</h2><p>Their values are in the column _extra.</p><table><tr><th>Member</th><th>Type</th></tr>
{{range .Refused}}<tr><td>{{.Member}}</td><td>{{.Type}}</td></tr>{{end}}</table>{{end}}
</body></html>
`))

// Handler serves the status page, its data as /status.json, the metrics that g gathers, and the probes. /healthz fails if the
// loader hangs, which only a restart mends; /readyz fails if its rounds have been failing for a while.
func (l *Loader) Handler(g prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, l.Status()) // an error means that the client has disconnected
	})
	mux.HandleFunc("GET /status.json", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, l.Status()) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(g, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { probe(w, l.Alive()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { probe(w, l.Health()) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		mux.ServeHTTP(w, r)
	})
}

func probe(w http.ResponseWriter, err error) {
	if err != nil {
		answer(w, http.StatusServiceUnavailable, map[string]string{"status": err.Error()})
		return
	}
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // an error means that the client has disconnected
}
