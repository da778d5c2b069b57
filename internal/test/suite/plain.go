package main

const module = "aws-streaming-pipeline/"

// plain are packages whose code starts no goroutines and whose tests run long under the race detector. Their tests start goroutines
// only if their names contain concurrent. How goroutines of the daemon use these packages is tested, with the race detector, by the
// packages that start them: writers, consumer/batch, consumer.
var plain = []string{
	"docs",
	"internal/test/hostile",
	"internal/test/rooms",
	"internal/test/words",
	"loader/rows",
	"record",
	"record/jsonscan",
	"record/prefix",
	"record/schema",
	"record/schema/shred",
	"record/table",
	"writers/jsonl",
	"writers/layout",
	"writers/parquet",
}

// concurrent is in the names of those tests of plain packages that run a second time with the race detector.
const concurrent = "IsSafeForConcurrentUse"
