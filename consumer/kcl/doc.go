// Package kcl lets vmware-go-kcl-v2 drive the shards of the pipeline. It is the only package that knows the library.
//
// # Why it only drives the loop
//
// The library was chosen for this project, and its event loop, with one goroutine and one record processor per shard, is
// what readers know from the Kinesis Client Library. It writes checkpoints unconditionally, so a worker that has lost a
// lease could move the position of the worker that holds it now. It may drop a record processor without calling Shutdown,
// and it starts at most one shard per tick, so neither cleaning up nor acquiring leases can depend on it. Its
// deaggregation drops a whole answer for one corrupt aggregate, so it must not see records. The library therefore gets the
// loop and nothing else: leases, checkpoints and reading are the pipeline's own and stand behind Driver and Session, and
// every call of its two extension points, the Checkpointer and the Kinesis client, is answered from memory.
//
// # What the library does
//
// Version 1.0.0 is pinned and its source is no longer developed, so its order of calls is fixed. The contract tests of
// this package hold it.
//
//   - The event loop E, one goroutine: every tick it calls ListShards and keeps one ShardStatus for each shard listed;
//     a shard that is not listed is forgotten, status and all (RemoveLeaseInfo). For each status whose AssignedTo is
//     not this worker it calls FetchCheckpoint and, unless the status says SHARD_END, GetLease. A success starts a
//     consumer and ends the tick: at most one shard starts in a tick.
//   - The consumer C, one goroutine for each successful GetLease of E: CreateProcessor, FetchCheckpoint,
//     GetShardIterator, Initialize, and then GetRecords and ProcessRecords in turn. It ends when GetRecords fails or
//     brings no next iterator, when the renewal failed, or when the worker is shut down. On every way out it cancels
//     the renewal (without waiting for it), clears AssignedTo and calls RemoveLeaseOwner.
//   - The renewal R, one goroutine for each C: GetLease with the same status, at an interval.
//
// # One status, one session
//
// E acquires and R renews through the same method, GetLease, and R may be late: its call can arrive when C has ended,
// when the lease is released, when E takes the shard again. A Checkpointer that writes AssignedTo in each GetLease
// then marks a shard as held which nobody reads, and E never looks at it again. A Checkpointer that lets E acquire as
// soon as AssignedTo is clear starts a second consumer while the first is still being released.
//
// Here a ShardStatus serves for one session at most. Three rules do it:
//
//  1. A session is open from the GetLease that opened it to the end of RemoveLeaseOwner, which first closes it. While
//     a session of a shard is open, GetLease opens no other one of that shard, whatever status it is asked with.
//  2. RemoveLeaseOwner marks the status as SHARD_END. GetLease refuses such a status, and E passes it by.
//  3. The next ListShards leaves the shard out once. The library forgets the marked status, and the listing after that
//     makes a fresh one.
//
// AssignedTo is set to this worker in one place, when GetLease opens a session. So, for each caller of GetLease(S):
//
//   - S is fresh (no session was ever opened with it). Then there is no C and no R with S, the caller is E, and E
//     starts a consumer if and only if the call succeeds. If another session of the shard is open (the shard was
//     left out of a listing while it was read, and E made a second status of it), rule 1 refuses.
//   - S has an open session and AssignedTo is this worker. E does not call with such a status, so the caller is R, in
//     time: nothing is written, the answer is yes. That C may release S at this moment does no harm, for nothing was
//     written.
//   - S has an open session and AssignedTo is clear: C is releasing. The caller is E, which has seen the cleared
//     field before RemoveLeaseOwner was through, or a late R. Both are refused. E comes back with the next tick; R
//     reports its error to a consumer that has left.
//   - S is marked. The caller is a late R, or E that read the mark's absence just before: both are refused by rule 2,
//     now and for ever. A new session of the shard has another status, which this R does not know.
//
// The order within RemoveLeaseOwner (close, mark, end the session, ask for the omission) makes the rules overlap: there is no
// moment at which neither the open session nor the mark protects S, and a listing that brings the shard again is
// computed after the omission was asked for or leaves the marked status in place.
//
// # What else is kept harmless
//
//   - FetchCheckpoint never tells a position and never writes one, and listings name no parents: positions and the
//     order of parents and children are the lease keeper's, so the library's wait for parents, its LATEST for children
//     and its unconditional checkpoint writes do not exist here.
//   - GetRecords always answers with an empty list; what was read passes by the library, in the session. Its
//     deaggregator, which drops a whole answer for one corrupt aggregate, and its byte limiter see nothing.
//     ProcessRecords is called for empty lists too.
//   - The library would sleep through the rest of a second after five GetRecords. A cycle of GetRecords and
//     ProcessRecords is therefore made to last a little more than a fifth of a second.
//   - MillisBehindLatest is always set: the library dereferences it.
//   - Errors reach the library only to end a consumer, as a type of ours: none of the SDK's types that the library
//     retries by itself can hide in it.
//   - Processors may be dropped without Shutdown, so nothing hangs on it: RemoveLeaseOwner, which comes on every way
//     out, closes the session.
//   - Panics of a Session or Driver are recovered where we are called; the library's goroutines would end the process.
package kcl
