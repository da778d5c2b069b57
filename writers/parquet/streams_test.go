package parquet

import (
	"fmt"

	"aws-streaming-pipeline/internal/test/bench/rows"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
)

// stream is a kind of records used to measure speed.
type stream struct {
	name string
	rows rows.Set
}

var streams = []stream{{"taxi", rows.Taxi}, {"narrow", rows.Narrow}, {"nested", rows.Nested}}

func (s stream) schema() *schema.Schema { return s.rows.Schema() }

// lines returns records of about that many bytes in total.
func (s stream) lines(bytes int) [][]byte { return s.rows.Lines(bytes) }

func sequence(i int) string {
	return fmt.Sprintf("49590338271490256608559692538361571095921575989136%06d", i)
}

func records(lines [][]byte) []record.Record {
	list := make([]record.Record, len(lines))
	for i, line := range lines {
		list[i] = record.Record{SequenceNumber: sequence(i), Data: line}
	}
	return list
}
