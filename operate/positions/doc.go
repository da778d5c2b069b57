// Package positions changes, on an operator's word, what the daemon changes by commits alone: the positions of shards and
// the batches of the outbox. It shows the table (NewTable), moves shards (Mover), takes batches out of the outbox that
// cannot be published any more (Outbox), and takes the place of another consumer of the same stream (Takeover).
//
// It decides and acts, and asks nobody: what is going to happen can be looked at first (Mover.Plan, Outbox.Inspect).
package positions
