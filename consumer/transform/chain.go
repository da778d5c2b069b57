package transform

import (
	"context"

	"aws-streaming-pipeline/record"
)

// Chain returns a Stage that applies stages one after the other. Those that are nil are left out; nil if all are. At most one
// of them may make several records of one: see Split.
func Chain(stages ...Stage) Stage {
	var all chain
	for _, s := range stages {
		if s != nil {
			all = append(all, s)
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return all
}

type chain []Stage

func (c chain) Apply(ctx context.Context, shard string, in []record.Record) (Output, error) {
	sum := Output{Records: in}
	for _, s := range c {
		out, err := s.Apply(ctx, shard, sum.Records)
		if err != nil {
			return Output{}, err
		}
		sum = Output{
			Records: out.Records, Dropped: sum.Dropped + out.Dropped, Added: sum.Added + out.Added, Bytes: sum.Bytes + out.Bytes,
		}
	}
	return sum, nil
}
