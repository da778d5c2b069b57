package main

import (
	"context"
	"errors"
	"fmt"
)

// Bars below which a change is not taken in. Ratios within one run hold on any machine; times do not.
const (
	// leastLead is how many times as much a CPU second brings as on the conventional way, on narrow rows. A quiet machine
	// measures 2.2; one that is busy with other work as well measures less.
	leastLead = 1.7
	// mostAllocs is the allocations a record, those of the start included.
	mostAllocs = 1.5
)

// check measures a little, and fails where the daemon is below a bar.
func (b *bench) check(ctx context.Context, o options) error {
	// Enough for the daemon's start not to weigh much.
	o.megabytes, o.rounds, o.only = 256, 1, "narrow"
	results, err := b.measureAll(ctx, o, []load{
		{Set: "narrow", Program: daemon, Format: "parquet-snappy"},
		{Set: "narrow", Program: sdk, Format: "parquet-snappy"},
	})
	if err != nil {
		return err
	}
	ours, theirs := results[0], results[1]
	lead := ours.rate() / theirs.rate()
	fmt.Printf("%.2f times the conventional way, at least %.1f; %.2f allocations a record, at most %.1f\n",
		lead, leastLead, ours.allocsPerRecord(), mostAllocs)
	var faults []error
	if lead < leastLead {
		faults = append(faults, fmt.Errorf("the daemon is %.2f times as fast as the conventional way, not %.1f", lead, leastLead))
	}
	if ours.allocsPerRecord() > mostAllocs {
		faults = append(faults, fmt.Errorf("%.2f allocations a record are more than %.1f", ours.allocsPerRecord(), mostAllocs))
	}
	return errors.Join(faults...)
}
