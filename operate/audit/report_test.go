package audit_test

import (
	"testing"

	"aws-streaming-pipeline/operate/audit"
)

func TestReport_IsCleanWithoutFindingsAndStrictlyWithoutWarnings(t *testing.T) {
	finding, warning := []audit.Finding{{Kind: audit.Gap}}, []audit.Finding{{Kind: audit.Unnamed}}
	for _, test := range []struct {
		report audit.Report
		strict bool
		want   bool
	}{
		{audit.Report{Sound: true}, false, true},
		{audit.Report{Sound: true}, true, true},
		{audit.Report{Sound: true, Warnings: warning}, false, true},
		{audit.Report{Sound: true, Warnings: warning}, true, false},
		{audit.Report{Findings: finding}, false, false},
		{audit.Report{Findings: finding}, true, false},
		{audit.Report{}, true, true}, // it was broken off, which is an error of its own
	} {
		if got := test.report.Clean(test.strict); got != test.want {
			t.Errorf("%+v, strict %v: clean %v, want %v", test.report, test.strict, got, test.want)
		}
	}
}
