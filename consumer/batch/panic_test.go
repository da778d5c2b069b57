package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
)

// bombedRouter panics where a record or a partition is one of the bomb's.
type bombedRouter struct {
	byKind
	partition func(r *record.Record)
	keyPrefix func(partition string)
}

func (b bombedRouter) Partition(r *record.Record) (string, error) {
	if b.partition != nil {
		b.partition(r)
	}
	return b.byKind.Partition(r)
}

func (b bombedRouter) KeyPrefix(partition string) string {
	if b.keyPrefix != nil {
		b.keyPrefix(partition)
	}
	return b.byKind.KeyPrefix(partition)
}

// bombs are called with the sequence numbers of a block, or of a whole file, at a stage of their way.
type bombs struct{ before, encode, place, end func(sequences []string) }

// bombedFormat is a format with bombs in it.
type bombedFormat struct {
	writers.Format
	bombs
}

func (f bombedFormat) NewLayout() writers.Layout {
	return &bombedLayout{Layout: f.Format.NewLayout(), bombs: f.bombs}
}

type bombedLayout struct {
	writers.Layout
	bombs
	all []string
}

func (l *bombedLayout) NewBlock() writers.Block {
	return &bombedBlock{Block: l.Layout.NewBlock(), bombs: l.bombs}
}

func (l *bombedLayout) Place(e writers.Encoded) ([]byte, error) {
	sequences := e.Meta.([]string)
	explode(l.place, sequences)
	l.all = append(l.all, sequences...)
	return l.Layout.Place(e)
}

func (l *bombedLayout) End() ([]byte, error) {
	explode(l.end, l.all)
	return l.Layout.End()
}

type bombedBlock struct {
	writers.Block
	bombs
	sequences []string
}

func (b *bombedBlock) Append(r *record.Record) error {
	explode(b.before, b.sequences)
	b.sequences = append(b.sequences, strings.Clone(r.SequenceNumber))
	return b.Block.Append(r)
}

func (b *bombedBlock) Encode() (writers.Encoded, error) {
	explode(b.encode, b.sequences)
	e, err := b.Block.Encode()
	e.Meta = b.sequences
	return e, err
}

func explode(bomb func([]string), sequences []string) {
	if bomb != nil {
		bomb(sequences)
	}
}

// at panics where all of the sequence numbers are.
func at(bad ...string) func([]string) {
	return func(sequences []string) {
		for _, s := range bad {
			if !slices.Contains(sequences, s) {
				return
			}
		}
		panic("bomb")
	}
}

// read reads a shard as its sessions do, again after each time that its records were dropped, until all are committed.
// It returns how often it had to.
func (w *world) read(p *Pipeline, shard string, in Intake) (again int) {
	w.t.Helper()
	for ; again < 10; again++ {
		fresh := in
		fresh.Records = slices.Clone(in.Records)
		c := p.Open(w.acquire(shard, p.cfg.Worker))
		err := c.Append(context.Background(), fresh)
		if err == nil {
			err = c.Drain(context.Background())
		} else {
			c.Lost(err)
		}
		c.Close()
		if err == nil {
			return again
		}
		if !errors.Is(err, errRestart) && !panicked(err) {
			w.t.Errorf("read %s: %v", shard, err)
			return again
		}
	}
	w.t.Errorf("shard %s is dropped at each reading", shard)
	return again
}

func anyShard(string) bool { return true }

// Whatever a record is to the program, it costs itself and one batch: the others are delivered once, and it is in the
// error prefix. A worker that reads after a crash comes to the same.
func TestPipeline_SurvivesRecordsThatMakeTheProgramPanic(t *testing.T) {
	const bad = "100004"
	format := func(b bombs) func(*Parts) {
		return func(p *Parts) { p.Data = bombedFormat{p.Data, b} }
	}
	router := func(r bombedRouter) func(*Parts) { return func(p *Parts) { p.Router = r } }
	for place, test := range map[string]struct {
		plant  func(*Parts)
		errors int
	}{
		"in the router": {router(bombedRouter{partition: func(r *record.Record) { at(bad)([]string{r.SequenceNumber}) }}), 1},
		"in its key": {router(bombedRouter{keyPrefix: func(partition string) {
			if partition == "data/c/" {
				panic("bomb")
			}
		}}), 1},
		"when the next is appended":      {format(bombs{before: at(bad), encode: at(bad)}), 1},
		"when it is encoded":             {format(bombs{encode: at(bad)}), 1},
		"when it is placed":              {format(bombs{place: at(bad)}), 1},
		"when its file ends":             {format(bombs{end: at(bad)}), 1},
		"when two are encoded":           {format(bombs{encode: func(s []string) { at(bad)(s); at("100002")(s) }}), 2},
		"only with another in its block": {format(bombs{encode: at("100003", "100005")}), 0},
	} {
		t.Run(place, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				in := Intake{}
				for n := 1; n <= 6; n++ {
					partition := "a"
					if n == 4 && place == "in its key" {
						partition = "c"
					}
					one := intake(partition, n, n)
					in.Records, in.Last = append(in.Records, one.Records...), one.Last
				}
				in = withRaw(in)
				crashed, crash := w.worker("crashes", backedUp(t), test.plant)
				first := in
				first.Records = slices.Clone(in.Records)
				if err := crashed.Open(w.acquire("shard-0", "crashes")).Append(context.Background(), first); err == nil {
					time.Sleep(2 * w.limits.Interval)
				}
				crash() // what it has learned is gone

				p, stop := w.worker("one", backedUp(t), test.plant)
				var neighbour sync.WaitGroup
				neighbour.Go(func() { w.read(p, "shard-1", intake("a", 11, 12)) })
				want(t, "readings of the shard again", w.read(p, "shard-0", in), 1)
				neighbour.Wait()
				if err := p.AwaitPublished(context.Background()); err != nil {
					t.Error(err)
				}
				stop()
				want(t, "stuck", p.Stuck(anyShard), nil)

				lines := w.bucket.lines("data/")
				want(t, "records delivered", len(lines), 8-test.errors)
				slices.Sort(lines)
				want(t, "records delivered once", len(slices.Compact(lines)), 8-test.errors)
				want(t, "kept", fmt.Sprint(w.kept(w.bucket.keys("backup/"))), "[100001 100002 100003 100004 100005 100006]")
				faults := w.bucket.lines("errors/")
				want(t, "error records", len(faults), test.errors)
				for _, line := range faults {
					want(t, "the error record is that of the panic: "+line, strings.Contains(line, record.CodeRecordPanicked) && strings.Contains(line, "10000"), true)
				}
			})
		})
	}
}

// A panic that does not come again costs no record.
func TestPipeline_DeliversTheRecordOfAPanicThatDoesNotComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		once := true
		p, stop := w.worker("one", func(p *Parts) {
			p.Data = bombedFormat{p.Data, bombs{encode: func([]string) {
				if once {
					once = false
					panic("bomb")
				}
			}}}
		})
		want(t, "readings again", w.read(p, "shard-0", intake("a", 1, 6)), 1)
		if err := p.AwaitPublished(context.Background()); err != nil {
			t.Error(err)
		}
		stop()
		want(t, "records delivered", len(w.bucket.lines("data/")), 6)
		want(t, "error records", len(w.bucket.keys("errors/")), 0)
		want(t, "stuck", p.Stuck(anyShard), nil)
	})
}

// Records that come after those of the batch that a panic has ended are not tried: they stand in common blocks.
func TestSuspects_AreForgottenOnceTheyArePassed(t *testing.T) {
	var s suspects
	s.add("shard-0", "100004")
	s.add("shard-0", "100002")
	for _, test := range []struct {
		shard string
		n     int
		want  bool
	}{{"shard-1", 1, false}, {"shard-0", 1, true}, {"shard-0", 4, true}, {"shard-0", 5, false}, {"shard-0", 4, false}} {
		if got := s.among(test.shard, intake("a", test.n, test.n+9).Records); got != test.want {
			t.Errorf("%s from %d on: got %v", test.shard, test.n, got)
		}
	}
}

// Records are tried a thousand at a time, and the rest of the intake with its end comes after.
func TestPipeline_TriesManySuspectsInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var mu sync.Mutex // blocks are encoded at the same time
		largest := 0
		p, stop := w.worker("one", backedUp(t), func(p *Parts) {
			p.Data = bombedFormat{p.Data, bombs{encode: func(sequences []string) {
				mu.Lock()
				largest = max(largest, len(sequences))
				mu.Unlock()
				at("100007")(sequences)
				at("102500")(sequences)
			}}}
		})
		in := intake("a", 1, 2500)
		for i := range in.Records {
			in.Records[i].Data = []byte(`{"n":1}`)
		}
		in = withRaw(in)
		in.End = true
		w.read(p, "shard-0", in)
		if err := p.AwaitPublished(context.Background()); err != nil {
			t.Error(err)
		}
		stop()
		want(t, "records delivered", len(w.bucket.lines("data/")), 2498)
		want(t, "error records", len(w.bucket.lines("errors/")), 2)
		want(t, "records kept", len(w.kept(w.bucket.keys("backup/"))), 2500)
		want(t, "checkpoint", w.checkpoint("shard-0"), checkpoint.ShardEnd)
		want(t, "records of the block that was not tried", largest, 2500)
	})
}

// Where the program panics again and again at one position the pipeline says so, until the checkpoint has passed it.
// One panic, and one at another position, are not worth a word.
func TestPipeline_TellsWhereItPanicsAgain(t *testing.T) {
	for _, test := range []struct {
		name  string
		place string
		plant func(p *Parts, bad *string)
	}{
		{"while an error record is written", "record 100002", func(p *Parts, bad *string) {
			p.Errors = bombedFormat{p.Errors, bombs{before: func([]string) {
				if *bad != "" {
					panic("secret")
				}
			}}}
		}},
		{"while error records are encoded", "after the checkpoint TRIM_HORIZON", func(p *Parts, bad *string) {
			p.Errors = bombedFormat{p.Errors, bombs{encode: func([]string) {
				if *bad != "" {
					panic("secret")
				}
			}}}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				bad := "always"
				p, stop := w.worker("one", func(p *Parts) { test.plant(p, &bad) })
				defer stop()
				in := intake("a", 1, 3)
				in.Records[1].PartitionKey = "!" // has no partition
				once := func() {
					c := p.Open(w.acquire("shard-0", "one"))
					defer c.Close()
					if err := c.Append(context.Background(), Intake{Records: slices.Clone(in.Records), Last: in.Last}); err == nil {
						_ = c.Drain(context.Background()) // fails as long as it panics
					} else {
						c.Lost(err)
					}
					time.Sleep(time.Second)
				}
				once()
				want(t, "stuck after one panic", p.Stuck(anyShard), nil)
				once()
				once()
				err := p.Stuck(anyShard)
				if err == nil || !strings.Contains(err.Error(), "shard-0") || !strings.Contains(err.Error(), test.place) || strings.Contains(err.Error(), "secret") {
					t.Fatalf("after three panics: %v, want shard and %s, and nothing of the payload", err, test.place)
				}
				want(t, "stuck at shards of others", p.Stuck(func(string) bool { return false }), nil)
				bad = ""
				once()
				want(t, "stuck once it is mended", p.Stuck(anyShard), nil)
				want(t, "checkpoint", w.checkpoint("shard-0"), "100003")
			})
		})
	}
}

func TestPanics_AtDifferentPositionsAreNotOneThatComesAgain(t *testing.T) {
	var p panics
	for i, after := range []checkpoint.Position{"1", "2", "3", "1"} {
		p.note("shard-0", panicSeen{after: after, what: "a panic"})
		want(t, "stuck", p.stuck(anyShard), nil)
		p.note("shard-1", panicSeen{after: "1", sequence: string(after), batch: string(rune('a' + i))})
		want(t, "stuck at a record", p.stuck(anyShard), nil)
	}
	p.note("shard-1", panicSeen{after: "1", sequence: "1", batch: "d"}) // the same panic, seen by another part
	want(t, "stuck by one panic", p.stuck(anyShard), nil)

	p.note("shard-0", panicSeen{after: "1", what: "a panic"})
	want(t, "stuck at a position that comes again", p.stuck(anyShard) != nil, true)
	p.note("shard-0", panicSeen{after: "2", what: "a panic"})
	want(t, "stuck at another position", p.stuck(anyShard), nil)
}
