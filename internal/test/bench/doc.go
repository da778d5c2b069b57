// Command bench measures the daemon end to end and compares it with other ways of doing its work, with other products, and with
// the daemon of an earlier revision.
//
// A stream and a bucket, both over TLS, run in a separate process. The measured program is started as it is shipped, and what
// counts is its own CPU time, user and system, from start to exit. Every load is checked: its files must hold as many rows as
// the stream accepted records.
//
// Products come from package registries, in pinned versions; those that cannot be fetched are left out, which is said on standard
// output and in the page.
//
// It prints its results in the format of benchstat.
package main
