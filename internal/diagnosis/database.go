package diagnosis

import (
	"errors"
	"fmt"
	"strings"
)

// database knows what PostgreSQL says to a connection (PostgreSQL 18 manual, appendix A, "PostgreSQL Error Codes"). The library
// that reports these codes is not linked here: most programs do without it.
func database(e examined) (Finding, bool) {
	answer, ok := errors.AsType[interface {
		error
		SQLState() string
	}](e)
	if !ok {
		return Finding{}, false
	}
	f := Finding{Setting: e.about.Setting, Final: true}
	said := oneLine(answer.Error())
	switch state := answer.SQLState(); {
	case strings.HasPrefix(state, "28"): // invalid authorization specification, invalid password
		f.Exit, f.Setting = exitSettings, "POSTGRES_DSN"
		f.Text, f.Advice = "PostgreSQL does not accept user and password: "+said, "check POSTGRES_DSN, POSTGRES_DSN_FILE or POSTGRES_SECRET, or POSTGRES_AUTH=iam and the user's role rds_iam"
	case state == "3D000": // invalid catalog name
		f.Text, f.Advice = e.about.named()+"there is no such database: "+said, "create it, or correct its name"
	case state == "3F000", state == "42P01": // invalid schema name, undefined table
		f.Text, f.Advice = e.about.named()+e.about.what()+" does not exist: "+said, "create it, or set TABLE_CREATE=true"
	case state == "42501": // insufficient privilege
		f.Text, f.Advice = e.about.named()+"PostgreSQL refuses it: "+said, "grant the privilege to the user"
	default:
		// A server that starts, stops, fails over or has no connection left comes back (classes 08, 53, 57).
		f.Final, f.Text = false, fmt.Sprintf("%sPostgreSQL fails: %s", e.about.named(), said)
	}
	return f, true
}
