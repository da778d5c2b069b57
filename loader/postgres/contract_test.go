package postgres_test

import (
	"testing"

	"aws-streaming-pipeline/loader/loadertest"
	"aws-streaming-pipeline/loader/postgres"
)

func TestTable_KeepsTheContract(t *testing.T) {
	changes := map[string]func(*postgres.Options){
		"records in one column": withoutSchema,
		"columns of SCHEMA":     withSchema,
		"unique":                func(o *postgres.Options) { o.Unique = true },
		"by day":                func(o *postgres.Options) { withSchema(o); o.Daily = true },
		"by key":                func(o *postgres.Options) { withSchema(o); o.Key = []string{"file", "row"} },
	}
	eachMajor(t, func(t *testing.T, s *site) {
		for name, change := range changes {
			t.Run(name, func(t *testing.T) {
				loadertest.Test(t, func(t *testing.T) loadertest.Table { return s.table(change).create() })
			})
		}
	})
}

// The controls: without the state in the condition, and without the batch's place in the ledger, the suite fails.
func TestChecks_NoticeAMissingCondition(t *testing.T) {
	s := newSite(t, 18)
	noticed := 0
	for _, c := range loadertest.Checks {
		p := s.table(withoutSchema).create()
		p.unguard()
		if err := c.Run(t.Context(), p); err != nil {
			noticed++
			t.Logf("%s: %v", c.Name, err)
		}
	}
	if noticed == 0 {
		t.Errorf("none of %d checks notices it", len(loadertest.Checks))
	}
}

// unguard has the database keep the table's state through all commits, and take a batch into the ledger twice.
func (p *trips) unguard() {
	p.t.Helper()
	must(p.t, p.exec(p.t.Context(),
		"ALTER TABLE pipeline_ledger DROP CONSTRAINT pipeline_ledger_pkey",
		"CREATE FUNCTION same() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.state := OLD.state; RETURN NEW; END $$",
		"CREATE TRIGGER same BEFORE UPDATE ON pipeline_tables FOR EACH ROW EXECUTE FUNCTION same()"))
}
