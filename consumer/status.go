package consumer

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/batch"
	"aws-streaming-pipeline/consumer/lease"
	"aws-streaming-pipeline/internal/metrics"
)

//go:embed status.html
var page []byte

// Status is the content of the status page.
type Status struct {
	Application      string         `json:"application"`
	Stream           string         `json:"stream"`
	Bucket           string         `json:"bucket"`
	Table            *TableStatus   `json:"table,omitempty"` // nil without an Iceberg table
	Stop             *StopStatus    `json:"stop,omitempty"`  // nil without STOP_POSITION
	Worker           string         `json:"worker"`
	Leader           *LeaderStatus  `json:"leader,omitempty"` // nil until one is known
	Fleet            *FleetStatus   `json:"fleet,omitempty"`  // nil for the leader, which knows what Shards and Workers show
	Version          string         `json:"version"`
	Now              time.Time      `json:"now"`
	Started          time.Time      `json:"started"`
	State            string         `json:"state"` // starting, running, stopping
	Ready            bool           `json:"ready"`
	Checks           []Check        `json:"checks"`
	Shards           []ShardStatus  `json:"shards"`
	Workers          []WorkerStatus `json:"workers"`
	Pipeline         batch.Status   `json:"pipeline"`
	Counts           Counts         `json:"counts"`
	History          []Sample       `json:"history"` // of the last ten minutes, oldest first
	RetentionUsed    float64        `json:"retention_used"`
	RetentionSeconds float64        `json:"retention_seconds"` // 0 until it is known
	FileSize         int64          `json:"file_size"`
	MemoryBudget     int64          `json:"memory_budget"`
	BufferedBytes    int64          `json:"buffered_bytes"`
	ProcessBytes     int64          `json:"process_bytes"`
	FreshnessSeconds float64        `json:"freshness_seconds"`
	Complete         CompleteStatus `json:"complete"`
	// LateSeconds is from when on a published batch waits too long for a table, as the alert ConsumerTableLate has it.
	LateSeconds float64 `json:"table_late_seconds,omitempty"`
}

// Check is one thing that the daemon needs.
type Check struct {
	Name    string `json:"name"`
	Problem string `json:"problem,omitempty"` // empty if healthy
}

// CompleteStatus is up to when the application's data is complete, as of the last scan.
type CompleteStatus struct {
	UpTo      time.Time     `json:"up_to,omitzero"` // left out until it is known
	At        time.Time     `json:"at,omitzero"`    // when that was concluded
	Shards    int           `json:"shards"`         // unfinished at that time
	Announced *Announcement `json:"announced,omitempty"`
}

// LeaderStatus is the worker that reads the lease table and plans for all workers.
type LeaderStatus struct {
	ID      string `json:"id"`
	Address string `json:"address,omitempty"` // of its status page
}

// FleetStatus is what a worker that follows knows of the others: the leader's figures, and the lease table if it could be read for
// whoever looks at the page.
type FleetStatus struct {
	Shards  int       `json:"shards"` // unfinished
	Free    int       `json:"free"`
	Trimmed int       `json:"trimmed"`
	Workers int       `json:"workers"`
	AsOf    time.Time `json:"as_of,omitzero"`    // of the shards of other workers, and of the workers; zero if only its own are shown
	Problem string    `json:"problem,omitempty"` // why the table could not be read the last time
}

// ShardStatus is one shard of the application.
type ShardStatus struct {
	Shard         string    `json:"shard"`
	Owner         string    `json:"owner"`
	Mine          bool      `json:"mine"`
	Position      string    `json:"position"`
	Arrival       time.Time `json:"arrival"`        // of the last committed record
	BehindSeconds float64   `json:"behind_seconds"` // known if it is mine
	RetentionUsed float64   `json:"retention_used"`
	State         string    `json:"state"`            // a lease.State
	Load          int64     `json:"bytes_per_second"` // that arrive, as of the last commit; 0 if it is not known
}

// WorkerStatus is one worker of the application.
type WorkerStatus struct {
	ID       string    `json:"id"`
	Alive    bool      `json:"alive"`
	Shards   int       `json:"shards"`
	Address  string    `json:"address"` // of its status page
	Version  string    `json:"version"`
	Role     string    `json:"role"`              // leader, follower, or alone: it plans for itself, as earlier releases do
	Complete time.Time `json:"complete,omitzero"` // before which every record of its shards is committed, if it says so
}

// Status returns what the daemon is doing, from its memory. A worker that follows knows only its own shards.
func (d *Daemon) Status() Status { return d.status(reading{}) }

// look is Status for whoever looks at the page: a worker that follows reads the lease table for it now and then.
func (d *Daemon) look(ctx context.Context) Status {
	if !d.follows() {
		return d.Status()
	}
	return d.status(d.overview.look(ctx))
}

// follows reports whether another worker leads, which reads the table for all.
func (d *Daemon) follows() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.scan.At.IsZero() && !d.scan.Leading
}

// status returns what the daemon is doing, and what was read of the table if it follows.
func (d *Daemon) status(table reading) Status {
	d.mu.Lock()
	scan := d.scan
	d.mu.Unlock()
	checks, stopping, ready := d.readiness()
	s := Status{
		Application: d.cfg.Application, Stream: d.cfg.Stream, Bucket: d.cfg.Bucket, Worker: d.worker, Version: d.version,
		Now: time.Now(), Started: d.started, Checks: checks, Ready: ready, State: state(ready, stopping),
		Pipeline: d.pipeline.Status(), FileSize: int64(d.cfg.FileSize), MemoryBudget: d.budget.Limit(),
		BufferedBytes: d.budget.Used(), FreshnessSeconds: d.pipeline.Freshness().Seconds(),
		Counts: d.counts(), History: d.history.samples(), ProcessBytes: metrics.ResidentBytes(),
		RetentionUsed: metrics.Total(d.metrics.RetentionUsed), RetentionSeconds: metrics.Total(d.metrics.Retention),
		Shards: []ShardStatus{}, Workers: []WorkerStatus{},
	}
	if c := scan.Snapshot.Complete; !c.UpTo.IsZero() {
		s.Complete = CompleteStatus{UpTo: c.UpTo, At: c.At, Shards: c.Shards}
	}
	s.Complete.Announced = d.announce.shown()
	if d.table != nil {
		s.Table = d.table.status()
	}
	if len(s.Pipeline.Tables) > 0 {
		s.LateSeconds = d.cfg.tableLate().Seconds()
	}
	rows, workers, alive := d.keeper.Snapshot().Leases, scan.Snapshot.Workers, func(id string) bool { return slices.Contains(scan.Live, id) }
	if d.follows() {
		s.Fleet = d.fleetStatus(table)
		workers = append([]checkpoint.Worker{d.heartbeat()}, workers...)
	}
	if !table.at.IsZero() {
		alive = func(id string) bool { return slices.Contains(scan.Live, id) || table.alive[id] }
		rows, workers = d.allRows(rows, table.table.Leases, alive), table.table.Workers
		s.Pipeline.Outbox, s.Pipeline.Tables = len(table.table.Batches), d.pipeline.TablesToLoad(table.table.Published)
	}
	s.Stop = d.stopStatus(rows)
	s.showShards(rows, d.shards.behind())
	s.showWorkers(workers, alive, scan.Snapshot.Lead.Worker)
	return s
}

// heartbeat is what other workers see of this one.
func (d *Daemon) heartbeat() checkpoint.Worker {
	return checkpoint.Worker{ID: d.worker, Address: d.address, Version: d.version, Follows: true}
}

// fleetStatus returns the leader's figures, and how the table was read.
func (d *Daemon) fleetStatus(table reading) *FleetStatus {
	fleet := d.keeper.Snapshot().Fleet
	return &FleetStatus{
		Shards: fleet.Leases, Free: fleet.Free, Trimmed: fleet.Trimmed, Workers: fleet.Workers, AsOf: table.at, Problem: problem(table.problem),
	}
}

// allRows returns this worker's shards as it knows them, and the others as they were read.
func (d *Daemon) allRows(own []lease.RowStatus, read []checkpoint.Lease, alive func(worker string) bool) []lease.RowStatus {
	rows := d.keeper.Rows(read, func(worker string) bool { return !alive(worker) })
	known := make(map[string]bool, len(rows))
	for _, row := range rows {
		known[row.Shard] = true
	}
	for _, row := range own {
		if !known[row.Shard] { // its row is younger than the reading
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b lease.RowStatus) int { return strings.Compare(a.Shard, b.Shard) })
	return rows
}

// showShards adds the shards; behind are those that this worker reads.
func (s *Status) showShards(rows []lease.RowStatus, behind map[string]time.Duration) {
	for _, l := range rows {
		lag, mine := behind[l.Shard]
		s.Shards = append(s.Shards, ShardStatus{
			Shard: l.Shard, Owner: l.Owner, Mine: mine, Position: string(l.Checkpoint), Arrival: l.Arrival, BehindSeconds: lag.Seconds(),
			RetentionUsed: l.RetentionUsed, State: string(l.State), Load: l.Load,
		})
	}
}

// showWorkers adds the workers with the numbers of their shards, and who leads them.
func (s *Status) showWorkers(workers []checkpoint.Worker, alive func(worker string) bool, leader string) {
	owned := make(map[string]int)
	for _, shard := range s.Shards {
		owned[shard.Owner]++
	}
	if leader != "" {
		s.Leader = &LeaderStatus{ID: leader}
	}
	for _, w := range workers {
		role := "alone"
		switch {
		case w.ID == leader:
			role, s.Leader.Address = "leader", w.Address
		case w.Follows:
			role = "follower"
		}
		s.Workers = append(s.Workers, WorkerStatus{
			ID: w.ID, Alive: alive(w.ID), Shards: owned[w.ID], Address: w.Address, Version: w.Version, Role: role, Complete: w.Complete,
		})
	}
	slices.SortFunc(s.Workers, func(a, b WorkerStatus) int { return strings.Compare(a.ID, b.ID) })
}

// tableLate returns for how long a published batch may wait for its tables.
func (c *Config) tableLate() time.Duration {
	late := 10*time.Minute + 5*c.LoadInterval
	if _, ok := c.PostgresTable(); ok {
		late += c.PostgresFailover
	}
	return late
}

func state(ready, stopping bool) string {
	switch {
	case stopping:
		return "stopping"
	case ready:
		return "running"
	}
	return "not ready"
}

// checks returns the health of each part.
func (d *Daemon) checks() []Check {
	checks := []Check{
		startCheck(d.patience),
		{Name: "leases", Problem: problem(errors.Join(d.keeper.Health(), d.store.Health()))},
		{Name: "kinesis", Problem: problem(d.trouble.get())},
		{Name: "s3", Problem: problem(d.sink.Health())},
		{Name: "bucket", Problem: problem(d.bucket.health())},
		{Name: "records", Problem: problem(d.pipeline.Stuck(d.mayHold))},
	}
	if d.schemas != nil {
		checks = append(checks, Check{Name: "registry", Problem: problem(d.schemas.Health())})
	}
	if d.function != nil {
		checks = append(checks, Check{Name: "transform", Problem: problem(d.function.Health())})
	}
	if d.table != nil {
		checks = append(checks, Check{Name: "table", Problem: problem(d.table.health())})
	}
	return checks
}

// problem is an error as a check shows it: in one line.
func problem(err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

// mayHold reports whether this worker may hold the shard, that is, the last scan has not shown another owner, or, if it follows, it holds
// the shard. The problems of shards that others own are no longer this worker's.
func (d *Daemon) mayHold(shard string) bool {
	follows := d.follows()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.scan.Snapshot.Leases {
		if l.Shard == shard {
			return l.Owner == "" || l.Owner == d.worker
		}
	}
	return !follows
}

// observe updates the metrics of the checks.
func observe(m *metrics.Metrics, checks []Check) {
	for _, c := range checks {
		ok := 0.0
		if c.Problem == "" {
			ok = 1
		}
		m.CheckOK.WithLabelValues(c.Name).Set(ok)
	}
}

// views are what the port shows.
type views struct {
	status          func(context.Context) any
	registry        prometheus.Gatherer
	observe         func() // before the metrics are shown
	healthz, readyz http.HandlerFunc
}

// Handler serves the status page, its data, the metrics and the probes.
func (d *Daemon) Handler() http.Handler {
	return handler(views{
		status: func(ctx context.Context) any { return d.look(ctx) }, registry: d.registry, observe: func() { observe(d.metrics, d.checks()) },
		healthz: d.healthz, readyz: d.readyz,
	})
}

func handler(v views) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", servePage)
	mux.HandleFunc("GET /status.json", func(w http.ResponseWriter, r *http.Request) { answer(w, http.StatusOK, v.status(r.Context())) })
	metrics := promhttp.HandlerFor(v.registry, promhttp.HandlerOpts{})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		v.observe()
		metrics.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /healthz", v.healthz)
	mux.HandleFunc("GET /readyz", v.readyz)
	return guarded(mux)
}

func servePage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(page)
}

// policy lets the page use only its own script, style and server. No page may frame it.
var policy = "default-src 'none'; script-src " + hashOf("script") + "; style-src " + hashOf("style") +
	"; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// hashOf returns the source expression of a page element's content (Content Security Policy Level 3, section 2.3.1).
func hashOf(element string) string {
	_, text, _ := bytes.Cut(page, []byte("<"+element+">"))
	text, _, _ = bytes.Cut(text, []byte("</"+element+">"))
	sum := sha256.Sum256(text)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// guarded sets headers with which browsers respect the content type, isolate the page and send no referrer.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// stallLimit is how long the engine's loop may be stuck; it normally iterates many times per second.
const stallLimit = time.Minute

// healthz fails if the loop that starts reading shards is stuck, which only a restart fixes. Failing services do not count,
// since a restart does not help against them.
func (d *Daemon) healthz(w http.ResponseWriter, _ *http.Request) {
	d.mu.Lock()
	stopping := d.stopping
	d.mu.Unlock()
	if stalled := d.shards.stalled(); stalled > stallLimit && !stopping {
		answer(w, http.StatusServiceUnavailable, map[string]string{"status": "the engine has been stuck for " + stalled.Round(time.Second).String()})
		return
	}
	answer(w, http.StatusOK, map[string]string{"status": "alive"})
}

// readyz fails while a check fails, and while the daemon stops. It uses the same data as the status page and makes no
// requests.
func (d *Daemon) readyz(w http.ResponseWriter, _ *http.Request) {
	checks, stopping, ready := d.readiness()
	code := http.StatusOK
	if !ready {
		code = http.StatusServiceUnavailable
	}
	answer(w, code, map[string]any{"checks": checks, "stopping": stopping})
}

// readiness returns the checks, whether the daemon is stopping, and whether it is ready.
func (d *Daemon) readiness() (checks []Check, stopping, ready bool) {
	d.mu.Lock()
	stopping = d.stopping
	d.mu.Unlock()
	checks = d.checks()
	return checks, stopping, !stopping && !slices.ContainsFunc(checks, func(c Check) bool { return c.Problem != "" })
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(body) // an error means that the client has disconnected
}

// trouble records which shards cannot be read.
type trouble struct {
	mu     sync.Mutex
	shards map[string]error
}

func (t *trouble) kinesis(shard string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		delete(t.shards, shard)
		return
	}
	if t.shards == nil {
		t.shards = make(map[string]error)
	}
	t.shards[shard] = err
}

// shownTroubles is how many shards get names: hundreds fail at once if the stream refuses a role.
const shownTroubles = 3

// get returns which shards cannot be read, and why. The text stays the same while they do.
func (t *trouble) get() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for i, shard := range slices.Sorted(maps.Keys(t.shards)) {
		if i == shownTroubles {
			errs = append(errs, fmt.Errorf("%d more shards", len(t.shards)-i))
			break
		}
		errs = append(errs, errors.New("shard "+shard+" cannot be read: "+t.shards[shard].Error()))
	}
	return errors.Join(errs...)
}
