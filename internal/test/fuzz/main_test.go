package main

import (
	"slices"
	"testing"
)

func TestTargets_AreFoundAndTakeTurns(t *testing.T) {
	all, err := targets("../../..")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(all, func(t target) bool { return t.name == "FuzzCost_Scan" }) {
		t.Fatalf("FuzzCost_Scan is not among %d targets", len(all))
	}
	seen := map[target]bool{}
	for seed := range len(all) {
		picked := turn(all, 2, seed+5000)
		if len(picked) != 2 || picked[0] == picked[1] {
			t.Fatalf("picked %v", picked)
		}
		seen[picked[0]], seen[picked[1]] = true, true
	}
	if len(seen) != len(all) {
		t.Errorf("as many commits as targets bring up %d of %d", len(seen), len(all))
	}
}

func TestOutOfTime_IsNoFinding(t *testing.T) {
	const end, found = "--- FAIL: FuzzX (9.12s)\n    context deadline exceeded\nFAIL\n", "    Failing input written to testdata/fuzz/FuzzX/bbd0\n"
	for said, want := range map[string]bool{end: true, end + found: false, found: false, "FAIL\n": false} {
		if outOfTime(said) != want {
			t.Errorf("%q: %v", said, !want)
		}
	}
}
