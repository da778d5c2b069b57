package localstream

import "time"

type createStreamRequest struct {
	StreamName         string
	ShardCount         *int
	StreamModeDetails  *streamModeDetails
	MaxRecordSizeInKiB *int
}

// maxShards limits the shards of a stream, so that a mistyped count does not cost gigabytes. It is the limit of
// UpdateShardCount.
const maxShards = 10_000

func (k *Kinesis) createStream(c *call) error {
	var r createStreamRequest
	if err := c.decode(&r); err != nil {
		return err
	}
	if !streamName.MatchString(r.StreamName) {
		return errorf(codeValidation, "StreamName %q does not match %s", r.StreamName, streamName)
	}
	shards, onDemand, err := r.capacity()
	if err != nil {
		return err
	}
	recordKiB := defaultMaxRecordKiB
	if r.MaxRecordSizeInKiB != nil {
		recordKiB = *r.MaxRecordSizeInKiB
	}
	if err := validateRecordKiB(recordKiB); err != nil {
		return err
	}
	return k.addStream(r.StreamName, shards, onDemand, recordKiB<<10, c.now)
}

// capacity returns how many shards the stream begins with, and whether it is on demand.
func (r createStreamRequest) capacity() (shards int, onDemand bool, err error) {
	if r.StreamModeDetails != nil && r.StreamModeDetails.StreamMode == modeOnDemand {
		if r.ShardCount != nil {
			return 0, false, errorf(codeValidation, "ShardCount must not be given for a stream in mode ON_DEMAND")
		}
		return onDemandShards, true, nil
	}
	if r.StreamModeDetails != nil && r.StreamModeDetails.StreamMode != modeProvisioned {
		return 0, false, errorf(codeValidation, "StreamMode %q is neither PROVISIONED nor ON_DEMAND", r.StreamModeDetails.StreamMode)
	}
	if r.ShardCount == nil || *r.ShardCount < 1 {
		return 0, false, errorf(codeValidation, "ShardCount must be at least 1 for a stream in mode PROVISIONED")
	}
	if *r.ShardCount > maxShards {
		return 0, false, errorf(codeLimitExceeded, "ShardCount is %d, at most %d are allowed", *r.ShardCount, maxShards)
	}
	return *r.ShardCount, false, nil
}

func validateRecordKiB(kib int) error {
	if kib < defaultMaxRecordKiB || kib > largestMaxRecordKiB {
		return errorf(codeValidation, "MaxRecordSizeInKiB is %d, must be %d to %d", kib, defaultMaxRecordKiB, largestMaxRecordKiB)
	}
	return nil
}

func (k *Kinesis) addStream(name string, shards int, onDemand bool, maxRecord int, now time.Time) error {
	if old, err := k.lookup(streamRef{StreamName: name}, now); err == nil {
		return errorf(codeInUse, "Stream %s under account %s already exists.", old.name, k.options.Account)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.streams[name] != nil {
		return errorf(codeInUse, "Stream %s under account %s already exists.", name, k.options.Account)
	}
	k.serial++
	s := &stream{
		name:      name,
		serial:    k.serial,
		created:   now,
		onDemand:  onDemand,
		maxRecord: maxRecord,
		status:    statusCreating,
		settled:   now.Add(k.options.StatusDelay),
	}
	s.retention.Store(int64(defaultRetentionHours * time.Hour))
	for i := range shards {
		last := maxHashKey
		if i+1 < shards {
			last = hashBoundary(i+1, shards).minusOne()
		}
		s.addShard(hashBoundary(i, shards), last, now, k.nextOrdinal())
	}
	k.streams[name], k.bySerial[s.serial] = s, s
	return nil
}

type deleteStreamRequest struct {
	streamRef
	EnforceConsumerDeletion bool
}

func (k *Kinesis) deleteStream(c *call) error {
	var r deleteStreamRequest
	if err := c.decode(&r); err != nil {
		return err
	}
	s, err := k.lookup(r.streamRef, c.now)
	if err != nil {
		return err
	}
	if err := k.markDeleted(s, r.EnforceConsumerDeletion, c.now); err != nil {
		return err
	}
	k.reap(s, c.now)
	return nil
}

// markDeleted begins the deletion of a stream, and of its consumers if that is allowed.
func (k *Kinesis) markDeleted(s *stream, withConsumers bool, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	consumers := s.present(now)
	if len(consumers) > 0 && !withConsumers && s.status != statusDeleting {
		return errorf(codeInUse, "Stream %s under account %s has %d consumers and EnforceConsumerDeletion is not set.", s.name, k.options.Account, len(consumers))
	}
	for _, c := range consumers {
		c.deregister(now, k.options.StatusDelay, errorf(codeNotFound, "Stream %s under account %s is deleted.", s.name, k.options.Account))
	}
	if s.status != statusDeleting {
		s.status, s.settled = statusDeleting, now.Add(k.options.StatusDelay)
	}
	return nil
}

// reshard runs change on an active provisioned stream, which is then UPDATING for a while.
func (k *Kinesis) reshard(ref streamRef, now time.Time, change func(*stream) error) error {
	s, err := k.lookup(ref, now)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if status := s.statusLocked(now); status != statusActive {
		return errorf(codeInUse, "Stream %s under account %s not ACTIVE, instead in state %s", s.name, k.options.Account, status)
	}
	if s.onDemand {
		return errorf(codeValidation, "Stream %s under account %s is in mode ON_DEMAND and cannot be resharded by a call.", s.name, k.options.Account)
	}
	if err := change(s); err != nil {
		return err
	}
	s.status, s.settled = statusUpdating, now.Add(k.options.StatusDelay)
	return nil
}

// openShard returns an open shard of a stream that is to be resharded.
func (k *Kinesis) openShard(s *stream, id string, now time.Time) (*shard, error) {
	sh, ok := s.find(id, now)
	if !ok {
		return nil, errorf(codeNotFound, "Could not find shard %s in stream %s under account %s.", id, s.name, k.options.Account)
	}
	if closed, _, _ := sh.ending(); closed {
		return nil, errorf(codeInvalidArgument, "Shard %s in stream %s under account %s is already closed.", id, s.name, k.options.Account)
	}
	return sh, nil
}

type splitShardRequest struct {
	streamRef
	ShardToSplit       string
	NewStartingHashKey string
}

func (k *Kinesis) splitShard(c *call) error {
	var r splitShardRequest
	if err := c.decode(&r); err != nil {
		return err
	}
	return k.reshard(r.streamRef, c.now, func(s *stream) error {
		sh, err := k.openShard(s, r.ShardToSplit, c.now)
		if err != nil {
			return err
		}
		at, ok := parseWide(r.NewStartingHashKey)
		if !ok || at.compare(sh.first) <= 0 || at.compare(sh.last) > 0 {
			return errorf(codeInvalidArgument, "NewStartingHashKey %s used in SplitShard() on shard %s in stream %s under account %s is not both greater than one plus the shard's StartingHashKey %s and less than the shard's EndingHashKey %s.",
				r.NewStartingHashKey, sh.id, s.name, k.options.Account, sh.first, sh.last)
		}
		s.split(sh, at, c.now, k.nextOrdinal)
		return nil
	})
}

type mergeShardsRequest struct {
	streamRef
	ShardToMerge         string
	AdjacentShardToMerge string
}

func (k *Kinesis) mergeShards(c *call) error {
	var r mergeShardsRequest
	if err := c.decode(&r); err != nil {
		return err
	}
	return k.reshard(r.streamRef, c.now, func(s *stream) error {
		parent, err := k.openShard(s, r.ShardToMerge, c.now)
		if err != nil {
			return err
		}
		adjacent, err := k.openShard(s, r.AdjacentShardToMerge, c.now)
		if err != nil {
			return err
		}
		if parent.last.plusOne() != adjacent.first && adjacent.last.plusOne() != parent.first {
			return errorf(codeInvalidArgument, "Shards %s and %s in stream %s under account %s are not an adjacent pair of shards eligible for merging",
				parent.id, adjacent.id, s.name, k.options.Account)
		}
		s.merge(parent, adjacent, c.now, k.nextOrdinal)
		return nil
	})
}

type updateShardCountRequest struct {
	streamRef
	TargetShardCount int
	ScalingType      string
}

func (k *Kinesis) updateShardCount(c *call) error {
	var r updateShardCountRequest
	if err := c.decode(&r); err != nil {
		return err
	}
	if r.ScalingType != "UNIFORM_SCALING" {
		return errorf(codeValidation, "ScalingType %q is not UNIFORM_SCALING", r.ScalingType)
	}
	if r.TargetShardCount < 1 {
		return errorf(codeValidation, "TargetShardCount is %d, must be at least 1", r.TargetShardCount)
	}
	answer := struct {
		StreamName        string
		StreamARN         string
		CurrentShardCount int
		TargetShardCount  int
	}{TargetShardCount: r.TargetShardCount}
	err := k.reshard(r.streamRef, c.now, func(s *stream) error {
		answer.StreamName, answer.StreamARN, answer.CurrentShardCount = s.name, k.arn(s.name), len(s.open)
		if err := validateScaling(len(s.open), r.TargetShardCount); err != nil {
			return err
		}
		s.rescale(r.TargetShardCount, c.now, k.nextOrdinal)
		return nil
	})
	if err != nil {
		return err
	}
	c.out = appendJSON(c.out, answer)
	return nil
}

// validateScaling checks the limits of one call in the API reference of UpdateShardCount.
func validateScaling(open, target int) error {
	switch {
	case target > 2*open:
		return errorf(codeInvalidArgument, "UpdateShardCount cannot scale up over double the current open shard count. Current open shard count: %d Target shard count: %d", open, target)
	case 2*target < open:
		return errorf(codeInvalidArgument, "UpdateShardCount cannot scale down below half the current open shard count. Current open shard count: %d Target shard count: %d", open, target)
	case target > maxShards:
		return errorf(codeLimitExceeded, "TargetShardCount is %d, at most %d are allowed", target, maxShards)
	}
	return nil
}

type retentionRequest struct {
	streamRef
	RetentionPeriodHours int
}

func (k *Kinesis) increaseRetention(c *call) error {
	return k.changeRetention(c, func(old, hours int) bool { return hours >= old })
}

func (k *Kinesis) decreaseRetention(c *call) error {
	return k.changeRetention(c, func(old, hours int) bool { return hours <= old })
}

func (k *Kinesis) changeRetention(c *call, allowed func(old, hours int) bool) error {
	var r retentionRequest
	if err := c.decode(&r); err != nil {
		return err
	}
	if r.RetentionPeriodHours < defaultRetentionHours || r.RetentionPeriodHours > maxRetentionHours {
		return errorf(codeInvalidArgument, "RetentionPeriodHours is %d, must be %d to %d", r.RetentionPeriodHours, defaultRetentionHours, maxRetentionHours)
	}
	s, err := k.lookup(r.streamRef, c.now)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := int(time.Duration(s.retention.Load()) / time.Hour)
	if !allowed(old, r.RetentionPeriodHours) {
		return errorf(codeInvalidArgument, "Requested retention period (%d hours) lies on the wrong side of the current one (%d hours).", r.RetentionPeriodHours, old)
	}
	s.retention.Store(int64(time.Duration(r.RetentionPeriodHours) * time.Hour))
	return nil
}

type updateMaxRecordSizeRequest struct {
	streamRef
	MaxRecordSizeInKiB int
}

func (k *Kinesis) updateMaxRecordSize(c *call) error {
	var r updateMaxRecordSizeRequest
	if err := c.decode(&r); err != nil {
		return err
	}
	if err := validateRecordKiB(r.MaxRecordSizeInKiB); err != nil {
		return err
	}
	s, err := k.lookup(r.streamRef, c.now)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxRecord = r.MaxRecordSizeInKiB << 10
	return nil
}
