package diagnosis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/aws/smithy-go"

	"aws-streaming-pipeline/internal/spelling"
)

// network knows why a service is out of reach, or does not answer as it does.
func network(e examined) (Finding, bool) {
	setting, endpoint := e.endpoint()
	f := Finding{Setting: setting}
	address := e.address(endpoint)
	at := address
	if setting != "" {
		at = fmt.Sprintf("%s (%s=%q)", address, setting, endpoint)
	}
	dns, noName := errors.AsType[*net.DNSError](e)
	_, untrusted := errors.AsType[x509.UnknownAuthorityError](e)
	_, otherName := errors.AsType[x509.HostnameError](e)
	_, verified := errors.AsType[*tls.CertificateVerificationError](e)
	_, garbled := errors.AsType[*smithy.DeserializationError](e)
	late, timed := errors.AsType[interface {
		error
		Timeout() bool
	}](e)
	proxy := isProxy(e)
	switch {
	case e.has("unsupported protocol scheme", "Failed to parse uri", "missing protocol scheme"):
		f = noURL(setting, endpoint)
		if setting == "" {
			f.Text = e.text
		}
	case proxy:
		f.Setting, f.Text = "HTTPS_PROXY", fmt.Sprintf("the proxy of HTTPS_PROXY is out of reach: %v", rootCause(e))
		f.Advice = "check HTTPS_PROXY and NO_PROXY"
	case noName && dns.IsNotFound:
		return unknownHost(e, f, dns.Name, at), true
	case noName:
		f.Text, f.Advice = fmt.Sprintf("the name of %s cannot be looked up: %s", at, dns.Err), "check the network and its name server"
	case errors.Is(e, syscall.ECONNREFUSED):
		f.Text, f.Advice = at+" refuses the connection", "start the service there, or correct the address"
		if setting == "" {
			f.Advice = "check the network, its firewalls and VPC endpoints"
		}
	case e.has("server gave HTTP response to HTTPS client"):
		f.Final, f.Exit = true, exitSettings
		f.Text, f.Advice = at+" speaks HTTP, not HTTPS", "use http:// in the URL"
		f.Final = setting != "" // otherwise something is in the way of an endpoint of AWS
	case untrusted || otherName || verified:
		f.Text, f.Advice = fmt.Sprintf("the certificate of %s is not accepted: %v", at, rootCause(e)), "name the file of its certificate authority in AWS_CA_BUNDLE"
		if untrusted && setting == "" && isAWS(address) {
			// A proxy that opens TLS connections signs with a key of its own. An endpoint of one's own may get its certificate later.
			f.Final, f.Exit, f.Setting = true, exitSettings, "AWS_CA_BUNDLE"
		}
	case errors.Is(e, syscall.EHOSTUNREACH), errors.Is(e, syscall.ENETUNREACH), errors.Is(e, syscall.ECONNRESET), errors.Is(e, syscall.EPIPE),
		errors.Is(e, io.EOF), errors.Is(e, io.ErrUnexpectedEOF):
		f.Text, f.Advice = fmt.Sprintf("the connection to %s failed: %v", at, rootCause(e)), "check the network, its firewalls and VPC endpoints"
	case timed && late.Timeout(), errors.Is(e, context.DeadlineExceeded):
		f.Text, f.Advice = at+" does not answer in time: "+rootCause(e).Error(), "check the network: routes, security groups, VPC endpoints"
	case garbled:
		f.Text = fmt.Sprintf("%s answers, but not as %s does (status %s)", at, e.who(), statusText(status(e)))
		f.Advice = "check that the address is the service's, and that no proxy or login page answers instead"
	default:
		return Finding{}, false
	}
	return f, true
}

// unknownHost describes a name that does not exist. It may appear later: the name of a service in a cluster, or, while a network
// starts, any name. A region that AWS does not have will not.
func unknownHost(e examined, f Finding, host, at string) Finding {
	region := firstSet(e.about, e.about.Region, "AWS_REGION", "AWS_DEFAULT_REGION")
	if f.Setting == "" && isAWS(host) && region != "" && strings.Contains(host, region) && !slices.Contains(regions, region) {
		f.Final, f.Exit, f.Setting = true, exitSettings, "AWS_REGION"
		f.Text = fmt.Sprintf("AWS_REGION=%q: there is no such region: the host %s does not exist", region, host)
		f.Advice = setRegion
		if like := spelling.Nearest(region, regions, 2); like != "" {
			f.Advice = "did you mean " + like + "?"
		}
		return f
	}
	f.Text, f.Advice = "the host "+at+" does not exist", "correct the address, or start the service that has this name"
	if f.Setting == "" {
		f.Advice = "check the network, its name server and VPC endpoints"
	}
	return f
}

// isAWS reports whether a host is AWS's (AWS General Reference, "AWS service endpoints").
func isAWS(host string) bool {
	host, _, _ = strings.Cut(host, ":")
	for _, domain := range []string{".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".amazonaws.eu", ".on.aws"} {
		if strings.HasSuffix(host, domain) {
			return true
		}
	}
	return false
}

func isProxy(e examined) bool {
	operation, ok := errors.AsType[*net.OpError](e)
	return ok && operation.Op == "proxyconnect"
}

// endpoint returns the variable that gave the endpoint of the service, and its value (AWS SDKs and Tools Reference Guide,
// "Service-specific endpoints"). Both are empty if none did.
func (e examined) endpoint() (setting, value string) {
	if e.about.Endpoint != "" {
		return e.about.Endpoint, e.url()
	}
	if e.service == "" || e.about.getenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") == "true" {
		return "", ""
	}
	for _, name := range []string{"AWS_ENDPOINT_URL_" + strings.ToUpper(strings.ReplaceAll(e.service, " ", "_")), "AWS_ENDPOINT_URL"} {
		if value := e.about.getenv(name); value != "" {
			return name, value
		}
	}
	if e.service == "ec2imds" {
		return "", ""
	}
	if host := hostOf(e.url()); host != "" && !isAWS(host) {
		return "endpoint_url", e.url() // of the profile, or of its services
	}
	return "", ""
}

// atEndpoint names the variable that a service's endpoint comes from, for texts about its answers.
func (e examined) atEndpoint() string {
	setting, value := e.endpoint()
	if setting == "" || value == "" || setting == "endpoint_url" {
		return ""
	}
	return fmt.Sprintf(" (%s=%q)", setting, value)
}

// url returns the URL of the request that failed; empty if the error does not say it.
func (e examined) url() string {
	if failed, ok := errors.AsType[*url.Error](e); ok {
		return failed.URL
	}
	return ""
}

// address returns the host and the port that did not answer.
func (e examined) address(endpoint string) string {
	if host := hostOf(e.url()); host != "" {
		return host
	}
	if operation, ok := errors.AsType[*net.OpError](e); ok && operation.Addr != nil {
		return operation.Addr.String()
	}
	if host := hostOf(endpoint); host != "" {
		return host
	}
	if dns, ok := errors.AsType[*net.DNSError](e); ok {
		return dns.Name
	}
	return e.who()
}

// hostOf returns host:port of a URL.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return ""
	}
	if u.Port() == "" {
		return net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	return u.Host
}

// rootCause returns the innermost error, which says what happened without the calls around it.
func rootCause(err error) error {
	for {
		switch next := errors.Unwrap(err); {
		case next != nil:
			if _, joined := err.(*net.OpError); joined {
				return err // its operation and address say more than the cause alone
			}
			err = next
		default:
			return err
		}
	}
}
