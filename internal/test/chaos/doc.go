// Package chaos proves the promise against real processes: it runs several daemons, the binary that is shipped, against
// stand-ins for Kinesis, DynamoDB and S3, and lets happen to them what happens to daemons.
//
//	              load ────────────────────────────┐
//	                                               ▼
//	daemon 0..n ──► proxy (one per daemon and service) ──► limits ──► Kinesis, DynamoDB, S3
//	    ▲             │ faults by operation: refused, lost, late, doubled, torn, never answered ...
//	    └── kill -9, SIGSTOP, SIGTERM, other settings, at a chosen request or at any moment
//
// Beside faults of a single request there are conditions that last (spells): credentials expire, a permission is lost and
// given back, S3 denies access to a file of one batch, DynamoDB throttles nearly everything. Restarted daemons have other
// settings, such as another of two buckets. Parts and completions take as long as they may on AWS: the long form has real
// times, the short form a few seconds.
//
// In front of the stand-ins, package limits refuses what AWS would refuse and they do not. A daemon that is refused for
// another reason than a rate fails the storm.
//
// A storm has goals: each kind of fault once, and each step of a batch with a daemon that is killed or frozen at it. What
// serves a goal that is not met comes first, rare requests are brought about, and the storm goes on, within a
// bound, until all goals are met. The report counts what was hit, by kind and operation.
//
// At the end the weather is calm, the daemons catch up and stop, and every user record that the stream has accepted is
// looked for in the bucket: it must be there once, as data or as an error record, and the ranges of the manifests must
// join. A run with the same seed makes the same decisions in the same order; at which moment each of them meets the
// daemons is up to the machine.
//
// Two controls run in the same weather and must fail: a consumer on vmware-go-kcl-v2 with its own checkpointer, and the
// daemon with the conditions taken out of its commits by the proxy. A storm that they survive would prove nothing.
//
// The short form is part of the tests. The long form, which has to kill and freeze a daemon at every step and to leave
// every request without an answer, is
//
//	go test -run TestStorm -timeout 2h -v ./internal/test/chaos -args -chaos.duration 10m
//
// and takes -chaos.seed, -chaos.race for daemons with the race detector, and -chaos.kinesalite for a Kinesis that is
// not ours either.
//
// In the long form clocks jump, too: the daemon is built with a package time that has one line more, which adds the error
// of its host's clock. That takes a build of all packages, which the short form saves.
package chaos
