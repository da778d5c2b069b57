package postgres

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
)

// tls returns how to secure a connection, nil for not at all. A Unix-domain socket does not leave the machine.
func (c *Connector) tls(d dsn, s server) (*tls.Config, error) {
	if c.reach.PostgresTLS == "disable" || s.socket() {
		return nil, nil
	}
	roots, err := c.roots()
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: roots, ServerName: s.host, MinVersion: tls.VersionTLS12}
	if d["sslcert"] != "" {
		pair, err := tls.LoadX509KeyPair(d["sslcert"], d["sslkey"])
		if err != nil {
			return nil, fmt.Errorf("load the client's certificate, sslcert and sslkey of the connection string: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if c.reach.PostgresTLS == "verify-ca" {
		withoutName(config, s.host)
	}
	return config, nil
}

// withoutName has the certificate checked, but not its host name.
func withoutName(config *tls.Config, host string) {
	if net.ParseIP(host) != nil {
		config.ServerName = "" // RFC 6066, section 3: no literal addresses
	}
	config.InsecureSkipVerify = true // VerifyConnection does it
	config.VerifyConnection = func(s tls.ConnectionState) error {
		options := x509.VerifyOptions{Roots: config.RootCAs, Intermediates: x509.NewCertPool()}
		for _, certificate := range s.PeerCertificates[1:] {
			options.Intermediates.AddCert(certificate)
		}
		_, err := s.PeerCertificates[0].Verify(options)
		return err
	}
}

// roots returns the certificates of POSTGRES_CA_FILE, which may change; nil for those of the system.
func (c *Connector) roots() (*x509.CertPool, error) {
	path := c.reach.PostgresCAFile
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, named("POSTGRES_CA_FILE", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("POSTGRES_CA_FILE=%q: %w", path, errors.New("want certificates in PEM"))
	}
	return pool, nil
}
