// Package forward lets others reach a server that listens on the loopback address alone, as the stand-ins for AWS do,
// which ask nobody for credentials. Whoever forwards decides who that is: the pods of a test or of a demo.
package forward

import (
	"fmt"
	"io"
	"net"
)

// TCP has the connections that come to address go to target, both host:port, until the listener is closed.
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

// join copies both ways until either side ends. What went wrong is for the two ends to see: their connection breaks.
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
