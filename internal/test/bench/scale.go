package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"aws-streaming-pipeline/internal/test/bench/rows"
)

// course is a load over time: a stream with a backlog that is fed for a while, and read within Kinesis's limits.
type course struct {
	result
	samples []sample
	// CaughtUp is when the unread records first fell to what arrives in two seconds: readers at the tip poll every second.
	CaughtUp time.Duration
	Refused  int64 // calls that the stream throttled
}

// sample is a measurement of the daemon.
type sample struct {
	at         time.Duration
	unread     int64
	resident   int64
	goroutines int64
}

// follow runs a daemon on a stream that is being fed, and samples it every second.
func (b *bench) follow(ctx context.Context, program string, o order, env ...string) (course, error) {
	b.n++
	o.Name = fmt.Sprintf("course-%d", b.n)
	dir := filepath.Join(b.dir, o.Name)
	document := filepath.Join(dir, "schema.json")
	set, _ := rows.Find(o.Set)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(document, []byte(set.Document), 0o600)); err != nil {
		return course{}, err
	}
	defer os.RemoveAll(dir)
	if _, err := b.order(o); err != nil {
		return course{}, err
	}
	defer b.forget(o.Name)
	status, err := freeAddress()
	if err != nil {
		return course{}, err
	}
	c := course{result: result{load: load{Set: o.Set, Program: program, Format: "parquet-snappy", Shards: o.Shards, Cores: 2, Env: env}}}
	settings := append(daemonSettings(c.load, dir, document), "HTTP_ADDRESS="+status)
	p, err := start(ctx, process{
		args: []string{filepath.Join(b.bin, binaries[program]), "run"}, env: append(b.environment(c.load, o.Name), settings...), log: filepath.Join(dir, "log"),
	})
	if err != nil {
		return c, err
	}
	defer p.cmd.Process.Kill()
	began := time.Now()
	if err := c.watch(ctx, b, p, o, status, began); err != nil {
		return c, err
	}
	c.Wall = time.Since(began)
	used, err := p.terminate(patience)
	if err != nil {
		return c, err
	}
	c.CPU, c.Peak = used.CPU, used.Peak
	s, err := b.state(o.Name)
	if err != nil {
		return c, err
	}
	c.Records, c.Payload, c.Refused = s.Records, s.Bytes-keyBytes(s.Records), s.Refused
	return c, c.inspect(b.bucket(o.Name))
}

// watch takes samples until the stream is no longer fed and everything is read.
func (c *course) watch(ctx context.Context, b *bench, p *process, o order, status string, began time.Time) error {
	deadline := began.Add(time.Duration(o.Seconds)*time.Second + patience)
	for {
		s, err := b.state(o.Name)
		if err != nil {
			return err
		}
		if c.CaughtUp == 0 && s.Records > 0 && s.Unread*(s.Bytes/s.Records) <= int64(2*o.Rate) {
			c.CaughtUp = time.Since(began)
		}
		if resident, err := metric(status, "process_resident_memory_bytes"); err == nil { // it may not listen yet
			goroutines, err := metric(status, "go_goroutines")
			if err != nil {
				return err
			}
			c.samples = append(c.samples, sample{time.Since(began), s.Unread, resident, goroutines})
		}
		switch {
		case !s.Feeding && s.Unread == 0:
			return nil
		case !p.running():
			return fmt.Errorf("the daemon ended early: %s", p.tail())
		case time.Now().After(deadline):
			return fmt.Errorf("%d records were not read: %s", s.Unread, p.tail())
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// growth compares the largest value of the second half with the largest of the first, without the first fifth, in which the
// process warms up.
func (c *course) growth(of func(sample) int64) (before, after int64) {
	for i, s := range c.samples {
		switch {
		case i < len(c.samples)/5:
		case i < len(c.samples)/2:
			before = max(before, of(s))
		default:
			after = max(after, of(s))
		}
	}
	return before, after
}

func resident(s sample) int64   { return s.resident }
func goroutines(s sample) int64 { return s.goroutines }

// steady is 100 shards at a twentieth of their full rate, 100 MB/s.
func steady(seconds int) order {
	return order{Set: "narrow", Shards: 100, Rate: 5_000_000, Seconds: seconds}
}

// flat returns an error if the memory or the goroutines of a course grow.
func (c *course) flat() error {
	var faults []error
	before, after := c.growth(resident)
	if after > before+before/4+16<<20 {
		faults = append(faults, fmt.Errorf("resident memory grew from %d to %d MB", before/1e6, after/1e6))
	}
	before, after = c.growth(goroutines)
	const uploads = 8 // UPLOAD_CONCURRENCY: the number of concurrent uploads varies
	if after > before+before/10+uploads {
		faults = append(faults, fmt.Errorf("goroutines grew from %d to %d", before, after))
	}
	// A machine that stalls bunches calls, so that a few are throttled. A daemon that calls too often is throttled all the time.
	if c.Refused > int64(len(c.samples)) {
		faults = append(faults, fmt.Errorf("%d calls were throttled in %d samples", c.Refused, len(c.samples)))
	}
	return errors.Join(faults...)
}

// outage is a stop of the daemon for the given number of seconds: four shards have a backlog, and go on at the same rate, less
// than half of what may be read.
func outage(seconds int) order {
	const rate = 4 << 20 / 5 * 4 // 0.8 MiB/s per shard; the limit for writes is 1
	return order{Set: "narrow", Shards: 4, Bytes: rate * seconds, Rate: rate, Seconds: 2 * seconds}
}

// ideal is how long catching up takes at the full rate of reading.
func ideal(o order) time.Duration {
	read := float64(2_000_000 * o.Shards)
	return time.Duration(float64(o.Bytes) / (read - float64(o.Rate)) * float64(time.Second))
}

// largeObjects are settings that write objects of 512 MiB in little memory.
const largeObjects = "MEMORY_BUDGET=64MiB ROW_GROUP_SIZE=32MiB FILE_SIZE=512MiB COMMIT_SIZE=2GiB"

// scale measures the effect of shards, cores, large objects and time.
func (b *bench) scale(ctx context.Context, o options) error {
	fmt.Print(header())
	var results []result
	for _, shape := range []struct{ shards, cores int }{{2, 1}, {16, 1}, {64, 1}, {64, 2}} {
		o.shards, o.cores = shape.shards, shape.cores
		some, err := b.measureAll(ctx, o, []load{{Set: "narrow", Program: daemon, Format: "parquet-snappy"}})
		if err != nil {
			return err
		}
		results = append(results, some...)
	}
	large := o
	large.megabytes, large.rounds, large.shards, large.cores, large.settings, large.against = 2200, 1, 32, 1, largeObjects, ""
	objects, err := b.measureAll(ctx, large, []load{{Set: "narrow", Program: daemon, Format: "parquet-snappy"}, {Set: "taxi", Program: daemon, Format: "parquet-snappy"}})
	if err != nil {
		return err
	}
	text := scaleTable(results, objects)
	if o.against != "" {
		text += "\n" + againstTable(results)
	}
	programs := []string{daemon}
	if o.against != "" {
		programs = append(programs, before)
	}
	var faults []error
	for _, program := range programs {
		said, err := b.overTime(ctx, o, program)
		faults = append(faults, err)
		text += "\n" + said
	}
	fmt.Printf("\n%s", text)
	if o.docs {
		faults = append(faults, b.writeScale(ctx, o, text))
	}
	return errors.Join(faults...)
}

// scaleTable shows the effect of shards and cores, and what objects of 512 MiB take.
func scaleTable(results, objects []result) string {
	var b strings.Builder
	b.WriteString("| load | MB per CPU second | MB per second | peak MB |\n|---|---|---|---|\n")
	row := func(what string, r result) {
		fmt.Fprintf(&b, "| %s, %s | %.0f | %.0f | %.0f |\n", r.Set, what, r.rate(), float64(r.Payload)/1e6/r.Wall.Seconds(), float64(r.Peak)/1e6)
	}
	for _, r := range best(results) {
		if r.Program == daemon {
			row(fmt.Sprintf("%d shards, GOMAXPROCS=%d", r.Shards, r.Cores), r)
		}
	}
	for _, r := range objects {
		row("objects of 512 MiB: `"+largeObjects+"`", r)
	}
	return b.String()
}

// overTime measures a steady load and catching up, and says in a sentence each what came of it.
func (b *bench) overTime(ctx context.Context, o options, program string) (text string, err error) {
	hour, err := b.follow(ctx, program, steady(o.seconds), "COMMIT_INTERVAL=15s", "FILE_SIZE=64MiB")
	if err != nil {
		return "", err
	}
	fmt.Println(hour.line())
	stop := outage(o.seconds / 3)
	late, err := b.follow(ctx, program, stop, strings.Fields(o.settings)...)
	if err != nil {
		return "", err
	}
	fmt.Println(late.line())
	text = fmt.Sprintf("- %s, 100 shards with 5 MB/s together for %d s, a commit every 15 s: %s, %d calls throttled.\n"+
		"- %s, 4 shards at 0.8 MiB/s each that stood still for %d s: caught up after %.1f s, where the full rate of reading takes %.1f; %d calls throttled.\n",
		title[program], o.seconds, hour.sketch(), hour.Refused, title[program], o.seconds/3, late.CaughtUp.Seconds(), ideal(stop).Seconds(), late.Refused)
	return text, errors.Join(hour.flat(), late.flat())
}

func (b *bench) writeScale(ctx context.Context, o options, text string) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	how := fmt.Sprintf("Measured by `make bench-scale` on %s: %d MB per load, the best of %d rounds.\n\n", machine(), o.megabytes, o.rounds)
	return replaceMarked(filepath.Join(root, "docs", detailsPage), "over time", how+text)
}

// sketch describes the course of memory and goroutines in words.
func (c *course) sketch() string {
	m1, m2 := c.growth(resident)
	g1, g2 := c.growth(goroutines)
	return fmt.Sprintf("at most %d MB and %d goroutines in the first half, %d and %d in the second", m1/1e6, g1, m2/1e6, g2)
}
