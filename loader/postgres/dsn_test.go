package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// What a connection string says is what the driver's own parser says, which follows libpq.
func TestParseDSN_AgreesWithTheDriver(t *testing.T) {
	for _, text := range []string{
		"postgres://u:p@h/d", "postgresql://u:p@h:6543/d", "postgres://u@h", "postgres://u:p%40%2F%3A%20%25@h/d%20d", "postgres://u:p?q@h/d",
		"postgres://u:p@one,two:6543,[::1]:7654/d", "postgres://u:p@[::1]/d", "postgres://u:p@[fe80::1]:1/d", "postgres://u:p@/d?host=/run/pg&port=7",
		"postgres://u:p@h/d?connect_timeout=3&options=-c%20a%3Db", "postgres://u@h/d?password=p%26q&target_session_attrs=read-write", " postgres://u@h/d\n",
		"user=u password=p host=h port=6543 dbname=d", "user=u password='p q' host=h", `user=u password='a\'b\\c' host=h`, `user=u password=a\ b host=h`,
		"user = u\npassword= p\n host =h dbname=d\n", "host=one,two port=1,2 user=u", "host=one,two port=7 user=u", "host=one,,two user=u", "host=h user=u password=''",
		"host=h user=u application_name=x keepalives=1", "user=u host=h password=p=q",
	} {
		d, err := parseDSN(text)
		want, wantErr := pgconn.ParseConfig(strings.TrimSpace(text) + allOff(text))
		if err != nil || wantErr != nil {
			t.Errorf("%q: %v, the driver: %v", text, err, wantErr)
			continue
		}
		servers := []server{{want.Host, want.Port}}
		for _, f := range want.Fallbacks {
			servers = append(servers, server{f.Host, f.Port})
		}
		if d["host"] != "" && !strings.Contains(d["host"], ",,") && fmt.Sprint(d.servers()) != fmt.Sprint(servers) {
			t.Errorf("%q: servers %v, the driver: %v", text, d.servers(), servers)
		}
		got := fmt.Sprintf("%q %q %q %q %v", d["user"], d["password"], d["dbname"], d["options"], d.timeout())
		if want.ConnectTimeout == 0 {
			want.ConnectTimeout = connectBound
		}
		if expected := fmt.Sprintf("%q %q %q %q %v", want.User, want.Password, want.Database, want.RuntimeParams["options"], want.ConnectTimeout); got != expected {
			t.Errorf("%q: %s, the driver: %s", text, got, expected)
		}
	}
}

// allOff keeps the driver from trying a connection with and without TLS.
func allOff(text string) string {
	switch {
	case !strings.Contains(text, "://"):
		return " sslmode=disable"
	case strings.Contains(text, "/d?"):
		return "&sslmode=disable"
	}
	return "?sslmode=disable"
}

const planted = "s3cr3t"

// Malformed strings are where a password ends up in an error.
func TestParseDSN_SaysWhatIsWrongWithoutRepeatingIt(t *testing.T) {
	for text, says := range map[string]string{
		"postgres://u:" + planted + "/x@h/d":             "special characters of the password need %XX",
		"postgres://u:x#" + planted + "%@h/d":            "a % is not followed by two hexadecimal digits",
		"postgres://u:p@h:" + planted + "/d":             "a port is not a number",
		"postgres://u:p@h/d?" + planted:                  "keyword=value pairs separated by &",
		"postgres://u:p@h/d?" + planted + "=1":           "a keyword other than host, port",
		"user=u password=my " + planted + " host=h":      "want keyword=value pairs",
		"user=u password=my " + planted + "=x host=h":    "a value with spaces needs quotes",
		"user=u password='" + planted:                    "a quote is not closed",
		planted:                                          "want keyword=value pairs",
		"mysql://u:" + planted + "@h/d":                  "want keyword=value pairs",
		"user=u host=h sslmode=" + planted:               "sslmode: want one of disable,",
		"user=u host=h connect_timeout=" + planted:       "connect_timeout is not a number of seconds",
		"user=u host=h target_session_attrs=standby":     "target_session_attrs: want one of any, read-write, primary",
		"user=u host=h channel_binding=" + planted:       "channel_binding: want one of",
		"user=u host=a,b,c port=1,2 password=" + planted: "it has 2 ports for 3 hosts",
		"user=u host=h sslrootcert=/" + planted:          "keyword sslrootcert: want POSTGRES_CA_FILE instead",
		"user=u host=h service=" + planted:               "keyword service: want the keywords themselves",
		"user=u host=h sslcert=/" + planted:              "want both sslcert and sslkey",
		"user=u host=h password=\x00" + planted:          "a zero byte",
	} {
		_, err := parseDSN(text)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), planted) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
	// The driver's own error for such a string shows that the danger is real.
	if _, err := pgconn.ParseConfig("user=u password=my " + planted + " host=h"); err == nil || !strings.Contains(err.Error(), planted) {
		t.Errorf("the driver says %v", err)
	}
}

func FuzzParseDSN(f *testing.F) {
	f.Add("postgres://u:p@one:1,[::1]/d?host=x")
	f.Add("user=u password='p q'")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDSN(text)
		if err != nil {
			return
		}
		for _, s := range d.servers() {
			if s.port == 0 {
				t.Errorf("%q: port 0", text)
			}
		}
	})
}

func TestParseSecret_ReadsWhatRDSKeeps(t *testing.T) {
	for text, want := range map[string]string{
		`{"username":"u","password":"p"}`: `"u" "p" "" "" ""`,
		`{"engine":"postgres","host":"h","port":5433,"username":"u","password":"p\"q","dbname":"d","dbInstanceIdentifier":"i"}`: `"u" "p\"q" "h" "5433" "d"`,
		`{"engine":"aurora-postgresql","host":"h","port":"5433","username":"u","password":"p"}`:                                 `"u" "p" "h" "5433" ""`,
		"postgres://u:p@h:7/d":       `"u" "p" "h" "7" "d"`,
		"user=u password=p host=h\n": `"u" "p" "h" "" ""`,
	} {
		d, err := parseSecret(text)
		if err != nil {
			t.Error(err)
		}
		if got := fmt.Sprintf("%q %q %q %q %q", d["user"], d["password"], d["host"], d["port"], d["dbname"]); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for text, says := range map[string]string{
		`{"username":"u","password":` + planted:           "not valid JSON",
		`{"username":"u","password":["` + planted + `"]}`: "not valid JSON",
		`{"engine":"mysql","password":"` + planted + `"}`: `the engine "mysql"`,
		`{"port":"` + planted + `"}`:                      "a port is not a number",
		"user=u password=my " + planted:                   "want keyword=value pairs",
	} {
		if _, err := parseSecret(text); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), planted) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}
