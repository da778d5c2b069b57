package dynamo

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aws-streaming-pipeline/checkpoint"
)

// Attributes of the items.
const (
	attrKey  = "leaseKey"
	attrType = "entityType"

	attrOwner      = "leaseOwner"
	attrCounter    = "leaseCounter"
	attrCheckpoint = "checkpoint"
	attrParents    = "parentShardId"
	attrBegin      = "begin"
	attrArrival    = "lastArrival"
	attrLoad       = "load" // bytes per second
	attrStopUntil  = "stopUntil"
	attrStopAfter  = "stopAfter"

	attrBeat    = "heartbeat"
	attrAddress = "address"
	attrVersion = "version"

	attrWorker     = "worker"
	attrCreated    = "created"
	attrRanges     = "ranges" // from EncodeRanges
	attrFiles      = "files"  // from EncodeFiles
	attrRangeCount = "rangeCount"
	attrFileCount  = "fileCount"

	// For a batch whose files are in an object.
	attrListBucket = "listBucket"
	attrListKey    = "listKey"
	attrListBytes  = "listBytes"
	attrListSHA256 = "listSha256"

	attrManifestBucket = "manifestBucket"
	attrManifestKey    = "manifestKey"
	attrPublished      = "published" // indexes of files

	// For a batch that is to be loaded into tables.
	attrTables      = "tables"
	attrPublishedAt = "publishedAt"
	attrLoaded      = "loaded"

	// For a table.
	attrTableVersion = "tableVersion"
	attrLoader       = "loader"
	attrDefinition   = "definition" // from EncodeDefinition

	// In the heartbeat.
	attrComplete = "complete"
	attrLeases   = "leases"    // a digest, in hex
	attrFollows  = "follows"   // true, or missing
	attrMost     = "maxLeases" // missing for no bound
	attrFleet    = "fleet"     // from EncodeFleet

	// For the leader and its orders.
	attrTerm   = "term"
	attrNumber = "number"
	attrOrders = "orders" // from EncodeOrders

	// For the statement of up to when the data is complete.
	attrUpTo    = "upTo" // see moment
	attrAt      = "at"
	attrShards  = "shards"
	attrRewinds = "rewinds"

	attrApplication   = "application"
	attrStream        = "stream"
	attrStreamARN     = "streamArn"
	attrStreamCreated = "streamCreated"
	attrInitial       = "initialPosition"
	attrSchema        = "schemaVersion"
	attrImporting     = "importing"
)

// scanned are the attributes that Scan asks for: all but the bodies of batches and of orders.
var scanned = []string{
	attrKey, attrType, attrOwner, attrCounter, attrCheckpoint, attrParents, attrBegin, attrArrival, attrLoad, attrStopUntil, attrStopAfter, attrBeat, attrAddress, attrVersion,
	attrWorker, attrCreated, attrApplication, attrStream, attrStreamARN, attrStreamCreated, attrInitial, attrSchema,
	attrImporting, attrTables, attrPublishedAt, attrLoaded, attrComplete, attrLeases, attrUpTo, attrAt, attrShards, attrRewinds,
	attrFollows, attrMost, attrFleet, attrTerm,
}

// Values of entityType. Items of any other type belong to a later release and are skipped; if they are in the outbox,
// they are batches of an unknown kind. So a release that does more with a batch than publish and forget it gives it a
// type of its own, and workers of earlier releases leave it alone.
const (
	typeLease       = "LEASE"
	typeWorker      = "WORKER"
	typeBatch       = "BATCH"
	typeListed      = "LISTED_BATCH" // with its files in an object; releases that do not know lists skip it
	typeTables      = "TABLE_BATCH"  // to be loaded into tables, with its files in the item or in an object
	typeTombstone   = "TOMBSTONE"
	typeApplication = "APPLICATION"
	typeTable       = "TABLE"
	typeComplete    = "COMPLETE"
	typeLeader      = "LEADER"
	typeOrders      = "ORDERS"
)

// batchTypes are the types of batches in the outbox.
var batchTypes = []string{typeBatch, typeListed, typeTables}

// Keys of the items that are not leases. Shard ids match [a-zA-Z0-9_.-]+ (Amazon Kinesis API Reference, Shard).
const (
	keyApplication = "#application"
	keyWorker      = "#worker/"
	keyBatch       = "#batch/"
	keyTable       = "#table/"
	keyComplete    = "#complete"
	keyLeader      = "#leader"
	keyOrders      = "#orders/" // and the id of a worker
)

type item map[string]types.AttributeValue

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func num(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func numbers(values []int) types.AttributeValue {
	set := make([]string, len(values))
	for i, n := range values {
		set[i] = strconv.Itoa(n)
	}
	return &types.AttributeValueMemberNS{Value: set}
}

func texts(values []string) types.AttributeValue { return &types.AttributeValueMemberSS{Value: values} }

func binary(b []byte) types.AttributeValue { return &types.AttributeValueMemberB{Value: b} }

// instant is a time for people: RFC 3339 in UTC, with up to nanosecond precision.
func instant(t time.Time) types.AttributeValue { return str(t.UTC().Format(time.RFC3339Nano)) }

func list(values []string) types.AttributeValue {
	members := make([]types.AttributeValue, len(values))
	for i, v := range values {
		members[i] = str(v)
	}
	return &types.AttributeValueMemberL{Value: members}
}

// setString omits an empty string.
func (it item) setString(name, s string) {
	if s != "" {
		it[name] = str(s)
	}
}

// setTime omits the zero time.
func (it item) setTime(name string, t time.Time) {
	if !t.IsZero() {
		it[name] = instant(t)
	}
}

func leaseItem(l checkpoint.Lease) item {
	it := item{
		attrKey: str(l.Shard), attrType: str(typeLease), attrCounter: num(l.Counter), attrCheckpoint: str(string(l.Checkpoint)),
	}
	it.setString(attrOwner, l.Owner)
	it.setString(attrBegin, string(l.Begin))
	it.setTime(attrArrival, l.Arrival)
	it.setTime(attrStopUntil, l.Stop.Until)
	it.setString(attrStopAfter, string(l.Stop.After))
	if l.Load > 0 {
		it[attrLoad] = num(l.Load)
	}
	if len(l.Parents) > 0 {
		it[attrParents] = list(l.Parents)
	}
	return it
}

func workerItem(w checkpoint.Worker) (item, error) {
	it := item{attrKey: str(keyWorker + w.ID), attrType: str(typeWorker), attrBeat: num(w.Beat)}
	it.setString(attrAddress, w.Address)
	it.setString(attrVersion, w.Version)
	if !w.Complete.IsZero() {
		it[attrComplete], it[attrLeases] = instant(w.Complete), str(strconv.FormatUint(w.Leases, 16))
	}
	if w.Follows {
		it[attrFollows] = &types.AttributeValueMemberBOOL{Value: true}
	}
	if w.MaxLeases > 0 {
		it[attrMost] = num(int64(w.MaxLeases))
	}
	if w.Fleet == nil {
		return it, nil
	}
	fleet, err := checkpoint.EncodeFleet(*w.Fleet)
	it[attrFleet] = str(fleet)
	return it, err
}

func applicationItem(a checkpoint.Application) item {
	it := item{
		attrKey: str(keyApplication), attrType: str(typeApplication), attrSchema: num(int64(a.SchemaVersion)),
		attrApplication: str(a.Application), attrStream: str(a.Stream), attrInitial: str(string(a.Initial)),
	}
	it.setString(attrStreamARN, a.StreamARN)
	it.setTime(attrStreamCreated, a.StreamCreated)
	return it
}

func batchItem(b checkpoint.Batch) (item, error) {
	ranges, err := checkpoint.EncodeRanges(b.Ranges)
	if err != nil {
		return nil, err
	}
	it := item{
		attrKey: str(keyBatch + b.ID), attrType: str(typeBatch), attrRanges: binary(ranges),
		attrRangeCount: num(int64(len(b.Ranges))), attrFileCount: num(int64(len(b.Files))),
	}
	it.setString(attrWorker, b.Worker)
	it.setTime(attrCreated, b.Created)
	it.setString(attrManifestBucket, b.Manifest.Bucket)
	it.setString(attrManifestKey, b.Manifest.Key)
	if b.List != nil {
		it.setList(*b.List)
	}
	if len(b.Tables) > 0 {
		it[attrType], it[attrTables] = str(typeTables), texts(b.Tables)
	}
	if b.List != nil {
		return it, nil
	}
	files, err := checkpoint.EncodeItemFiles(b.Files)
	if err != nil {
		return nil, err
	}
	it[attrFiles] = binary(files)
	return it, nil
}

// setList makes the item point to its files.
func (it item) setList(l checkpoint.FileList) {
	it[attrType], it[attrFileCount] = str(typeListed), num(int64(l.Files))
	it[attrListBucket], it[attrListKey] = str(l.Bucket), str(l.Key)
	it[attrListBytes], it[attrListSHA256] = num(l.Bytes), str(l.SHA256)
}

// reader reads the attributes of an item and keeps the errors.
type reader struct {
	item item
	err  error
}

// read decodes an item with f. The error names the item.
func read[T any](it item, f func(r *reader) T) (T, error) {
	r := &reader{item: it}
	v := f(r)
	if r.err != nil {
		var zero T
		return zero, fmt.Errorf("item %q: %w", it.key(), r.err)
	}
	return v, nil
}

func (it item) key() string {
	s, _ := it[attrKey].(*types.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}

func (it item) entity() string {
	s, _ := it[attrType].(*types.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}

// notBatch says why an item of the outbox is not a batch that this release knows.
func (it item) notBatch() error {
	if it.entity() == typeTombstone {
		return checkpoint.ErrNotFound
	}
	return fmt.Errorf("item %q has the entityType %q: %w", it.key(), it.entity(), checkpoint.ErrUnknownKind)
}

func (it item) isBatch() bool { return slices.Contains(batchTypes, it.entity()) }

// files identifies the files of a batch: the encoded files, or the checksum of those in an object.
func (it item) files() []byte {
	if s, ok := it[attrListSHA256].(*types.AttributeValueMemberS); ok {
		return []byte(s.Value)
	}
	return it.bytes(attrFiles)
}

// bytes returns a binary attribute, or nil if it is not one.
func (it item) bytes(name string) []byte {
	b, _ := it[name].(*types.AttributeValueMemberB)
	if b == nil {
		return nil
	}
	return b.Value
}

func (r *reader) fail(name, problem string) {
	r.err = errors.Join(r.err, fmt.Errorf("attribute %s %s", name, problem))
}

func (r *reader) has(name string) bool {
	_, ok := r.item[name]
	return ok
}

// str returns a string; a missing attribute is the empty string.
func (r *reader) str(name string) string {
	if !r.has(name) {
		return ""
	}
	s, ok := r.item[name].(*types.AttributeValueMemberS)
	if !ok {
		r.fail(name, "is not a string")
		return ""
	}
	return s.Value
}

// num returns a number, which must be present.
func (r *reader) num(name string) int64 {
	v, ok := r.item[name].(*types.AttributeValueMemberN)
	if !ok {
		r.fail(name, "is not a number")
		return 0
	}
	n, err := strconv.ParseInt(v.Value, 10, 64)
	if err != nil {
		r.fail(name, "is not a 64-bit integer")
	}
	return n
}

// hex returns a number that is stored in hex; a missing attribute is 0.
func (r *reader) hex(name string) uint64 {
	if !r.has(name) {
		return 0
	}
	n, err := strconv.ParseUint(r.str(name), 16, 64)
	if err != nil {
		r.fail(name, "is not a 64-bit number in hex")
	}
	return n
}

// count returns a number; a missing attribute is 0.
func (r *reader) count(name string) int64 {
	if !r.has(name) {
		return 0
	}
	return r.num(name)
}

func (r *reader) binary(name string) []byte {
	b := r.item.bytes(name)
	if b == nil {
		r.fail(name, "is not a binary value")
	}
	return b
}

// time returns a time; a missing attribute is the zero time.
func (r *reader) time(name string) time.Time {
	s := r.str(name)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		r.fail(name, "is not an RFC 3339 time")
	}
	return t.UTC()
}

func (r *reader) position(name string) checkpoint.Position {
	p := checkpoint.Position(r.str(name))
	if err := p.Validate(); err != nil {
		r.fail(name, "is not a position")
	}
	return p
}

// optionalPosition is like position, but a missing attribute is the empty position.
func (r *reader) optionalPosition(name string) checkpoint.Position {
	if !r.has(name) {
		return ""
	}
	return r.position(name)
}

// strings returns a list or a set of strings; a missing attribute is empty.
func (r *reader) strings(name string) []string {
	switch v := r.item[name].(type) {
	case nil:
		return nil
	case *types.AttributeValueMemberSS:
		return v.Value
	case *types.AttributeValueMemberL:
		values := make([]string, 0, len(v.Value))
		for _, member := range v.Value {
			s, ok := member.(*types.AttributeValueMemberS)
			if !ok {
				r.fail(name, "has a member that is not a string")
				return nil
			}
			values = append(values, s.Value)
		}
		return values
	}
	r.fail(name, "is not a list of strings")
	return nil
}

// numbers returns a set of numbers in order; a missing attribute is empty.
func (r *reader) numbers(name string) []int {
	if !r.has(name) {
		return nil
	}
	v, ok := r.item[name].(*types.AttributeValueMemberNS)
	if !ok {
		r.fail(name, "is not a set of numbers")
		return nil
	}
	numbers := make([]int, len(v.Value))
	for i, text := range v.Value {
		n, err := strconv.Atoi(text)
		if err != nil {
			r.fail(name, "has a member that is not an integer")
			return nil
		}
		numbers[i] = n
	}
	slices.Sort(numbers)
	return numbers
}

func (r *reader) lease() checkpoint.Lease {
	return checkpoint.Lease{
		Shard:      r.str(attrKey),
		Parents:    r.strings(attrParents),
		Owner:      r.str(attrOwner),
		Counter:    r.num(attrCounter),
		Checkpoint: r.position(attrCheckpoint),
		Begin:      r.optionalPosition(attrBegin),
		Arrival:    r.time(attrArrival),
		Stop:       checkpoint.Stop{Until: r.time(attrStopUntil), After: r.optionalPosition(attrStopAfter)},
		Load:       r.count(attrLoad),
	}
}

// most returns the maximum number of leases; a missing attribute is 0.
func (r *reader) most() int {
	if !r.has(attrMost) {
		return 0
	}
	return int(r.num(attrMost))
}

func (r *reader) worker() checkpoint.Worker {
	return checkpoint.Worker{
		ID: strings.TrimPrefix(r.str(attrKey), keyWorker), Beat: r.num(attrBeat), Address: r.str(attrAddress), Version: r.str(attrVersion),
		Complete: r.time(attrComplete), Leases: r.hex(attrLeases), Follows: r.is(attrFollows), MaxLeases: r.most(), Fleet: r.fleet(),
	}
}

func (r *reader) application() checkpoint.Application {
	return checkpoint.Application{
		Identity: checkpoint.Identity{
			Application: r.str(attrApplication), Stream: r.str(attrStream), StreamARN: r.str(attrStreamARN),
			StreamCreated: r.time(attrStreamCreated),
		},
		Initial:       r.position(attrInitial),
		SchemaVersion: int(r.num(attrSchema)),
		Importing:     r.str(attrImporting),
	}
}

// batchHeader returns a batch without its ranges and files.
func (r *reader) batchHeader() checkpoint.Batch {
	return checkpoint.Batch{
		ID: strings.TrimPrefix(r.str(attrKey), keyBatch), Worker: r.str(attrWorker), Created: r.time(attrCreated),
		Tables: r.set(attrTables), PublishedAt: r.time(attrPublishedAt), Loaded: r.set(attrLoaded),
	}
}

// set returns the members of a set of strings in order.
func (r *reader) set(name string) []string {
	members := slices.Clone(r.strings(name))
	slices.Sort(members)
	return members
}

func (r *reader) table() checkpoint.Table {
	t := checkpoint.Table{Name: strings.TrimPrefix(r.str(attrKey), keyTable), Version: r.num(attrTableVersion), Loader: r.str(attrLoader)}
	if r.has(attrDefinition) {
		t.Definition = decoded(r, attrDefinition, checkpoint.DecodeDefinition)
	}
	return t
}

// unknownBatch returns what an item says about itself. An attribute may mean something else there, so faults are
// ignored.
func (r *reader) unknownBatch() checkpoint.UnknownBatch {
	b := r.batchHeader()
	r.err = nil
	return checkpoint.UnknownBatch{ID: b.ID, Kind: r.item.entity(), Worker: b.Worker, Created: b.Created}
}

func (r *reader) batch() checkpoint.Batch {
	b := r.batchHeader()
	b.Manifest = checkpoint.Place{Bucket: r.str(attrManifestBucket), Key: r.str(attrManifestKey)}
	b.Published = r.numbers(attrPublished)
	b.Ranges = decoded(r, attrRanges, checkpoint.DecodeRanges)
	if r.has(attrListKey) {
		b.List = r.list()
	} else {
		b.Files = decoded(r, attrFiles, checkpoint.DecodeFiles)
	}
	return b
}

func (r *reader) list() *checkpoint.FileList {
	return &checkpoint.FileList{
		Bucket: r.str(attrListBucket), Key: r.str(attrListKey), Files: int(r.num(attrFileCount)),
		Bytes: r.num(attrListBytes), SHA256: r.str(attrListSHA256),
	}
}

// decoded returns the decoded content of a binary attribute, which must be present.
func decoded[T any](r *reader, name string, decode func([]byte) (T, error)) T {
	var v T
	data := r.binary(name)
	if data == nil {
		return v
	}
	v, err := decode(data)
	r.err = errors.Join(r.err, err)
	return v
}
