package loadertest

import "testing"

func TestMemory_KeepsTheContract(t *testing.T) {
	for _, open := range memories {
		Test(t, func(*testing.T) Table { return open("memory://trips") })
	}
}

var memories = []func(name string) *Memory{NewMemory, newShared}

// newShared returns a table whose state is that of its ledger alone and whose rows are whole records, as in a database.
func newShared(name string) *Memory {
	m := NewMemory(name)
	m.shared, m.fixed = true, true
	return m
}

// The controls: the suite must notice what each of these destinations leaves out.
func TestChecks_NoticeWhatIsMissing(t *testing.T) {
	for name, leaveOut := range map[string]func(*Memory){
		"a write that fails is repeated without a look": func(m *Memory) { m.blind = true },
		"a write is applied on any state":               func(m *Memory) { m.unchecked = true },
		"expiry drops the ledger":                       func(m *Memory) { m.forgetful = true },
		"the ledger is written apart":                   func(m *Memory) { m.apart = true },
		"what others write is not what it says":         func(m *Memory) { m.mistaken = true },
	} {
		t.Run(name, func(t *testing.T) {
			for _, open := range memories {
				noticed := 0
				for _, c := range Checks {
					m := open("memory://trips")
					leaveOut(m)
					if err := c.Run(t.Context(), m); err != nil {
						noticed++
						t.Logf("%s: %v", c.Name, err)
					}
				}
				if noticed == 0 {
					t.Errorf("none of %d checks notices it", len(Checks))
				}
			}
		})
	}
}
