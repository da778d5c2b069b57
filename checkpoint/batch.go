package checkpoint

import (
	"errors"
	"fmt"

	"aws-streaming-pipeline/record"
)

// ErrInvalidBatch means that a batch breaks a rule that does not depend on the state of the store. Such a batch is
// never sent, so it is not committed and never will be.
var ErrInvalidBatch = errors.New("invalid batch")

// Validate checks the rules that every batch must satisfy: it has an id and 1 to MaxRanges ranges, one per shard; each
// range is held by a lease and moves its checkpoint forward; a list of files names its object; and tables are sorted and
// unique. A range that does
// not move is refused because the move is what keeps a late repetition of the same commit from being applied twice.
func (b Batch) Validate() error {
	switch {
	case b.ID == "":
		return fmt.Errorf("%w: it has no id", ErrInvalidBatch)
	case len(b.Ranges) == 0:
		return fmt.Errorf("%w %s: it has no ranges", ErrInvalidBatch, b.ID)
	case len(b.Ranges) > MaxRanges:
		return fmt.Errorf("%w %s: it has %d ranges, more than the %d that fit into one transaction", ErrInvalidBatch, b.ID, len(b.Ranges), MaxRanges)
	}
	if b.List != nil {
		if err := b.List.validate(); err != nil {
			return fmt.Errorf("%w %s: list of files: %w", ErrInvalidBatch, b.ID, err)
		}
	}
	if err := validateTables(b.Tables); err != nil {
		return fmt.Errorf("%w %s: %w", ErrInvalidBatch, b.ID, err)
	}
	seen := make(map[string]bool, len(b.Ranges))
	for _, r := range b.Ranges {
		if seen[r.Shard] {
			return fmt.Errorf("%w %s: it has two ranges for shard %s", ErrInvalidBatch, b.ID, r.Shard)
		}
		seen[r.Shard] = true
		if err := r.validate(); err != nil {
			return fmt.Errorf("%w %s: range of shard %q: %w", ErrInvalidBatch, b.ID, r.Shard, err)
		}
	}
	return nil
}

// maxTables bounds the tables of a batch, which are named in its item and in every scan.
const maxTables = 10

func validateTables(names []string) error {
	if len(names) > maxTables {
		return fmt.Errorf("it is for %d tables, more than %d", len(names), maxTables)
	}
	for i, name := range names {
		if name == "" || i > 0 && names[i-1] >= name {
			return fmt.Errorf("its tables %q are not sorted, unique names", names)
		}
	}
	return nil
}

func (r Range) validate() error {
	if r.Shard == "" {
		return errors.New("it names no shard")
	}
	if r.LeaseOwner == "" {
		return errors.New("it names no lease owner")
	}
	if err := r.Start.Validate(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if r.Start == ShardEnd {
		return errors.New("it starts after the end of the shard")
	}
	if r.End == ShardEnd {
		return nil
	}
	end, ok := r.End.SequenceNumber()
	if !ok {
		return fmt.Errorf("its end %q is neither a sequence number nor SHARD_END", string(r.End))
	}
	if start, ok := r.Start.SequenceNumber(); ok && record.CompareSequence(end, start) <= 0 {
		return fmt.Errorf("its end %s is not after its start %s", end, start)
	}
	return nil
}
