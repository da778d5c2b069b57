package pgproxy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// Codes of the first message of a connection, which has no type: PostgreSQL's manual, "Message Formats".
const (
	cancelRequest = 80877102
	sslRequest    = 80877103
	gssEncRequest = 80877104
)

// longest is more than any message of a test has.
const longest = 64 << 20

// message is one message with its type and length, as it was sent.
type message []byte

func (m message) kind() byte { return m[0] }

// text is the string that begins at an offset of the message's body, and what follows it.
func (m message) text(at int) (string, int) {
	body := m[5:]
	if at > len(body) {
		return "", at
	}
	end := bytes.IndexByte(body[at:], 0)
	if end < 0 {
		return "", len(body)
	}
	return string(body[at : at+end]), at + end + 1
}

// readStart reads the first message of a connection, and its code.
func readStart(r io.Reader) (raw []byte, code uint32, err error) {
	raw = make([]byte, 8)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, 0, err
	}
	n := binary.BigEndian.Uint32(raw)
	if n < 8 || n > longest {
		return nil, 0, fmt.Errorf("a start message of %d bytes", n)
	}
	raw = append(raw, make([]byte, n-8)...)
	_, err = io.ReadFull(r, raw[8:])
	return raw, binary.BigEndian.Uint32(raw[4:]), err
}

func readMessage(r io.Reader) (message, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > longest {
		return nil, fmt.Errorf("a message %q of %d bytes", head[0], n)
	}
	m := append(head, make([]byte, n-4)...)
	_, err := io.ReadFull(r, m[5:])
	return m, err
}

// request is what a client sends up to where it may wait for the server: a query, a series of messages up to Sync or Flush, or one
// message of a COPY.
type request struct {
	raw        []byte
	statements []string // that it runs
	prepares   bool     // a statement that outlives it
	syncs      int      // how many times the server will say that it is ready
	ends       byte     // the last message's type
	copyData   bool
}

// prepared are the statements of a connection by name, as the client has prepared them.
type prepared map[string]string

// read reads the next request. See PostgreSQL's manual, "Message Flow".
func (p prepared) read(r io.Reader) (*request, error) {
	request := &request{}
	for {
		m, err := readMessage(r)
		if err != nil {
			return nil, err
		}
		request.raw = append(request.raw, m...)
		request.ends = m.kind()
		switch m.kind() {
		case 'P': // Parse: name, statement
			name, next := m.text(0)
			p[name], _ = m.text(next)
			request.prepares = request.prepares || name != ""
		case 'B': // Bind: portal, name of the statement
			_, next := m.text(0)
			name, _ := m.text(next)
			request.statements = append(request.statements, p[name])
		case 'Q': // Query
			statement, _ := m.text(0)
			request.statements = append(request.statements, statement)
			request.syncs++
			return request, nil
		case 'S': // Sync
			request.syncs++
			return request, nil
		case 'd': // CopyData
			request.copyData = true
			return request, nil
		case 'H', 'c', 'f', 'F', 'p', 'X': // Flush, CopyDone, CopyFail, FunctionCall, a password, Terminate
			return request, nil
		}
	}
}
