package consumer

import (
	"net"
	"net/netip"
)

// advertised returns the address at which others reach the status page that listens on an address: if that names no host, an
// address of this machine takes its place. An empty address stays empty.
func advertised(address string, machine func() ([]net.Addr, error)) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip, err := netip.ParseAddr(host); host != "" && (err != nil || !ip.IsUnspecified()) {
		return address
	}
	addresses, err := machine()
	if err != nil {
		return address
	}
	var found netip.Addr
	for _, a := range addresses {
		prefix, err := netip.ParsePrefix(a.String())
		if ip := prefix.Addr(); err == nil && ip.IsGlobalUnicast() && (!found.IsValid() || ip.Is4() && !found.Is4()) {
			found = ip
		}
	}
	if !found.IsValid() {
		return address
	}
	return net.JoinHostPort(found.String(), port)
}
