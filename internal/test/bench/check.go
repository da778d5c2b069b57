package main

import (
	"context"
	"errors"
	"fmt"
)

// Bars that a change must clear. Ratios within one run hold on any machine; times do not.
const (
	// leastLead is the least ratio of the daemon's throughput per CPU second to that of the conventional way, on narrow rows. An
	// idle machine measures 2.2, a busy one less.
	leastLead = 1.7
	// mostAllocs is the most allocations per record, including those at startup.
	mostAllocs = 1.5
)

// check measures a small load, and fails if the daemon does not clear a bar.
func (b *bench) check(ctx context.Context, o options) error {
	// Large enough that the daemon's startup hardly counts.
	o.megabytes, o.rounds, o.only = 256, 1, "narrow"
	results, err := b.measureAll(ctx, o, []load{
		{Set: "narrow", Program: daemon, Format: "parquet-snappy"},
		{Set: "narrow", Program: sdk, Format: "parquet-snappy"},
	})
	if err != nil {
		return err
	}
	ours, theirs := results[0], results[1] // of the only round
	lead := ours.rate() / theirs.rate()
	fmt.Printf("%.2f times the conventional way, at least %.1f; %.2f allocations per record, at most %.1f\n",
		lead, leastLead, ours.allocsPerRecord(), mostAllocs)
	var faults []error
	if lead < leastLead {
		faults = append(faults, fmt.Errorf("the daemon is %.2f times as fast as the conventional way, want at least %.1f", lead, leastLead))
	}
	if ours.allocsPerRecord() > mostAllocs {
		faults = append(faults, fmt.Errorf("%.2f allocations per record, want at most %.1f", ours.allocsPerRecord(), mostAllocs))
	}
	return errors.Join(faults...)
}
