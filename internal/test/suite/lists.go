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

// large are tests, as the pattern of their names by package, that run without the race detector although their package runs with it.
// With the detector they are smaller (race.Enabled), or left out (race.LeaveOut) because they run programs in processes of their
// own, which have no detector: only what serves these processes would be slow. What these programs do at the same time is tested, with the
// race detector, by the packages that they consist of.
var large = map[string]string{
	"cmd/consumer":         all,
	"cmd/scale-stream":     "^TestFunction_",
	"cmd/send-to-firehose": "^TestFunction_",
	"cmd/write-to-s3":      "^TestFunction_",
	"consumer/batch":       "AnyNumberOf",
	"helm/observe":         "^TestQueries_",
	"internal/test/bench":  "^Test(SteadyLoad|Outage)_",
	"internal/test/chaos":  "^TestStorm",
	"internal/test/lake":   "^TestPipeline_",
	"writers":              "HoldsTheBudget",
}

// all is the pattern of packages all of whose tests run without the detector, and those that are not left out also with it.
const all = "."
