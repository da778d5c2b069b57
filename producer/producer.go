package producer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"aws-streaming-pipeline/internal/backoff"
	"aws-streaming-pipeline/internal/logkey"
)

// Producer sends a table to a stream.
type Producer struct {
	config Config
	client Client
}

// New returns a Producer, or an error that lists all faults of the settings.
func New(config Config, client Client) (*Producer, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Producer{config: config.withDefaults(), client: client}, nil
}

// Run sends the table and returns a summary, also with an error. A nil error means that every row is in the stream, except
// the Summary's BadRows.
//
// When ctx ends, no more rows are sent, calls in flight continue for Config.DrainFor at most, and the error is that of ctx.
// The same happens when a call fails for good; the error is then that of the first failed call. With the Summary's
// SettledRows as Config.Skip another run continues where this one stopped. Run may be called again and then starts over.
func (p *Producer) Run(ctx context.Context) (Summary, error) {
	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	unwatch := context.AfterFunc(reading, func() {
		select {
		case <-time.After(p.config.DrainFor):
			cancel()
		case <-sending.Done():
		}
	})
	defer unwatch()

	r := newRun(p.config, p.client)
	if err := r.findShards(reading); err != nil {
		return r.summary(), err
	}
	reported := r.startReporting()
	var senders sync.WaitGroup
	for range p.config.InFlight {
		senders.Go(func() { r.sendAll(sending, stop) })
	}
	err := r.readAll(reading)
	if reading.Err() == nil {
		r.packer.flush()
	}
	r.packer.close()
	senders.Wait()
	reported()

	return r.summary(), r.outcome(err, context.Cause(reading))
}

// run is one pass through Run.
type run struct {
	config Config
	start  time.Time
	counts counts
	ledger *ledger
	packer *packer
	sender *sender
	rate   *rate.Limiter

	row     int64 // number of the row that was read last, over all repetitions
	scratch []byte
}

func newRun(config Config, client Client) *run {
	r := &run{
		config: config,
		start:  time.Now(),
		counts: counts{shards: make(map[string]Shard)},
		ledger: newLedger(config.Skip),
		// One request fills while the others are in flight.
		packer: newPacker(newLimits(config.MaxRecordBytes, !config.Unpaced), config.InFlight+1),
		rate:   rate.NewLimiter(rate.Inf, 0),
	}
	if config.Rate > 0 {
		// A fiftieth of a second at once: shorter pauses cost more than they even out.
		r.rate = rate.NewLimiter(rate.Limit(config.Rate), max(1, int(config.Rate/50)))
	}
	r.sender = &sender{
		client:      client,
		stream:      config.Stream,
		pacer:       newPacer(),
		giveUpAfter: config.GiveUpAfter,
		counts:      &r.counts,
		log:         config.Log,
	}
	if !config.Unpaced {
		r.sender.router = &router{client: client, stream: config.Stream}
	}
	return r
}

func (r *run) findShards(ctx context.Context) error {
	if r.sender.router == nil {
		return nil
	}
	shards, err := r.sender.router.shards(ctx)
	if err != nil {
		return err
	}
	r.config.Log.Info("stream found", logkey.Stream, r.config.Stream, logkey.Shards, len(shards))
	return nil
}

func (r *run) summary() Summary { return r.counts.summary(time.Since(r.start), r.ledger) }

// outcome returns the error of the run, from that of reading and from what stopped it.
func (r *run) outcome(readErr, stopped error) error {
	if upTo, _ := r.ledger.state(); readErr == nil && upTo >= r.row {
		return nil // stopped when all was done
	}
	if stopped == nil || readErr == nil || errors.Is(readErr, stopped) || errors.Is(readErr, context.Canceled) || errors.Is(readErr, context.DeadlineExceeded) {
		return cmp.Or(stopped, readErr)
	}
	return errors.Join(stopped, readErr)
}

// startReporting calls OnProgress now and then until the function it returns is called.
func (r *run) startReporting() (stop func()) {
	if r.config.OnProgress == nil {
		return func() {}
	}
	report := func() { r.config.OnProgress(r.counts.progress(time.Since(r.start))) }
	done := make(chan struct{})
	var reporter sync.WaitGroup
	reporter.Go(func() {
		ticker := time.NewTicker(r.config.ProgressEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				report()
			case <-done:
				report()
				return
			}
		}
	})
	return func() {
		close(done)
		reporter.Wait()
	}
}

// sendAll sends requests until there are no more. After the first that fails it calls fail, and the rest that are
// ready are sent as long as ctx lasts.
func (r *run) sendAll(ctx context.Context, fail context.CancelCauseFunc) {
	for q := range r.packer.ready {
		if err := r.sender.send(ctx, q); err != nil {
			fail(err)
		}
		r.settle(q)
		r.packer.giveBack(q)
	}
}

// settle books a request after its last call.
func (r *run) settle(q *request) {
	if len(q.pending) == 0 {
		r.ledger.settle(q.first, q.last, int64(len(q.entries)))
		return
	}
	gap := q.pending[0]
	r.ledger.settle(q.first, q.entries[gap].row-1, int64(gap))
	r.ledger.settleBehindGap(int64(len(q.entries) - gap - len(q.pending)))
}

// readAll reads every repetition of the table.
func (r *run) readAll(ctx context.Context) error {
	for pass := 0; r.config.Repeat == Forever || pass < r.config.Repeat; pass++ {
		before := r.row
		if err := r.readTable(ctx); err != nil {
			return err
		}
		if r.row == before {
			return nil // nothing to repeat
		}
	}
	return nil
}

func (r *run) readTable(ctx context.Context) (err error) {
	source, err := r.config.Source()
	if err != nil {
		return err
	}
	if closer, ok := source.(io.Closer); ok {
		defer func() { err = errors.Join(err, closer.Close()) }()
	}
	columns, err := source.Columns()
	if err != nil {
		return err
	}
	t := table{object: newObject(columns), key: r.config.PartitionKey}
	if t.keyColumn, err = columnOf(t.key, columns); err != nil {
		return err
	}
	for ctx.Err() == nil {
		row, err := source.Next()
		if err == io.EOF {
			return nil
		}
		var bad *BadRow
		if err != nil && !errors.As(err, &bad) {
			return err
		}
		r.row++
		if r.row <= r.config.Skip {
			continue
		}
		r.counts.rows.Add(1)
		if bad == nil {
			bad, err = r.take(ctx, t, row)
		}
		if bad != nil {
			err = r.refuse(bad)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// table is what rows have in common.
type table struct {
	object    object
	key       string
	keyColumn int // -1 where the row's number is the key
}

func columnOf(key string, columns []string) (int, error) {
	if key == "" {
		return -1, nil
	}
	for i, c := range columns {
		if c == key {
			return i, nil
		}
	}
	return 0, Fault{"PartitionKey", key, "one of the columns " + strings.Join(columns, ", ")}
}

// take sends a row on its way, or says why it is bad.
func (r *run) take(ctx context.Context, t table, row Row) (*BadRow, error) {
	key := strconv.FormatInt(r.row, 10)
	if t.keyColumn >= 0 {
		key = strings.ToValidUTF8(string(row.Cells[t.keyColumn]), "\uFFFD")
	}
	if n := utf8.RuneCountInString(key); n == 0 || n > maxKeyLength {
		return &BadRow{row.Line, fmt.Sprintf("the partition key %s has %d characters, Kinesis takes 1 to %d", t.key, n, maxKeyLength)}, nil
	}
	r.scratch = t.object.append(r.scratch[:0], row.Cells)
	if size := len(r.scratch) + len(key); size > r.config.MaxRecordBytes {
		return &BadRow{row.Line, fmt.Sprintf("the record has %d bytes, the stream takes %d", size, r.config.MaxRecordBytes)}, nil
	}
	if err := backoff.Sleep(ctx, r.rate.Reserve().Delay()); err != nil {
		return nil, err
	}
	rec := record{row: r.row, data: r.scratch, key: key}
	if shards := r.sender.router.known(); shards != nil {
		rec.hash = hashOf(key)
		rec.shard = shards.shard(rec.hash)
	}
	return nil, r.packer.add(ctx, &rec)
}

// refuse reports a bad row, and returns it if the run is to end with it.
func (r *run) refuse(bad *BadRow) error {
	if r.config.FailOnBadRow {
		return bad
	}
	r.counts.badRows.Add(1)
	if r.config.OnBadRow != nil {
		r.config.OnBadRow(bad)
	}
	if !r.packer.cover(r.row) {
		r.ledger.settle(r.row, r.row, 0)
	}
	return nil
}
