package hostile

import "testing"

func FuzzCost_Scan(f *testing.F)             { fuzzCost(f, "Scan") }
func FuzzCost_ScanMembers(f *testing.F)      { fuzzCost(f, "ScanMembers") }
func FuzzCost_Transform(f *testing.F)        { fuzzCost(f, "Transform") }
func FuzzCost_TransformSplit(f *testing.F)   { fuzzCost(f, "TransformSplit") }
func FuzzCost_Columns(f *testing.F)          { fuzzCost(f, "Columns") }
func FuzzCost_ColumnsMembers(f *testing.F)   { fuzzCost(f, "ColumnsMembers") }
func FuzzCost_Rules(f *testing.F)            { fuzzCost(f, "Rules") }
func FuzzCost_RulesTree(f *testing.F)        { fuzzCost(f, "RulesTree") }
func FuzzCost_RulesMembers(f *testing.F)     { fuzzCost(f, "RulesMembers") }
func FuzzCost_Formats(f *testing.F)          { fuzzCost(f, "Formats") }
func FuzzCost_Parquet(f *testing.F)          { fuzzCost(f, "Parquet") }
func FuzzCost_ParquetMembers(f *testing.F)   { fuzzCost(f, "ParquetMembers") }
func FuzzCost_Infer(f *testing.F)            { fuzzCost(f, "Infer") }
func FuzzCost_InferMembers(f *testing.F)     { fuzzCost(f, "InferMembers") }
func FuzzCost_Partition(f *testing.F)        { fuzzCost(f, "Partition") }
func FuzzCost_PartitionMembers(f *testing.F) { fuzzCost(f, "PartitionMembers") }
func FuzzCost_Inflate(f *testing.F)          { fuzzCost(f, "Inflate") }
func FuzzCost_InflateMembers(f *testing.F)   { fuzzCost(f, "InflateMembers") }
func FuzzCost_InflateLines(f *testing.F)     { fuzzCost(f, "InflateLines") }
func FuzzCost_Aggregate(f *testing.F)        { fuzzCost(f, "Aggregate") }
func FuzzCost_SplitJSON(f *testing.F)        { fuzzCost(f, "SplitJSON") }
func FuzzCost_SplitLines(f *testing.F)       { fuzzCost(f, "SplitLines") }
func FuzzCost_LogMessages(f *testing.F)      { fuzzCost(f, "LogMessages") }
func FuzzCost_LogEvents(f *testing.F)        { fuzzCost(f, "LogEvents") }

// fuzzCost uses the fuzzer's bytes as a recipe. Its findings are kept under testdata, and go test tries them from then on.
func fuzzCost(f *testing.F, name string) {
	for i := range stages {
		if stages[i].name != name {
			continue
		}
		b := newBench(f, &stages[i])
		b.size = 16 << 10
		f.Add(recipe{}.bytes())
		f.Add([]byte{1, 1, 40, 2, 3, 4, 2, 60})
		f.Fuzz(func(t *testing.T, noise []byte) {
			b.hold(t, "recipe", b.stage.grammar.render(recipeOf(noise), b.size))
		})
		return
	}
	f.Fatalf("there is no stage %s", name)
}

func TestStages_EachHasAFuzzTarget(t *testing.T) {
	targets := map[string]func(*testing.F){
		"Scan":             FuzzCost_Scan,
		"ScanMembers":      FuzzCost_ScanMembers,
		"Transform":        FuzzCost_Transform,
		"TransformSplit":   FuzzCost_TransformSplit,
		"Columns":          FuzzCost_Columns,
		"ColumnsMembers":   FuzzCost_ColumnsMembers,
		"Rules":            FuzzCost_Rules,
		"RulesTree":        FuzzCost_RulesTree,
		"RulesMembers":     FuzzCost_RulesMembers,
		"Formats":          FuzzCost_Formats,
		"Parquet":          FuzzCost_Parquet,
		"ParquetMembers":   FuzzCost_ParquetMembers,
		"Infer":            FuzzCost_Infer,
		"InferMembers":     FuzzCost_InferMembers,
		"Partition":        FuzzCost_Partition,
		"PartitionMembers": FuzzCost_PartitionMembers,
		"Inflate":          FuzzCost_Inflate,
		"InflateMembers":   FuzzCost_InflateMembers,
		"InflateLines":     FuzzCost_InflateLines,
		"Aggregate":        FuzzCost_Aggregate,
		"SplitJSON":        FuzzCost_SplitJSON,
		"SplitLines":       FuzzCost_SplitLines,
		"LogMessages":      FuzzCost_LogMessages,
		"LogEvents":        FuzzCost_LogEvents,
	}
	for i := range stages {
		if targets[stages[i].name] == nil {
			t.Errorf("stage %s has no target FuzzCost_%s", stages[i].name, stages[i].name)
		}
	}
	if len(targets) != len(stages) {
		t.Errorf("%d targets, %d stages", len(targets), len(stages))
	}
}
