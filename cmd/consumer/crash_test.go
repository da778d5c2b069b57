package main_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"aws-streaming-pipeline/producer"
)

// The consumer is killed again and again while trips arrive; its successor rereads what was not committed, and publishes
// what was.
func TestConsumer_LosesAndDoublesNothingWhenItIsKilled(t *testing.T) {
	t.Parallel()
	const trips, kills = 10_000, 8
	s := newSurroundings(t, 2)
	p, err := producer.New(producer.Config{
		Stream:       streamName,
		Source:       func() (producer.Source, error) { return producer.Generate(trips, 1), nil },
		PartitionKey: "TRIP_ID",
		Rate:         trips / 15,
	}, s.kinesis)
	if err != nil {
		t.Fatal(err)
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		if _, err := p.Run(t.Context()); err != nil {
			t.Errorf("send: %v", err)
		}
	})

	rng := rand.New(rand.NewPCG(1, 2))
	settings := []string{"FILE_SIZE=256KiB", "COMMIT_SIZE=1MiB"}
	for range kills {
		consumer := s.start(settings...)
		time.Sleep(1200*time.Millisecond + time.Duration(rng.IntN(1500))*time.Millisecond)
		consumer.kill()
	}
	sending.Wait()
	// Other settings than those of the dead: recovery must not depend on them.
	address := freeAddress(t)
	last := s.start("COMPRESSION=none", "PREFIX=data/other/!{timestamp:yyyy}/", "HTTP_ADDRESS="+address)
	eventually(t, "the last one is ready", func() bool { return ready(address) })
	eventually(t, "all trips delivered", func() bool { return len(s.lines("data/")) >= trips })
	if err := last.terminate(); err != nil {
		t.Errorf("graceful stop: %v\n%s", err, last.log)
	}
	checkTrips(t, s, trips)
}

func TestConsumer_CommitsAndExitsWithZeroOnSIGTERM(t *testing.T) {
	t.Parallel()
	s := newSurroundings(t, 2)
	p, err := producer.New(producer.Config{
		Stream: streamName,
		Source: func() (producer.Source, error) { return producer.Generate(500, 2), nil },
	}, s.kinesis)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	consumer := s.start("COMMIT_INTERVAL=1h", "LOG_LEVEL=debug", "HTTP_ADDRESS="+address)
	eventually(t, "all trips are in open files", func() bool {
		st, ok := status(t, address)
		rows := int64(0)
		for _, f := range st.Pipeline.Open {
			rows += f.Rows
		}
		return ok && rows == 500
	})
	if n := len(s.lines("")); n > 0 {
		t.Errorf("%d lines visible before any commit", n)
	}
	if err := consumer.terminate(); err != nil {
		t.Errorf("exit: %v\n%s", err, consumer.log)
	}
	if n := len(s.lines("data/")); n != 500 {
		t.Errorf("%d of 500 trips delivered by the last commit\n%s", n, consumer.log)
	}
}
