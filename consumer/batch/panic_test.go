package batch

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/record"
	"aws-streaming-pipeline/writers/jsonl"
)

// bomb panics at one record, each time that it sees it.
type bomb struct {
	at    string // sequence number
	times int
}

func (b *bomb) pass(r *record.Record) {
	if r.SequenceNumber == b.at {
		b.times++
		panic("bomb")
	}
}

type bombedRouter struct {
	byKind
	*bomb
}

func (b bombedRouter) Partition(r *record.Record) (string, error) {
	b.pass(r)
	return b.byKind.Partition(r)
}

// Sequence numbers are those of a shard: another may have the same.
func TestPoison_IsThatOfItsShard(t *testing.T) {
	var p poison
	r := intake("x", 1, 2).Records
	p.add("shard-0", &r[0], &record.Fault{Code: record.CodeRecordPanicked})
	want(t, "the record", p.fault("shard-0", &r[0]) != nil, true)
	want(t, "another record", p.fault("shard-0", &r[1]) != nil, false)
	want(t, "the same number in another shard", p.fault("shard-1", &r[0]) != nil, false)
}

// A record that makes the program panic costs itself and one batch: it goes to the error prefix when its shard is read
// again. What the panic has left in the open files must not be delivered, and must not keep anything from going on.
func TestCursor_SurvivesARecordThatMakesTheProgramPanic(t *testing.T) {
	places := map[string]func(*testing.T, *Pipeline, *bomb){
		"in the router": func(_ *testing.T, p *Pipeline, b *bomb) { p.parts.Router = bombedRouter{bomb: b} },
		"in the format": func(t *testing.T, p *Pipeline, b *bomb) {
			format, err := jsonl.New(jsonl.Config{Append: func(dst []byte, r *record.Record) ([]byte, error) {
				b.pass(r)
				return record.AppendJSONLine(dst, r)
			}})
			if err != nil {
				t.Fatal(err)
			}
			p.parts.Data = format
		},
	}
	for place, plant := range places {
		t.Run(place, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p, stop := w.worker("one")
				bomb := &bomb{at: "100004"}
				plant(t, p, bomb)
				neighbour := intake("b", 1, 2)
				w.append(p.Open(w.acquire("shard-1", "one")), neighbour)

				in := intake("a", 1, 2)
				in.Records = append(in.Records, intake("b", 3, 3).Records...)
				in.Records = append(in.Records, intake("c", 4, 4).Records...)
				in.Last = "100004"
				c := p.Open(w.acquire("shard-0", "one"))
				err := c.Append(context.Background(), in)
				want(t, "the panic is an error of the append", errors.Is(err, errPanicked), true)
				c.Close()
				time.Sleep(2 * w.limits.Interval)
				want(t, "checkpoint of the shard", w.checkpoint("shard-0"), checkpoint.TrimHorizon)
				want(t, "checkpoint of its neighbour", w.checkpoint("shard-1"), checkpoint.TrimHorizon)

				for shard, in := range map[string]Intake{"shard-0": in, "shard-1": neighbour} {
					again := p.Open(w.acquire(shard, "one"))
					w.append(again, in)
					if err := again.Drain(context.Background()); err != nil {
						t.Errorf("drain %s: %v", shard, err)
					}
				}
				if err := p.AwaitPublished(context.Background()); err != nil {
					t.Error(err)
				}
				stop()
				want(t, "panics", bomb.times, 1)
				want(t, "records delivered", len(w.bucket.lines("data/")), 5)
				lines := w.bucket.lines("errors/")
				want(t, "error records", len(lines), 1)
				want(t, "the error record is that of the panic: "+lines[0], strings.Contains(lines[0], record.CodeRecordPanicked), true)
			})
		})
	}
}
