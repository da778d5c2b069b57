package checkpoint

import (
	"errors"
	"fmt"
	"strings"
)

// ValidateNew tells whether l may be the row of a shard that has none: nobody holds it yet.
func (l Lease) ValidateNew() error {
	if l.Shard == "" {
		return errors.New("lease without a shard")
	}
	if strings.HasPrefix(l.Shard, "#") {
		return fmt.Errorf("lease of shard %q: that is no shard id", l.Shard)
	}
	if err := l.Checkpoint.Validate(); err != nil {
		return fmt.Errorf("lease of shard %s: %w", l.Shard, err)
	}
	if l.Owner != "" {
		return fmt.Errorf("lease of shard %s: a new row can not have the owner %s; acquire it", l.Shard, l.Owner)
	}
	return nil
}

// ValidateDelete tells whether the row of l may be removed: only a shard that is at its end has nothing to lose.
func (l Lease) ValidateDelete() error {
	if l.Checkpoint != ShardEnd {
		return fmt.Errorf("delete lease of shard %s: it is at %s, not at its end", l.Shard, l.Checkpoint)
	}
	return nil
}
