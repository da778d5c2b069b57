// Package kcl lets vmware-go-kcl-v2 drive the shards of the pipeline. No other package knows the library.
//
// # Why it only drives the loop
//
// The library was chosen for this project, and its event loop, with one goroutine and one record processor per shard,
// is what readers know from the Kinesis Client Library. But it writes checkpoints unconditionally, so a worker that has
// lost a lease could move the position of the worker that now holds it. It may drop a record processor without calling
// Shutdown, and it starts at most one shard per tick, so neither cleanup nor acquiring leases can depend on it. Its
// deaggregation drops a whole answer for one corrupt aggregate, so it must not see records. The library therefore gets
// only the loop: leases, checkpoints and reading belong to the pipeline and are hidden by Driver and Session, and every
// call to its two extension points, the Checkpointer and the Kinesis client, is answered from memory.
//
// # What the library does
//
// Version 1.0.0 is pinned and its source is no longer developed, so its order of calls is fixed. The contract tests of
// this package check it.
//
//   - The event loop E, one goroutine: every tick it calls ListShards and keeps one ShardStatus for each shard listed;
//     it forgets a shard that is not listed, including its status (RemoveLeaseInfo). For each status whose AssignedTo
//     is not this worker it calls FetchCheckpoint and, unless the status says SHARD_END, GetLease. A success starts a
//     consumer and ends the tick: at most one shard starts per tick.
//   - The consumer C, one goroutine for each successful GetLease of E: CreateProcessor, FetchCheckpoint,
//     GetShardIterator, Initialize, and then GetRecords and ProcessRecords in turn. It ends when GetRecords fails or
//     returns no next iterator, when the renewal has failed, or when the worker shuts down. On every path out it
//     cancels the renewal (without waiting for it), clears AssignedTo and calls RemoveLeaseOwner.
//   - The renewal R, one goroutine for each C: GetLease with the same status, at an interval.
//
// # One status, one session
//
// E acquires and R renews through the same method, GetLease, and R may be late: its call can arrive after C has ended,
// when the lease is being released, or when E acquires the shard again. A Checkpointer that writes AssignedTo in each
// GetLease then marks a shard as held that no consumer reads, and E never looks at it again. A Checkpointer that lets E
// acquire as soon as AssignedTo is clear starts a second consumer while the first is still being released.
//
// Here a ShardStatus serves at most one session. Three rules ensure that:
//
//  1. A session is open from the GetLease that opened it to the end of RemoveLeaseOwner, which first closes it. While a
//     session of a shard is open, GetLease opens no other session of that shard, whatever status it is called with.
//  2. RemoveLeaseOwner marks the status as SHARD_END. GetLease refuses such a status, and E skips it.
//  3. The next ListShards omits the shard once. The library forgets the marked status, and the listing after that
//     creates a fresh one.
//
// AssignedTo is set to this worker in one place only, when GetLease opens a session. So, for each caller of
// GetLease(S):
//
//   - S is fresh (no session was ever opened with it). Then no C and no R has S, so the caller is E, and E starts a
//     consumer if and only if the call succeeds. If another session of the shard is open (the shard was omitted from a
//     listing while it was read, and E created a second status for it), rule 1 refuses.
//   - S has an open session and AssignedTo is this worker. E does not call with such a status, so the caller is R, in
//     time: nothing is written, and the answer is yes. C may release S at this moment, which does no harm because
//     nothing was written.
//   - S has an open session and AssignedTo is clear: C is releasing. The caller is E, which saw the cleared field
//     before RemoveLeaseOwner had finished, or a late R. Both are refused. E tries again with the next tick; R reports
//     its error to a consumer that has ended.
//   - S is marked. The caller is a late R, or E, which looked just before the mark was set: rule 2 refuses both, now
//     and for ever. A new session of the shard has a different status, which this R does not know.
//
// The order within RemoveLeaseOwner (close, mark, end the session, request the omission) makes the rules overlap: at
// every moment the open session or the mark protects S, and a listing that includes the shard again either is computed
// after the omission was requested or leaves the marked status in place.
//
// # Other precautions
//
//   - FetchCheckpoint never returns or writes a position, and listings name no parents: the lease keeper handles
//     positions and the order of parents and children, so the library's wait for parents, its LATEST for children and
//     its unconditional checkpoint writes do not exist here.
//   - GetRecords always returns an empty list; records bypass the library and stay in the session. The deaggregator,
//     which drops a whole answer for one corrupt aggregate, and its byte limiter see nothing. ProcessRecords is also
//     called for empty lists.
//   - The library would sleep through the rest of a second after five GetRecords. So each cycle of GetRecords and
//     ProcessRecords is stretched to slightly more than a fifth of a second.
//   - MillisBehindLatest is always set: the library dereferences it.
//   - Errors reach the library only to end a consumer, as a type of our own: they cannot contain the SDK's types that
//     the library retries by itself.
//   - Processors may be dropped without Shutdown, so nothing depends on it: RemoveLeaseOwner, which is called on every
//     path out, closes the session.
//   - Panics of a Session or Driver are recovered in our code; in the library's goroutines they would end the process.
package kcl
