// Command bench measures the daemon end to end and beside other ways of doing its work.
//
// A stream and a bucket, both over TLS, run in a process of their own; the program that is measured is started as it is
// shipped, and what counts is its own CPU time, user and system, from its start to its end. Every load is checked: its
// files must hold as many rows as the stream took records.
//
// It prints lines that benchstat reads.
package main
