// Package hostile searches for the record that costs most. It holds tests only.
//
// The rule is that no record takes more than 20 times the CPU time or the memory that an honest record of its size takes:
// what would is refused, and goes to the error prefix. A stage (stages_test.go) is the daemon's or a Lambda function's way
// with one Kinesis record under settings that switch one part of the code on, from the decoder to the encoded block, with
// an honest payload and a grammar of hostile ones (grammar_test.go). A search (hostile_test.go) climbs from recipe to
// recipe of that grammar. docs/hostile-records.md has what it found and what bounds each.
package hostile
