package emulator_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"aws-streaming-pipeline/internal/test/emulator"
)

func eachPostgreSQL(t *testing.T, test func(t *testing.T, major int)) {
	for _, major := range emulator.PostgreSQLVersions {
		t.Run(fmt.Sprint(major), func(t *testing.T) { test(t, major) })
	}
}

func exec(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func ask(t *testing.T, conn *pgx.Conn, question string) (answer string) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), question).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", question, err)
	}
	return answer
}

// code is the SQLSTATE of an error.
func code(err error) string {
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}

func TestPostgreSQL_KeepsWhatIsCommittedWhenKilled(t *testing.T) {
	eachPostgreSQL(t, func(t *testing.T, major int) {
		s := emulator.PostgreSQL(t, major)
		database := s.CreateDatabase(t)
		conn := s.Connect(t, database)
		if version := ask(t, conn, "SHOW server_version"); !strings.HasPrefix(version, fmt.Sprint(major, ".")) {
			t.Errorf("version %s, want %d", version, major)
		}
		exec(t, conn, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (1)", "BEGIN", "INSERT INTO kept VALUES (2)")
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "COMMIT"); err == nil {
			t.Error("a killed server answers")
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := ask(t, s.Connect(t, database), "SELECT string_agg(n::text, ',') FROM kept"); got != "1" {
			t.Errorf("after the restart there are rows %s, want 1", got)
		}
	})
}

// The server ends all other connections if one of its processes dies.
func TestPostgreSQL_RecoversFromTheDeathOfABackend(t *testing.T) {
	eachPostgreSQL(t, func(t *testing.T, major int) {
		s := emulator.PostgreSQL(t, major)
		one, two := s.Connect(t, "postgres"), s.Connect(t, "postgres")
		if err := s.KillBackend(int(one.PgConn().PID())); err != nil {
			t.Fatal(err)
		}
		if _, err := two.Exec(t.Context(), "SELECT pg_sleep(60)"); err == nil {
			t.Error("another connection lives on")
		}
		if err := s.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		ask(t, s.Connect(t, "postgres"), "SELECT 'again'")
	})
}

func TestPostgreSQL_PromotesAStandbyWithoutTheLastTransaction(t *testing.T) {
	eachPostgreSQL(t, func(t *testing.T, major int) {
		primary := emulator.PostgreSQL(t, major)
		conn := primary.Connect(t, "postgres")
		exec(t, conn, "CREATE TABLE kept (n int)")
		standby := primary.Standby(t)
		exec(t, conn, "INSERT INTO kept VALUES (1)")
		if err := standby.CatchUp(t.Context(), primary); err != nil {
			t.Fatal(err)
		}
		read := standby.Connect(t, "postgres")
		if _, err := read.Exec(t.Context(), "INSERT INTO kept VALUES (3)"); code(err) != "25006" {
			t.Errorf("a write to a standby ends with %v, want SQLSTATE 25006, read_only_sql_transaction", err)
		}
		if err := standby.Detach(t.Context()); err != nil {
			t.Fatal(err)
		}
		exec(t, conn, "INSERT INTO kept VALUES (2)")
		if err := errors.Join(primary.Kill(), standby.Promote(t.Context())); err != nil {
			t.Fatal(err)
		}
		exec(t, read, "INSERT INTO kept VALUES (3)")
		if got := ask(t, read, "SELECT string_agg(n::text, ',' ORDER BY n) FROM kept"); got != "1,3" {
			t.Errorf("the new primary has rows %s, want 1,3", got)
		}
	})
}

func TestPostgreSQL_FillsASmallDisk(t *testing.T) {
	eachPostgreSQL(t, func(t *testing.T, major int) {
		s := emulator.PostgreSQL(t, major)
		conn := s.Connect(t, "postgres")
		exec(t, conn, "CREATE TABLESPACE small LOCATION '"+s.SmallDisk(t, 2<<20)+"'", "CREATE TABLE full_disk (a text) TABLESPACE small")
		const fill = "INSERT INTO full_disk SELECT repeat('x', 1000) FROM generate_series(1, 4000)"
		if _, err := conn.Exec(t.Context(), fill); code(err) != "53100" {
			t.Errorf("4 MB on a disk of 2 MiB end with %v, want SQLSTATE 53100, disk_full", err)
		}
		// The control: the disk is what is full.
		exec(t, conn, "ALTER TABLE full_disk SET TABLESPACE pg_default", fill)
	})
}

func TestPostgreSQL_OffersTLSAndAsksForPasswords(t *testing.T) {
	eachPostgreSQL(t, func(t *testing.T, major int) {
		certificate, key := selfSigned(t)
		s := emulator.PostgreSQL(t, major, emulator.WithTLS(certificate, key),
			emulator.WithAccess("hostssl all loader 127.0.0.1/32 scram-sha-256", "host all loader 127.0.0.1/32 reject"))
		exec(t, s.Connect(t, "postgres"), "CREATE ROLE loader LOGIN PASSWORD 'right'")
		connect := func(password string, roots *x509.CertPool) error {
			config, err := pgx.ParseConfig(s.DSN("postgres"))
			if err != nil {
				t.Fatal(err)
			}
			config.User, config.Password = "loader", password
			if roots != nil {
				config.TLSConfig = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
			}
			conn, err := pgx.ConnectConfig(t.Context(), config)
			if err == nil {
				return conn.Close(t.Context())
			}
			return err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(certificate)
		if err := connect("right", roots); err != nil {
			t.Errorf("with TLS and password: %v", err)
		}
		if err := connect("wrong", roots); code(err) != "28P01" {
			t.Errorf("with a wrong password: %v, want SQLSTATE 28P01, invalid_password", err)
		}
		if err := connect("right", nil); code(err) != "28000" {
			t.Errorf("without TLS: %v, want SQLSTATE 28000, invalid_authorization_specification", err)
		}
		if err, unknown := connect("right", x509.NewCertPool()), (x509.UnknownAuthorityError{}); !errors.As(err, &unknown) {
			t.Errorf("with no roots: %v, want an unknown authority", err)
		}
	})
}

func TestPostgreSQL_IsReadByPsql(t *testing.T) {
	s := emulator.PostgreSQL(t, 18, emulator.WithSettings("search_path = 'pg_catalog'"))
	cmd := s.Psql(t, "postgres", `SHOW search_path`)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	if out, err := cmd.Output(); err != nil || string(out) != "pg_catalog\n" {
		t.Errorf("psql writes %q, %v: %s", out, err, complaint.Bytes())
	}
}

// selfSigned makes a certificate for 127.0.0.1, and its key.
func selfSigned(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}
