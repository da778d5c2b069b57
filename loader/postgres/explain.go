package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrReadOnly means that the server takes no writes.
var ErrReadOnly = errors.New("the server is a standby, or default_transaction_read_only is on: want one that takes writes; name all servers in POSTGRES_DSN, host=one,two")

// SQLSTATEs by which a server refuses a connection (PostgreSQL manual, "PostgreSQL Error Codes").
const (
	invalidAuthorization = "28000"
	invalidPassword      = "28P01"
	invalidDatabase      = "3D000"
	insufficientRights   = "42501"
	tooManyConnections   = "53300"
	cannotConnectNow     = "57P03"
	protocolViolation    = "08P01"
)

// refusesCredentials reports whether a server did not accept user and password.
func refusesCredentials(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (refused.Code == invalidPassword || refused.Code == invalidAuthorization)
}

// explain says what to do about a connection that could not be opened. The driver's error must not be wrapped: it has the password
// in a field.
func (c *Connector) explain(err error, bound time.Duration) error {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return c.explainRefusal(refused)
	}
	var name *net.DNSError
	var unknown x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, pgconn.ErrReadOnlyConnection):
		return ErrReadOnly
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &name) && name.IsNotFound:
		return fmt.Errorf("%w: check the host in TABLE or in the connection string", name)
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: set POSTGRES_CA_FILE to the certificates of whoever signed the server's, such as Amazon RDS's bundle", unknown)
	case errors.As(err, &wrongName):
		return fmt.Errorf("%w: name the server as its certificate does, or set POSTGRES_TLS=verify-ca", wrongName)
	case errors.As(err, &certificate):
		return fmt.Errorf("%w: the server needs another certificate", certificate)
	case strings.Contains(err.Error(), "server refused TLS connection"): // the driver has no type for it
		return errors.New("the server offers no TLS: have it do so, or set POSTGRES_TLS=disable, which sends everything in the clear")
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: check host and port, and that the server runs", syscall.ECONNREFUSED)
	case errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err):
		return fmt.Errorf("no answer within %v: check that routes, security groups and network policies let this program reach the server", bound)
	}
	if failed, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		err = failed.Unwrap()
	}
	return errors.New(err.Error())
}

// explainRefusal says what to do about a server's answer.
func (c *Connector) explainRefusal(refused *pgconn.PgError) error {
	var advice string
	switch refused.Code {
	case invalidPassword, invalidAuthorization:
		advice = "check user and password, and the server's pg_hba.conf"
		if c.reach.PostgresAuth == "iam" {
			advice = "grant rds_iam to the user, allow rds-db:connect to the role, and name the server by its own endpoint"
		}
	case invalidDatabase:
		advice = "create the database, or name another one in TABLE"
	case insufficientRights:
		advice = "grant CONNECT on the database to the user"
	case tooManyConnections:
		advice = "raise max_connections, or the user's CONNECTION LIMIT"
	case cannotConnectNow:
		return refused
	case protocolViolation:
		advice = "check that the pooler, if there is one, knows user and database"
	default:
		return refused
	}
	return fmt.Errorf("%w: %s", refused, advice)
}
