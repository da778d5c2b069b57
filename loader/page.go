package loader

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const style = `:root{color-scheme:light dark;--fg:light-dark(#1b2230,#e4e8ef);--dim:light-dark(#586275,#9aa6b8);--bg:light-dark(#f5f6f8,#0f131a);--card:light-dark(#fff,#171d27);--line:light-dark(#e1e5ec,#293242);--bad:light-dark(#b3261e,#ff7b70)}
*{box-sizing:border-box}body{margin:0 auto;max-width:64rem;padding:1.25rem 1rem 2rem;font:15px/1.45 system-ui,sans-serif;color:var(--fg);background:var(--bg);overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
h1{font-size:1.35rem;margin:0}h2{font-size:1.05rem;margin:1.6rem 0 .5rem}h3{font-size:.95rem;margin:1.2rem 0 .4rem}p{margin:.4rem 0}.dim{color:var(--dim)}.bad{color:var(--bad)}a{color:light-dark(#2b63d9,#79a5ff);display:inline-block;line-height:24px}
table{border-collapse:collapse;width:100%;background:var(--card);border:1px solid var(--line);}th,td{text-align:left;padding:.4rem .8rem;vertical-align:baseline;border-top:1px solid var(--line)}th{font-weight:400;color:var(--dim);overflow-wrap:normal}tr:first-child>*{border-top:0}
.facts th{width:12rem}.facts .dim{width:45%;font-size:.87rem}
@media(max-width:46rem){.facts tr{display:block;padding:.4rem .8rem;border-top:1px solid var(--line)}.facts th,.facts td,.facts .dim{display:block;width:auto;border:0;padding:0}
.list tr{display:block;padding:.4rem .8rem;border-top:1px solid var(--line)}.list th{display:inline-block;border:0;padding:0 1rem 0 0}.list td{display:block;border:0;padding:0}}`

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
	"mib": func(bytes int64) string { return strconv.FormatFloat(float64(bytes)/(1<<20), 'f', 1, 64) + " MiB" },
}).Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta http-equiv="refresh" content="10"><title>loader</title><style>` + style + `</style></head><body>
<h1>Loader</h1>
<p class="dim">It adds published files to tables. The page is renewed every 10 seconds; <a href="status.json">status.json</a> and <a href="metrics">metrics</a> have its figures.</p>
{{range .Tables}}<h2>{{.Table}}</h2>
{{with .Problem}}<p class="bad">{{.}}</p>{{end}}
{{if .Opening}}<p>The table is being opened.</p>{{else}}<table class="facts" aria-label="State">
<tr><th>Loader</th><td>{{.Loader}}, {{if .Elected}}elected{{else if .Other}}waiting for {{.Other}}, which is elected{{else}}not elected{{end}}</td><td class="dim">One loader at a time writes to a table. The rest of this list is of the last time that this loader was elected.</td></tr>
<tr><th>Batches waiting</th><td>{{.Waiting}}{{if .Waiting}}, the oldest published {{since .Oldest}}{{end}}{{if .Problem}}, at the last look{{end}}</td><td class="dim">Published batches that the table does not have yet. They are loaded within LOAD_INTERVAL.</td></tr>
<tr><th>Complete up to</th><td>{{if .CompleteUpTo.IsZero}}not known yet{{else}}{{.CompleteUpTo.UTC.Format "2006-01-02T15:04:05Z"}}, {{since .CompleteUpTo}}{{end}}</td><td class="dim">Every record that arrived before this time is in the table.</td></tr>
<tr><th>Batches loaded</th><td>{{.Loaded}}</td><td class="dim">By this loader since its start, {{since .Started}}.</td></tr>
{{if .RefusedRows}}<tr><th>Rows refused</th><td>{{.RefusedRows}}, written to the error prefix</td><td class="dim">Rows of those batches that the table did not take.</td></tr>{{end}}
<tr><th>Last commit</th><td>{{since .LastCommit}}</td><td class="dim">When this loader last changed the table.</td></tr>
<tr><th>Last look at the table</th><td>{{since .LastLook}}</td><td class="dim">When it last read what the table has.</td></tr>
{{if .Size.MetadataBytes}}<tr><th>Snapshots</th><td>{{.Size.Snapshots}}, metadata of {{mib .Size.MetadataBytes}}</td><td class="dim">Versions of the table that have not expired, and the size of the file that lists them.</td></tr>{{end}}
</table>{{end}}
{{if .Stuck}}<h3>Batches that could not be loaded</h3><table class="list" aria-label="Batches that could not be loaded"><tr><th>Batch</th><th>Since</th><th>Reason</th></tr>
{{range .Stuck}}<tr><td>{{.Batch}}</td><td>{{since .Since}}</td><td>{{.Text}}</td></tr>{{end}}</table>{{end}}
{{if .Refused}}<h3>Members without a column</h3><p>Their values are in the column _extra.</p><table aria-label="Members without a column"><tr><th>Member</th><th>Type</th></tr>
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
