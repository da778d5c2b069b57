package loader

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const style = `body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:1rem auto;padding:0 1rem;color-scheme:light dark;overflow-wrap:anywhere}
table{border-collapse:collapse}th,td{text-align:left;padding:.3rem .75rem .3rem 0;vertical-align:top}th{overflow-wrap:normal}.bad{color:light-dark(#b42318,#ff8a7a)}`

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
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="10"><title>loader</title><style>` + style + `</style></head><body>
<h1>Loader</h1>
{{range .Tables}}<h2>{{.Table}}</h2>
{{with .Problem}}<p class="bad">{{.}}</p>{{end}}
{{if .Opening}}<p>The table is being opened.</p>{{else}}<table>
<tr><th>Loader</th><td>{{.Loader}}, {{if .Elected}}elected{{else if .Other}}waiting for {{.Other}}, which is elected{{else}}not elected{{end}}</td></tr>
<tr><th>Batches waiting</th><td>{{.Waiting}}{{if .Waiting}}, the oldest published {{since .Oldest}}{{end}}{{if .Problem}}, at the last look{{end}}</td></tr>
<tr><th>Batches loaded</th><td>{{.Loaded}}</td></tr>
{{if .RefusedRows}}<tr><th>Rows refused</th><td>{{.RefusedRows}}, written to the error prefix</td></tr>{{end}}
<tr><th>Last commit</th><td>{{since .LastCommit}}</td></tr>
<tr><th>Last look at the table</th><td>{{since .LastLook}}</td></tr>
{{if .Size.MetadataBytes}}<tr><th>Snapshots</th><td>{{.Size.Snapshots}}, metadata of {{.Size.MetadataBytes}} bytes</td></tr>{{end}}
</table>{{end}}
{{if .Stuck}}<h3>Batches that could not be loaded</h3><table><tr><th>Batch</th><th>Since</th><th>Reason</th></tr>
{{range .Stuck}}<tr><td>{{.Batch}}</td><td>{{since .Since}}</td><td>{{.Text}}</td></tr>{{end}}</table>{{end}}
{{if .Refused}}<h3>Members without a column</h3><p>Their values are in the column _extra.</p><table><tr><th>Member</th><th>Type</th></tr>
{{range .Refused}}<tr><td>{{.Member}}</td><td>{{.Type}}</td></tr>{{end}}</table>{{end}}
{{end}}</body></html>
`))

// Table is a table that is being loaded, as a status page sees it.
type Table interface {
	Status() Status
	// Alive returns an error if the loader hangs, which only a restart mends.
	Alive() error
	// Health returns an error if the loader's rounds have been failing for a while.
	Health() error
}

// statuses are what the page shows.
type statuses struct {
	Tables []Status `json:"tables"`
}

// Handler serves the status page of all tables, its data as /status.json, the metrics that g gathers, and the probes. /healthz
// fails if a loader is not alive, and /readyz if one is not healthy.
func Handler(g prometheus.Gatherer, tables ...Table) http.Handler {
	now := func() statuses {
		s := statuses{Tables: make([]Status, len(tables))}
		for i, t := range tables {
			s.Tables[i] = t.Status()
		}
		return s
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, now()) // an error means that the client has disconnected
	})
	mux.HandleFunc("GET /status.json", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, now()) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(g, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { probe(w, all(tables, Table.Alive)) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { probe(w, all(tables, Table.Health)) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		mux.ServeHTTP(w, r)
	})
}

// all returns what fails, with the names of the tables.
func all(tables []Table, fails func(Table) error) error {
	var errs []error
	for _, t := range tables {
		if err := fails(t); err != nil {
			errs = append(errs, fmt.Errorf("table %s: %w", t.Status().Table, err))
		}
	}
	return errors.Join(errs...)
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
