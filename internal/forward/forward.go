// Package forward exposes a server that listens only on the loopback address, such as the stand-ins for AWS, which do not
// check credentials. The caller decides who gets access: the pods of a test or of a demo.
package forward

import (
	"fmt"
	"io"
	"net"
)

// TCP forwards connections to address to target, both host:port, until the listener is closed.
func TCP(address, target string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("forward to %s: %w", target, err)
	}
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go join(in, target)
		}
	}()
	return listener, nil
}

// join copies in both directions until either side ends. It does not report errors: the two ends see their connection
// break.
func join(in net.Conn, target string) {
	defer in.Close()
	out, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer out.Close()
	go func() {
		io.Copy(out, in)
		out.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(in, out)
}
