// Package chaos tests the promise with real processes: it runs several daemons, the shipped binary, against stand-ins for
// Kinesis, DynamoDB and S3, and injects the faults that daemons meet.
//
//	              load ────────────────────────────┐
//	                                               ▼
//	daemon 0..n ──► proxy (one per daemon and service) ──► limits ──► Kinesis, DynamoDB, S3
//	    ▲             │ faults by operation: refused, lost, late, doubled, torn, never answered ...
//	    └── kill -9, SIGSTOP, SIGTERM, other settings, at a chosen request or at any moment
//
// Besides faults of single requests there are conditions that last (spells): credentials expire, a permission is revoked and
// restored, S3 denies access to a file of one batch, DynamoDB throttles nearly everything. Restarted daemons have other
// settings, such as the other of two buckets. Parts and completions take as long as they may on AWS: the long form has real
// times, the short form a few seconds.
//
// In front of the stand-ins, package limits refuses what AWS would refuse and they do not. The storm fails if a daemon is
// refused for any reason other than a rate.
//
// A storm has goals: each kind of fault once, and a daemon killed or frozen at each step of a batch. Faults that serve an unmet
// goal come first, rare requests are provoked, and the storm goes on, within a bound, until all goals are met. The report
// counts the hits by kind and operation.
//
// At the end the weather calms, and the daemons catch up and stop. Then every user record that the stream has accepted must be
// in the bucket once, as data or as an error record, and the ranges of the manifests must join. Runs with the same seed make
// the same decisions in the same order; the moment at which each meets the daemons depends on the machine.
//
// Two controls run in the same weather and must fail: a consumer on vmware-go-kcl-v2 with its own checkpointer, and the
// daemon with a proxy that removes the conditions from its commits. A storm that they survive would prove nothing.
//
// A second storm has loaders, too, with the REST catalog of Iceberg Java behind proxies of their own, and another owner of the table,
// who appends, compacts and expires with pyiceberg. In it, processes are killed and frozen at each step of a batch on its way into
// the table. At the end every record must be in a data file once, and each row of the files of batches with a table in the table
// once, as DuckDB reads both. In its control the proxies remove the ledger from the commits, and rows are doubled.
//
// The short form is part of the tests. The long form must kill and freeze a daemon at every step, and leave every request
// unanswered:
//
//	go test -run TestStorm -timeout 2h -v ./internal/test/chaos -args -chaos.duration 10m
//
// With -chaos.earlier, the daemons over tables are those of an earlier release in the first half of the storm, and are replaced one
// after another. It takes -chaos.seed, -chaos.race for daemons with the race detector, and -chaos.kinesalite for an independent Kinesis
// emulator.
//
// In the long form clocks jump, too: the daemon is built with a package time that has one more line, which adds the error of its
// host's clock. This rebuilds all packages, which the short form avoids.
package chaos
