package localstream

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

type hashKeyRange struct {
	StartingHashKey string
	EndingHashKey   string
}

type sequenceNumberRange struct {
	StartingSequenceNumber string
	EndingSequenceNumber   string `json:",omitempty"`
}

type listedShard struct {
	ShardID               string `json:"ShardId"`
	ParentShardID         string `json:"ParentShardId,omitempty"`
	AdjacentParentShardID string `json:"AdjacentParentShardId,omitempty"`
	HashKeyRange          hashKeyRange
	SequenceNumberRange   sequenceNumberRange
}

func (s *shard) hashKeyRange() hashKeyRange {
	return hashKeyRange{StartingHashKey: s.first.String(), EndingHashKey: s.last.String()}
}

func (s *shard) listed() listedShard {
	l := listedShard{
		ShardID:             s.id,
		HashKeyRange:        s.hashKeyRange(),
		SequenceNumberRange: sequenceNumberRange{StartingSequenceNumber: s.startText},
	}
	if len(s.parents) > 0 {
		l.ParentShardID = s.parents[0].id
	}
	if len(s.parents) > 1 {
		l.AdjacentParentShardID = s.parents[1].id
	}
	if closed, _, ordinal := s.ending(); closed {
		l.SequenceNumberRange.EndingSequenceNumber = s.stamp.sequence(ordinal).String()
	}
	return l
}

// Values of ShardFilterType.
const (
	filterAfterShardID    = "AFTER_SHARD_ID"
	filterAtTrimHorizon   = "AT_TRIM_HORIZON"
	filterFromTrimHorizon = "FROM_TRIM_HORIZON"
	filterAtLatest        = "AT_LATEST"
	filterAtTimestamp     = "AT_TIMESTAMP"
	filterFromTimestamp   = "FROM_TIMESTAMP"
)

type shardFilter struct {
	Type      string
	ShardID   string `json:"ShardId"`
	Timestamp *epoch
}

func (f *shardFilter) validate() error {
	if f == nil {
		return nil
	}
	switch f.Type {
	case filterAtTrimHorizon, filterFromTrimHorizon, filterAtLatest:
		if f.ShardID != "" || f.Timestamp != nil {
			return errorf(codeInvalidArgument, "ShardFilter of type %s takes neither ShardId nor Timestamp.", f.Type)
		}
	case filterAfterShardID:
		if f.ShardID == "" || f.Timestamp != nil {
			return errorf(codeInvalidArgument, "ShardFilter of type %s takes a ShardId and no Timestamp.", f.Type)
		}
	case filterAtTimestamp, filterFromTimestamp:
		if f.ShardID != "" || f.Timestamp == nil {
			return errorf(codeInvalidArgument, "ShardFilter of type %s takes a Timestamp and no ShardId.", f.Type)
		}
	default:
		return errorf(codeValidation, "ShardFilter type %q is not known", f.Type)
	}
	return nil
}

// admits reports whether a shard that is not expired passes. The caller holds the stream's lock for reading.
func (f *shardFilter) admits(s *stream, sh *shard, now time.Time) bool {
	if f == nil {
		return true
	}
	closed, at, _ := sh.ending()
	switch f.Type {
	case filterAfterShardID:
		return sh.id > f.ShardID
	case filterAtTrimHorizon:
		// Shards that were open at the horizon have all their parents before it.
		return !slices.ContainsFunc(sh.parents, func(parent *shard) bool { return !s.expired(parent, now) })
	case filterAtLatest:
		return !closed
	case filterAtTimestamp:
		return !sh.created.After(f.Timestamp.Time) && (!closed || !at.Before(f.Timestamp.Time))
	case filterFromTimestamp:
		return !closed || !at.Before(f.Timestamp.Time)
	}
	return true
}

type listShardsRequest struct {
	streamRef
	NextToken               string
	ExclusiveStartShardID   string `json:"ExclusiveStartShardId"`
	MaxResults              *int
	StreamCreationTimestamp *epoch
	ShardFilter             *shardFilter
}

// shardToken is the content of a NextToken of ListShards.
type shardToken struct {
	Stream uint64
	After  string
	Filter *shardFilter `json:",omitempty"`
	Issued int64        // Unix milliseconds
}

func (t shardToken) String() string { return base64.StdEncoding.EncodeToString(appendJSON(nil, t)) }

func parseShardToken(text string) (shardToken, bool) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return shardToken{}, false
	}
	var t shardToken
	if json.Unmarshal(raw, &t) != nil || t.Stream == 0 {
		return shardToken{}, false
	}
	return t, true
}

func (k *Kinesis) listShards(c *call) error {
	var r listShardsRequest
	if err := c.decode(&r); err != nil {
		return err
	}
	s, from, err := k.listStart(r, c.now)
	if err != nil {
		return err
	}
	size := maxListedShards
	if r.MaxResults != nil {
		if *r.MaxResults < 1 || *r.MaxResults > 10_000 {
			return errorf(codeValidation, "MaxResults is %d, must be 1 to 10000", *r.MaxResults)
		}
		size = min(size, *r.MaxResults)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.statusLocked(c.now) == statusCreating {
		return errorf(codeInUse, "Stream %s under account %s is not ACTIVE.", s.name, k.options.Account)
	}
	listed, more := s.list(c, from.After, from.Filter, size)
	answer := struct {
		Shards    []listedShard
		NextToken string `json:",omitempty"`
	}{Shards: listed}
	if more {
		from.After, from.Issued = listed[len(listed)-1].ShardID, c.now.UnixMilli()
		answer.NextToken = from.String()
	}
	c.out = appendJSON(c.out, answer)
	return nil
}

// listStart returns the stream of a request and the start of its listing.
func (k *Kinesis) listStart(r listShardsRequest, now time.Time) (*stream, shardToken, error) {
	if r.NextToken != "" {
		return k.listContinued(r, now)
	}
	if err := r.ShardFilter.validate(); err != nil {
		return nil, shardToken{}, err
	}
	s, err := k.lookup(r.streamRef, now)
	if err != nil {
		return nil, shardToken{}, err
	}
	if r.StreamCreationTimestamp != nil && r.StreamCreationTimestamp.Unix() != s.created.Unix() {
		return nil, shardToken{}, errorf(codeNotFound, "Stream %s under account %s created at that time not found.", s.name, k.options.Account)
	}
	return s, shardToken{Stream: s.serial, After: r.ExclusiveStartShardID, Filter: r.ShardFilter}, nil
}

func (k *Kinesis) listContinued(r listShardsRequest, now time.Time) (*stream, shardToken, error) {
	if r.StreamName != "" || r.ExclusiveStartShardID != "" || r.StreamCreationTimestamp != nil || r.ShardFilter != nil {
		return nil, shardToken{}, errorf(codeInvalidArgument, "NextToken cannot be provided together with StreamName, StreamCreationTimestamp, ExclusiveStartShardId or ShardFilter.")
	}
	token, ok := parseShardToken(r.NextToken)
	if !ok {
		return nil, shardToken{}, errorf(codeInvalidArgument, "NextToken is invalid.")
	}
	if now.Sub(time.UnixMilli(token.Issued)) > tokenLife {
		return nil, shardToken{}, errorf(codeExpiredNextToken, "NextToken is older than %d seconds.", int(tokenLife.Seconds()))
	}
	k.mu.RLock()
	s := k.bySerial[token.Stream]
	k.mu.RUnlock()
	if s == nil || k.reap(s, now) {
		return nil, shardToken{}, errorf(codeNotFound, "The stream of the NextToken does not exist under account %s.", k.options.Account)
	}
	return s, token, nil
}

// list returns at most size shards after an id, and whether there are more. The caller holds the lock for reading.
func (s *stream) list(c *call, after string, filter *shardFilter, size int) ([]listedShard, bool) {
	listed := []listedShard{}
	for _, sh := range s.shards {
		if sh.id <= after || s.expired(sh, c.now) || !filter.admits(s, sh, c.now) || c.fault.hides(s, sh) {
			continue
		}
		if len(listed) == size {
			return listed, true
		}
		listed = append(listed, sh.listed())
	}
	return listed, false
}

type streamModeDetails struct {
	StreamMode string
}

const (
	modeOnDemand    = "ON_DEMAND"
	modeProvisioned = "PROVISIONED"
)

func (s *stream) mode() streamModeDetails {
	if s.onDemand {
		return streamModeDetails{StreamMode: modeOnDemand}
	}
	return streamModeDetails{StreamMode: modeProvisioned}
}

// enhancedMonitoring is a member of every description; shard-level metrics are off.
type enhancedMonitoring struct {
	ShardLevelMetrics []string
}

var noMonitoring = []enhancedMonitoring{{ShardLevelMetrics: []string{}}}

type describedStream struct {
	StreamName              string
	StreamARN               string
	StreamStatus            string
	StreamModeDetails       streamModeDetails
	StreamCreationTimestamp epoch
	RetentionPeriodHours    int
	EnhancedMonitoring      []enhancedMonitoring
	EncryptionType          string
}

// described returns the common part of both descriptions of a stream. The caller holds the lock for reading.
func (k *Kinesis) described(s *stream, now time.Time) describedStream {
	return describedStream{
		StreamName:              s.name,
		StreamARN:               k.arn(s.name),
		StreamStatus:            s.statusLocked(now),
		StreamModeDetails:       s.mode(),
		StreamCreationTimestamp: epoch{s.created},
		RetentionPeriodHours:    int(time.Duration(s.retention.Load()) / time.Hour),
		EnhancedMonitoring:      noMonitoring,
		EncryptionType:          "NONE",
	}
}

type describeStreamRequest struct {
	streamRef
	Limit                 *int
	ExclusiveStartShardID string `json:"ExclusiveStartShardId"`
}

func (k *Kinesis) describeStream(c *call) error {
	var r describeStreamRequest
	if err := c.decode(&r); err != nil {
		return err
	}
	size := maxDescribedShards
	if r.Limit != nil {
		if *r.Limit < 1 || *r.Limit > 10_000 {
			return errorf(codeValidation, "Limit is %d, must be 1 to 10000", *r.Limit)
		}
		size = min(size, *r.Limit)
	}
	s, err := k.lookup(r.streamRef, c.now)
	if err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	description := struct {
		describedStream
		Shards        []listedShard
		HasMoreShards bool
	}{describedStream: k.described(s, c.now), Shards: []listedShard{}}
	if description.StreamStatus != statusCreating {
		description.Shards, description.HasMoreShards = s.list(c, r.ExclusiveStartShardID, nil, size)
	}
	c.out = appendJSON(c.out, map[string]any{"StreamDescription": description})
	return nil
}

func (k *Kinesis) describeStreamSummary(c *call) error {
	var r streamRef
	if err := c.decode(&r); err != nil {
		return err
	}
	s, err := k.lookup(r, c.now)
	if err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	summary := struct {
		describedStream
		OpenShardCount     int
		ConsumerCount      int
		MaxRecordSizeInKiB int
	}{describedStream: k.described(s, c.now), ConsumerCount: len(s.present(c.now)), MaxRecordSizeInKiB: s.maxRecord >> 10}
	if summary.StreamStatus != statusCreating {
		summary.OpenShardCount = len(s.open)
	}
	c.out = appendJSON(c.out, map[string]any{"StreamDescriptionSummary": summary})
	return nil
}

type listStreamsRequest struct {
	Limit                    *int
	ExclusiveStartStreamName string
	NextToken                string
}

type streamSummary struct {
	StreamName              string
	StreamARN               string
	StreamStatus            string
	StreamModeDetails       streamModeDetails
	StreamCreationTimestamp epoch
}

func (k *Kinesis) listStreams(c *call) error {
	var r listStreamsRequest
	if err := c.decode(&r); err != nil {
		return err
	}
	size := maxListedStreams
	if r.Limit != nil {
		if *r.Limit < 1 || *r.Limit > 10_000 {
			return errorf(codeValidation, "Limit is %d, must be 1 to 10000", *r.Limit)
		}
		size = min(size, *r.Limit)
	}
	// The token is the name itself, which serves both ways of paging.
	after := max(r.ExclusiveStartStreamName, r.NextToken)
	streams := k.all(c.now)
	slices.SortFunc(streams, func(a, b *stream) int { return strings.Compare(a.name, b.name) })
	answer := struct {
		StreamNames     []string
		StreamSummaries []streamSummary
		HasMoreStreams  bool
		NextToken       string `json:",omitempty"`
	}{StreamNames: []string{}, StreamSummaries: []streamSummary{}}
	for _, s := range streams {
		if s.name <= after {
			continue
		}
		if len(answer.StreamNames) == size {
			answer.HasMoreStreams, answer.NextToken = true, answer.StreamNames[size-1]
			break
		}
		s.mu.RLock()
		d := k.described(s, c.now)
		s.mu.RUnlock()
		answer.StreamNames = append(answer.StreamNames, s.name)
		answer.StreamSummaries = append(answer.StreamSummaries, streamSummary{
			StreamName: d.StreamName, StreamARN: d.StreamARN, StreamStatus: d.StreamStatus,
			StreamModeDetails: d.StreamModeDetails, StreamCreationTimestamp: d.StreamCreationTimestamp,
		})
	}
	c.out = appendJSON(c.out, answer)
	return nil
}
