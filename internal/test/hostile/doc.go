// Package hostile searches for the most expensive record. It holds tests only.
//
// The rule is that no record takes more than 20 times the CPU time or memory of an honest record of its size. A record that would
// is refused, and goes to the error prefix. A stage (stages_test.go) processes a Kinesis record as the daemon or a Lambda
// function does, from the decoder to the encoded block, with settings that enable one part of the code. It has an honest payload
// and a grammar of hostile ones (grammar_test.go). A search (hostile_test.go) climbs from recipe to recipe of that grammar.
// docs/hostile-records.md lists what it found, and what bounds each.
package hostile
