package postgres

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/record/table"
)

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{certificate, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// sign returns a certificate for a host name, and its key.
func (a authority) sign(t *testing.T, host string) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{host}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &private.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})
}

func (a authority) file(t *testing.T) string { return file(t, string(a.pem)) }

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// reach is how the tests' settings reach a table at a host.
func reach(t *testing.T, host string, change func(*consumer.PostgresConfig)) Reach {
	t.Helper()
	uri, err := table.ParseURI("postgres://" + host + "/postgres/public.trips")
	if err != nil {
		t.Fatal(err)
	}
	r := Reach{PostgresConfig: consumer.PostgresConfig{PostgresAuth: "password", PostgresTLS: "verify-full"}, Application: "taxi", Table: uri, Log: slog.New(slog.DiscardHandler),
		Account: aws.Config{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "key-of-the-test", "")}}
	change(&r.PostgresConfig)
	return r
}

func connect(t *testing.T, r Reach) (*pgx.Conn, error) {
	t.Helper()
	c, err := NewConnector(r)
	if err != nil {
		return nil, err
	}
	conn, err := c.Connect(t.Context())
	if err == nil {
		t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server may be gone
	}
	return conn, err
}

// secured is a server whose certificate is for localhost, where the user loader needs a password.
func secured(t *testing.T, a authority) *emulator.PostgreSQLServer {
	t.Helper()
	s := emulator.PostgreSQL(t, 18, emulator.WithTLS(a.sign(t, "localhost")),
		emulator.WithAccess("host all loader 127.0.0.1/32 scram-sha-256"))
	run(t, s.Connect(t, "postgres"), "CREATE ROLE loader LOGIN PASSWORD '"+planted+"'", "CREATE DATABASE closed", "REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
	return s
}

func run(t *testing.T, conn *pgx.Conn, statements ...string) {
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

func at(s *emulator.PostgreSQLServer, host string) string {
	_, port, _ := net.SplitHostPort(s.Address)
	return net.JoinHostPort(host, port)
}

// Each case that fails has a neighbour that differs in one thing and passes.
func TestConnect_SaysWhatToDo(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	s, plain := secured(t, ours), emulator.PostgreSQL(t, 14)
	dsn := func(c *consumer.PostgresConfig) { c.PostgresDSN = "user=loader password=" + planted }
	for _, c := range []struct {
		name, host string
		change     func(*consumer.PostgresConfig)
		fails      string
	}{
		{"verified", at(s, "localhost"), func(c *consumer.PostgresConfig) { dsn(c); c.PostgresCAFile = ours.file(t) }, ""},
		{"unknown authority", at(s, "localhost"), func(c *consumer.PostgresConfig) { dsn(c); c.PostgresCAFile = others.file(t) }, "set POSTGRES_CA_FILE"},
		{"the system's authorities", at(s, "localhost"), dsn, "set POSTGRES_CA_FILE"},
		{"wrong name", at(s, "127.0.0.1"), func(c *consumer.PostgresConfig) { dsn(c); c.PostgresCAFile = ours.file(t) }, "POSTGRES_TLS=verify-ca"},
		{"the name is not checked", at(s, "127.0.0.1"), func(c *consumer.PostgresConfig) { dsn(c); c.PostgresCAFile = ours.file(t); c.PostgresTLS = "verify-ca" }, ""},
		{"unknown authority, without name", at(s, "localhost"), func(c *consumer.PostgresConfig) {
			dsn(c)
			c.PostgresCAFile = others.file(t)
			c.PostgresTLS = "verify-ca"
		}, "set POSTGRES_CA_FILE"},
		{"without TLS", at(s, "127.0.0.1"), func(c *consumer.PostgresConfig) { dsn(c); c.PostgresTLS = "disable" }, ""},
		{"sslmode asks for less", at(s, "localhost"), func(c *consumer.PostgresConfig) { dsn(c); c.PostgresDSN += " sslmode=disable" }, "set POSTGRES_CA_FILE"},
		{"the server has no TLS", at(plain, "localhost"), dsn, "the server offers no TLS"},
		{"wrong password", at(s, "127.0.0.1"), func(c *consumer.PostgresConfig) {
			c.PostgresDSN = "user=loader password=not" + planted
			c.PostgresTLS = "disable"
		}, "check user and password"},
		{"no such user", at(s, "127.0.0.1"), func(c *consumer.PostgresConfig) { dsn(c); c.PostgresUser = "nobody"; c.PostgresTLS = "disable" }, "28000"},
		{"no such database", at(s, "127.0.0.1"), func(c *consumer.PostgresConfig) { dsn(c); c.PostgresDSN += " dbname=none"; c.PostgresTLS = "disable" }, "create the database"},
		{"no right to connect", at(s, "127.0.0.1"), func(c *consumer.PostgresConfig) { dsn(c); c.PostgresDSN += " dbname=closed"; c.PostgresTLS = "disable" }, "grant CONNECT"},
		{"no such host", "db.invalid", dsn, "check the host in TABLE"},
		{"nobody listens", at(s, "127.0.0.1"), func(c *consumer.PostgresConfig) { dsn(c); c.PostgresDSN += " host=127.0.0.1 port=1" }, "connection refused: check host and port"},
		{"malformed", "localhost", func(c *consumer.PostgresConfig) { c.PostgresDSN = "postgres://u:" + planted + "/@h" }, "POSTGRES_DSN: "},
		{"no user", "localhost", func(c *consumer.PostgresConfig) { c.PostgresDSN = "password=" + planted }, "POSTGRES_USER"},
		{"no file", "localhost", func(c *consumer.PostgresConfig) { c.PostgresDSNFile = "/no/such/file" }, "POSTGRES_DSN_FILE: open /no/such/file"},
		{"not PEM", "localhost", func(c *consumer.PostgresConfig) { dsn(c); c.PostgresCAFile = file(t, planted) }, "want certificates in PEM"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := connect(t, reach(t, c.host, c.change))
			if c.fails == "" {
				if err != nil {
					t.Fatal(err)
				}
				if name := ask(t, conn, "SELECT current_setting('application_name')"); name != "aws-streaming-pipeline loader taxi public.trips" {
					t.Errorf("application_name %q", name)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Fatalf("%v, want %q", err, c.fails)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if strings.Contains(fmt.Sprintf("%+v %#v", e, e), planted) {
					t.Errorf("it holds the password: %#v", e)
				}
			}
			if failed, ok := errors.AsType[*pgconn.ConnectError](err); ok {
				t.Errorf("it wraps the driver's error, which has the password: %v", failed)
			}
		})
	}
}

// The file's password changes while the program runs.
func TestConnect_ReadsTheFileEachTime(t *testing.T) {
	s := secured(t, newAuthority(t))
	path := file(t, "postgres://loader:"+planted+"@"+s.Address+"/postgres\n")
	c, err := NewConnector(reach(t, "elsewhere.invalid", func(c *consumer.PostgresConfig) { c.PostgresDSNFile = path; c.PostgresTLS = "disable" }))
	if err != nil {
		t.Fatal(err)
	}
	works := func() error {
		conn, err := c.Connect(t.Context())
		if err == nil {
			err = conn.Close(t.Context())
		}
		return err
	}
	if err := works(); err != nil {
		t.Error(err)
	}
	run(t, s.Connect(t, "postgres"), "ALTER ROLE loader PASSWORD 'other'")
	if err := works(); !refusesCredentials(err) {
		t.Errorf("with the old password: %v", err)
	}
	if err := os.WriteFile(path, []byte("postgres://loader:other@"+s.Address+"/postgres\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := works(); err != nil {
		t.Error(err)
	}
}

// The one of several servers that takes writes is found, and a standby alone is refused.
func TestConnect_FindsTheServerThatTakesWrites(t *testing.T) {
	primary := emulator.PostgreSQL(t, 18, emulator.WithSettings("wal_level = replica", "max_wal_senders = 4"))
	frozen := emulator.PostgreSQL(t, 18, emulator.WithSettings("default_transaction_read_only = on"))
	both := func(first, second string) error {
		_, err := connect(t, reach(t, "elsewhere.invalid", func(c *consumer.PostgresConfig) {
			c.PostgresTLS = "disable"
			one, two, _ := strings.Cut(first+","+second, ",")
			host, port, _ := net.SplitHostPort(one)
			hosts, ports := host, port
			if two != "" {
				host, port, _ = net.SplitHostPort(two)
				hosts, ports = hosts+","+host, ports+","+port
			}
			c.PostgresDSN = "user=postgres host=" + hosts + " port=" + ports
		}))
		return err
	}
	if err := both(frozen.Address, primary.Address); err != nil {
		t.Error(err)
	}
	if err := both("127.0.0.1:1", primary.Address); err != nil {
		t.Error(err)
	}
	if err := both(frozen.Address, ""); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a standby alone: %v", err)
	}
	if err := both("127.0.0.1:1", frozen.Address); !errors.Is(err, ErrReadOnly) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("it does not name both: %v", err)
	}
}

// libpq's variables and files in the home folder would fill in what is missing, and so does the driver by itself.
func TestConnect_IgnoresWhatTheEnvironmentSaysToLibpq(t *testing.T) {
	s := secured(t, newAuthority(t))
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".pgpass"), []byte("*:*:*:*:"+planted+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(s.Address)
	for name, value := range map[string]string{"HOME": home, "PGHOST": host, "PGPORT": port, "PGUSER": "loader", "PGPASSWORD": planted, "PGDATABASE": "postgres",
		"PGOPTIONS": "-c default_transaction_read_only=on", "PGTARGETSESSIONATTRS": "standby", "PGAPPNAME": "other", "PGSSLMODE": "none"} {
		t.Setenv(name, value)
	}
	_, err := connect(t, reach(t, s.Address, func(c *consumer.PostgresConfig) { c.PostgresUser = "loader"; c.PostgresTLS = "disable" }))
	if !refusesCredentials(err) {
		t.Errorf("without a password: %v", err)
	}
	if config, err := pgx.ParseConfig("sslmode=disable target_session_attrs=any"); err != nil || config.Password != planted || config.User != "loader" {
		t.Errorf("the driver: %+v, %v", config, err)
	}
	conn, err := connect(t, reach(t, s.Address, func(c *consumer.PostgresConfig) {
		c.PostgresDSN = "user=loader password=" + planted
		c.PostgresTLS = "disable"
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(t, conn, "SELECT current_setting('default_transaction_read_only') || ' ' || current_setting('client_encoding') || ' ' || current_setting('timezone')"); got != "off UTF8 UTC" {
		t.Errorf("the session has %s", got)
	}
	t.Setenv("PGSERVICE", "other")
	if _, err := connect(t, reach(t, s.Address, func(c *consumer.PostgresConfig) { c.PostgresUser = "loader" })); err == nil || !strings.Contains(err.Error(), "PGSERVICE") {
		t.Errorf("with PGSERVICE: %v", err)
	}
}

// What the connection string changes of the settings is logged, once, and never with the string.
func TestConnect_LogsWhatAppliesOnce(t *testing.T) {
	s := secured(t, newAuthority(t))
	var log bytes.Buffer
	r := reach(t, "elsewhere.invalid", func(c *consumer.PostgresConfig) {
		c.PostgresDSN = "postgres://loader:" + planted + "@" + s.Address + "/postgres?sslmode=require"
		c.PostgresTLS = "disable"
	})
	r.Log = slog.New(slog.NewTextHandler(&log, nil))
	c, err := NewConnector(r)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		conn, err := c.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close(t.Context())
	}
	text := log.String()
	if strings.Count(text, "POSTGRES_TLS overrides sslmode") != 1 || strings.Count(text, "names another server or database than TABLE") != 1 || strings.Contains(text, planted) {
		t.Errorf("it logs\n%s", text)
	}
}

// A pooler that hands a transaction to another backend knows nothing of statements that were prepared before.
func TestConnect_PreparesNoStatements(t *testing.T) {
	s := emulator.PostgreSQL(t, 14)
	conn, err := connect(t, reach(t, s.Address, func(c *consumer.PostgresConfig) { c.PostgresUser = "postgres"; c.PostgresTLS = "disable" }))
	if err != nil {
		t.Fatal(err)
	}
	var sum int
	for range 3 {
		if err := conn.QueryRow(t.Context(), "SELECT $1::int + 1", 1).Scan(&sum); err != nil || sum != 2 {
			t.Fatal(sum, err)
		}
	}
	if n := ask(t, conn, "SELECT count(*)::text FROM pg_prepared_statements"); n != "0" {
		t.Errorf("%s prepared statements", n)
	}
}

func TestApplicationName_FitsAndDiffers(t *testing.T) {
	seen := map[string]bool{}
	for _, application := range []string{"a", strings.Repeat("long", 20), strings.Repeat("long", 20) + "x"} {
		for _, name := range []string{"trips", strings.Repeat("t", 63), strings.Repeat("t", 62) + "u"} {
			uri, err := table.ParseURI("postgres://h/lake/" + name)
			if err != nil {
				t.Fatal(err)
			}
			got := applicationName(application, uri)
			if len(got) > longestName || seen[got] || !strings.HasPrefix(got, "aws-streaming-pipeline loader ") {
				t.Errorf("%s %s: %q", application, name, got)
			}
			seen[got] = true
		}
	}
}

// AWS documents the token as a presigned URL without its scheme (Amazon RDS User Guide, "Connecting to your DB instance using IAM
// authentication").
func TestToken_IsForHostUserAndRegion(t *testing.T) {
	c, err := NewConnector(reach(t, "db.example.com", func(c *consumer.PostgresConfig) { c.PostgresUser = "loader"; c.PostgresAuth = "iam" }))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ host, region string }{
		{"db.example.com", "eu-west-1"}, {"lake.abcdef.us-east-2.rds.amazonaws.com", "us-east-2"}, {"lake.abcdef.cn-north-1.rds.amazonaws.com.cn", "cn-north-1"},
	} {
		token, err := c.token(t.Context(), server{test.host, 6543}, "loader")
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse("https://" + token)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if u.Host != test.host+":6543" || q.Get("Action") != "connect" || q.Get("DBUser") != "loader" || q.Get("X-Amz-Expires") != "900" ||
			!strings.HasPrefix(q.Get("X-Amz-Credential"), "AKIDEXAMPLE/") || !strings.HasSuffix(q.Get("X-Amz-Credential"), "/"+test.region+"/rds-db/aws4_request") ||
			len(q.Get("X-Amz-Signature")) != 64 || q.Get("X-Amz-SignedHeaders") != "host" {
			t.Errorf("token %s", token)
		}
	}
}

// A server that asks for the password in the clear over TLS, as that of Amazon RDS does, gets the token.
func TestConnect_SendsTheToken(t *testing.T) {
	a := newAuthority(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(a.sign(t, "localhost"))
	if err != nil {
		t.Fatal(err)
	}
	password := make(chan string, 1)
	var served sync.WaitGroup
	served.Go(func() {
		plain, err := listener.Accept()
		if err != nil {
			return
		}
		defer plain.Close()
		if _, err := pgproto3.NewBackend(plain, plain).ReceiveStartupMessage(); err != nil { // the request for TLS
			t.Error(err)
		}
		if _, err := plain.Write([]byte("S")); err != nil {
			t.Error(err)
		}
		conn := tls.Server(plain, &tls.Config{Certificates: []tls.Certificate{pair}})
		backend := pgproto3.NewBackend(conn, conn)
		if _, err := backend.ReceiveStartupMessage(); err != nil {
			t.Error(err)
		}
		backend.Send(&pgproto3.AuthenticationCleartextPassword{})
		_ = backend.SetAuthType(pgproto3.AuthTypeCleartextPassword)
		if err := backend.Flush(); err != nil {
			t.Error(err)
		}
		if m, err := backend.Receive(); err != nil {
			t.Error(err)
		} else if m, ok := m.(*pgproto3.PasswordMessage); ok {
			password <- m.Password
		}
		backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: invalidAuthorization, Message: `PAM authentication failed for user "loader"`})
		_ = backend.Flush()
	})
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	_, err = connect(t, reach(t, net.JoinHostPort("localhost", port), func(c *consumer.PostgresConfig) {
		c.PostgresUser, c.PostgresAuth, c.PostgresCAFile = "loader", "iam", a.file(t)
	}))
	if err == nil || !strings.Contains(err.Error(), "PAM authentication failed") || !strings.Contains(err.Error(), "rds-db:connect") || strings.Contains(err.Error(), "X-Amz") {
		t.Errorf("%v", err)
	}
	select {
	case sent := <-password:
		if !strings.HasPrefix(sent, "localhost:"+port+"?Action=connect&DBUser=loader&") {
			t.Errorf("it sends %q", sent)
		}
	default:
		t.Error("it sends no password")
	}
	listener.Close()
	served.Wait()
}

// secretServer is AWS Secrets Manager, with a secret.
func secretServer(t *testing.T, text string) (api *secretsmanager.Client, account aws.Config, arn string) {
	t.Helper()
	endpoint := emulator.Moto(t)
	account = aws.Config{Region: "eu-west-1", BaseEndpoint: aws.String(endpoint.URL), Credentials: credentials.NewStaticCredentialsProvider("id", "key", "")}
	api = secretsmanager.NewFromConfig(account)
	made, err := api.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("loader"), SecretString: &text})
	if err != nil {
		t.Fatal(err)
	}
	return api, account, *made.ARN
}

func TestConnect_ReadsARotatedSecretAgain(t *testing.T) {
	s := secured(t, newAuthority(t))
	host, port, _ := net.SplitHostPort(s.Address)
	text := func(password string) *string {
		return aws.String(fmt.Sprintf(`{"engine":"postgres","username":"loader","password":%q,"host":%q,"port":%s}`, password, host, port))
	}
	api, account, arn := secretServer(t, *text(planted))
	r := reach(t, "elsewhere.invalid", func(c *consumer.PostgresConfig) { c.PostgresSecret = arn; c.PostgresTLS = "disable" })
	r.Account = account
	c, err := NewConnector(r)
	if err != nil {
		t.Fatal(err)
	}
	calls := &counted{api: c.secret.api}
	c.secret.api = calls
	works := func() error {
		conn, err := c.Connect(t.Context())
		if err == nil {
			err = conn.Close(t.Context())
		}
		return err
	}
	if err := errors.Join(works(), works()); err != nil || calls.n != 1 {
		t.Fatalf("%v after %d calls", err, calls.n)
	}
	admin := s.Connect(t, "postgres")
	run(t, admin, "ALTER ROLE loader PASSWORD 'rotated'")
	if err := works(); !refusesCredentials(err) || strings.Contains(err.Error(), planted) || calls.n != 2 {
		t.Errorf("before the secret is rotated: %v after %d calls", err, calls.n)
	}
	if _, err := api.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &arn, SecretString: text("rotated")}); err != nil {
		t.Fatal(err)
	}
	if err := works(); err != nil || calls.n != 3 {
		t.Errorf("after the rotation: %v after %d calls", err, calls.n)
	}
	c.secret.arn += "x"
	c.secret.kept = ""
	if err := works(); err == nil || !strings.Contains(err.Error(), "POSTGRES_SECRET") || !strings.Contains(err.Error(), "secretsmanager:GetSecretValue") {
		t.Errorf("without the secret: %v", err)
	}
}

// counted counts the calls.
type counted struct {
	api interface {
		GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
	}
	n int
}

func (c *counted) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, o ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	c.n++
	if c.api == nil {
		return &secretsmanager.GetSecretValueOutput{SecretString: aws.String("user=u")}, nil
	}
	return c.api.GetSecretValue(ctx, in, o...)
}

func TestSecret_IsReadAgainAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := &counted{}
		s := &secret{api: calls}
		for _, c := range []struct {
			wait time.Duration
			n    int
		}{{0, 1}, {secretAge, 1}, {time.Second, 2}, {time.Second, 2}} {
			time.Sleep(c.wait)
			if _, err := s.read(t.Context(), false); err != nil || calls.n != c.n {
				t.Errorf("after %v: %v, %d calls", c.wait, err, calls.n)
			}
		}
	})
}
