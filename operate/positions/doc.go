// Package positions lets an operator change what otherwise only the daemon's commits change: the positions of shards and
// the batches in the outbox. It shows the table (NewTable), moves shards (Mover), removes batches from the outbox that
// can no longer be published (Outbox), has tables go without batches (Skipper), and takes over from another consumer of the same stream (Takeover).
//
// It does not ask for confirmation: Mover.Plan and Outbox.Inspect show beforehand what will happen.
package positions
