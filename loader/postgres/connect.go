package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/record/table"
)

const (
	// connectBound bounds an attempt to connect to one server, unless the connection string has connect_timeout.
	connectBound = 10 * time.Second
	usualPort    = 5432
	// PostgreSQL manual, "Identifiers and Key Words": longer names are cut.
	longestName = 63
)

// A server that is gone, whose machine cannot say so, is noticed after a minute.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

// Reach says which database to connect to, and how.
type Reach struct {
	consumer.PostgresConfig
	Application string
	Table       table.URI
	Account     aws.Config // for POSTGRES_SECRET and POSTGRES_AUTH=iam
	Log         *slog.Logger
}

// Connector opens connections to the database of a table. It reads the credentials anew when they may have changed. Its errors say
// what to do and hold no password and no connection string. libpq's environment variables, such as PGHOST, and its files in the
// home folder are not read.
type Connector struct {
	reach   Reach
	name    string
	fixed   dsn     // POSTGRES_DSN
	secret  *secret // POSTGRES_SECRET
	minimal *pgx.ConnConfig

	mu   sync.Mutex
	said map[string]bool
}

// NewConnector returns a connector. It makes no calls. Its errors name a wrong setting.
func NewConnector(r Reach) (*Connector, error) {
	c := &Connector{reach: r, name: applicationName(r.Application, r.Table), said: map[string]bool{}}
	var err error
	if c.minimal, err = minimal(); err != nil {
		return nil, err
	}
	switch {
	case r.PostgresDSN != "":
		c.fixed, err = parseDSN(r.PostgresDSN)
		err = named("POSTGRES_DSN", err)
	case r.PostgresDSNFile != "":
		_, err = readDSN(r.PostgresDSNFile)
	case r.PostgresSecret != "":
		c.secret = &secret{arn: r.PostgresSecret, api: secretsmanager.NewFromConfig(r.Account, func(o *secretsmanager.Options) {
			o.Region = strings.Split(r.PostgresSecret, ":")[3]
		})}
	case r.PostgresUser == "":
		err = errors.New(`POSTGRES_USER="": want the user of the database, or a connection string in POSTGRES_DSN, POSTGRES_DSN_FILE or POSTGRES_SECRET`)
	}
	if err == nil && c.fixed != nil && c.fixed["user"] == "" && r.PostgresUser == "" {
		err = errNoUser
	}
	if err == nil {
		_, err = c.roots()
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

var errNoUser = errors.New(`POSTGRES_USER="": want the user of the database, which the connection string does not name`)

func named(setting string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", setting, err)
	}
	return nil
}

// minimal returns a configuration without anything of this machine's environment. What it does not name here is set for each
// connection.
func minimal() (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig("host=localhost port=5432 user=none dbname=none password=none passfile='' sslmode=disable sslcert='' sslkey='' " +
		"sslrootcert='' sslcertmode=allow connect_timeout=0 target_session_attrs=any channel_binding=prefer require_auth='' " +
		"min_protocol_version=3.0 max_protocol_version=3.0 sslnegotiation=postgres sslsni=1")
	if err != nil {
		return nil, errors.New("PGSERVICE: want it unset; a connection string belongs in POSTGRES_DSN") // nothing else can be wrong
	}
	// Prepared statements would outlast a transaction, which PgBouncer does not allow for (its manual, "pool_mode").
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.StatementCacheCapacity, config.DescriptionCacheCapacity = 0, 0
	config.Password = ""
	config.Fallbacks = nil
	return config, nil
}

// ApplicationName is the application_name of the connections: it names the application and the table.
func (c *Connector) ApplicationName() string { return c.name }

// applicationName differs for each application and table. PostgreSQL cuts names, so the end of a long one is a hash of it.
func applicationName(application string, uri table.URI) string {
	name := "aws-streaming-pipeline loader " + application + " " + strings.Join(uri.Identifier()[1:], ".")
	if len(name) <= longestName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	end := "~" + hex.EncodeToString(sum[:4])
	return name[:longestName-len(end)] + end
}

// server is where a server listens. A host that begins with a slash is the folder of a Unix-domain socket.
type server struct {
	host string
	port uint16
}

func (s server) String() string { return net.JoinHostPort(s.host, strconv.Itoa(int(s.port))) }
func (s server) socket() bool   { return strings.HasPrefix(s.host, "/") }

// number parses a port that was checked; empty is the usual one.
func number(port string) uint16 {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return usualPort
	}
	return uint16(n)
}

// Connect opens a connection to a server that takes writes: of several in the connection string the first that does.
func (c *Connector) Connect(ctx context.Context) (*pgx.Conn, error) {
	d, err := c.credentials(ctx, false)
	if err != nil {
		return nil, err
	}
	conn, err := c.first(ctx, d)
	if !refusesCredentials(err) || c.secret == nil {
		return conn, err
	}
	// The secret may have been rotated since it was read.
	fresh, readErr := c.credentials(ctx, true)
	if readErr != nil || fresh["user"] == d["user"] && fresh["password"] == d["password"] {
		return nil, errors.Join(err, readErr)
	}
	return c.first(ctx, fresh)
}

// credentials returns the connection string with all that the settings say. Again asks for it without a cache.
func (c *Connector) credentials(ctx context.Context, again bool) (d dsn, err error) {
	d = dsn{}
	switch {
	case c.fixed != nil:
		for key, value := range c.fixed {
			d[key] = value
		}
	case c.reach.PostgresDSNFile != "":
		d, err = readDSN(c.reach.PostgresDSNFile)
	case c.secret != nil:
		d, err = c.secret.read(ctx, again)
	}
	if err != nil {
		return nil, err
	}
	if c.reach.PostgresUser != "" {
		d["user"] = c.reach.PostgresUser
	}
	if d["user"] == "" {
		return nil, errNoUser
	}
	c.complete(d)
	return d, nil
}

// complete adds what TABLE says and the connection string does not.
func (c *Connector) complete(d dsn) {
	uri := url.URL{Host: c.reach.Table.Endpoint}
	at, database := server{uri.Hostname(), number(uri.Port())}, c.reach.Table.Namespace[0]
	if d["host"] == "" {
		d["host"] = at.host
		if d["port"] == "" {
			d["port"] = strconv.Itoa(int(at.port))
		}
	}
	if d["dbname"] == "" {
		d["dbname"] = database
	}
	if d["dbname"] != database || d.servers()[0] != at {
		c.say("the connection string names another server or database than TABLE; it applies, and TABLE only names the table", "host", d["host"], "database", d["dbname"])
	}
	if mode := d["sslmode"]; mode != "" && mode != c.reach.PostgresTLS {
		c.say("POSTGRES_TLS overrides sslmode of the connection string", "sslmode", mode, "POSTGRES_TLS", c.reach.PostgresTLS)
	}
}

// say logs something once.
func (c *Connector) say(message string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.said[message] {
		return
	}
	c.said[message] = true
	c.reach.Log.Warn(message, append([]any{logkey.Table, c.reach.Table.String()}, args...)...)
}

// first connects to the first server that takes writes.
func (c *Connector) first(ctx context.Context, d dsn) (*pgx.Conn, error) {
	var failed error
	for _, s := range d.servers() {
		conn, err := c.open(ctx, d, s)
		if err == nil {
			return conn, nil
		}
		if err = fmt.Errorf("connect to database %q at %v as %q: %w", d["dbname"], s, d["user"], err); failed == nil {
			failed = err
		} else {
			failed = fmt.Errorf("%w; %w", failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

// open connects to one server.
func (c *Connector) open(ctx context.Context, d dsn, s server) (*pgx.Conn, error) {
	config := c.minimal.Copy()
	config.Host, config.Port = s.host, s.port
	config.Database, config.User, config.Password = d["dbname"], d["user"], d["password"]
	config.ChannelBinding, config.RequireAuth = "prefer", d["require_auth"]
	if d["channel_binding"] != "" {
		config.ChannelBinding = d["channel_binding"]
	}
	config.ConnectTimeout = d.timeout()
	config.DialFunc = (&net.Dialer{Timeout: config.ConnectTimeout, KeepAliveConfig: keepAlive}).DialContext
	config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	// PgBouncer passes these three on by itself (its manual, "ignore_startup_parameters").
	config.RuntimeParams = map[string]string{"application_name": c.name, "client_encoding": "UTF8", "timezone": "UTC"}
	if d["options"] != "" {
		config.RuntimeParams["options"] = d["options"]
	}
	var err error
	if config.TLSConfig, err = c.tls(d, s); err != nil {
		return nil, err
	}
	if c.reach.PostgresAuth == "iam" {
		if config.Password, err = c.token(ctx, s, d["user"]); err != nil {
			return nil, err
		}
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, c.explain(err, config.ConnectTimeout)
	}
	return conn, nil
}
