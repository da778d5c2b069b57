package main

import (
	"slices"
	"testing"
)

func TestTargets_AreFoundAndTakeTurns(t *testing.T) {
	all, err := targets("../..")
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
