package loadertest

import "testing"

func TestMemory_KeepsTheContract(t *testing.T) {
	Test(t, func(*testing.T) Table { return NewMemory("memory://trips") })
}

// The controls: the suite must notice what each of these destinations leaves out.
func TestChecks_NoticeWhatIsMissing(t *testing.T) {
	for name, leaveOut := range map[string]func(*Memory){
		"a write that fails is repeated without a look": func(m *Memory) { m.blind = true },
		"a write is applied on any state":               func(m *Memory) { m.unchecked = true },
		"expiry drops the ledger":                       func(m *Memory) { m.forgetful = true },
		"the ledger is written apart":                   func(m *Memory) { m.apart = true },
	} {
		t.Run(name, func(t *testing.T) {
			noticed := 0
			for _, c := range Checks {
				m := NewMemory("memory://trips")
				leaveOut(m)
				if err := c.Run(t.Context(), m); err != nil {
					noticed++
					t.Logf("%s: %v", c.Name, err)
				}
			}
			if noticed == 0 {
				t.Errorf("none of %d checks notices it", len(Checks))
			}
		})
	}
}
