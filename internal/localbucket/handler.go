package localbucket

import (
	"encoding/base64"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"strings"

	"github.com/johannesboyne/gofakes3"
)

// handler adds what gofakes3's storage interface does not cover.
func handler(f *folder) http.Handler {
	front := gofakes3.New(f).Server()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sum := r.Header.Get("X-Amz-Checksum-Crc32c"); sum != "" && r.Method == http.MethodPut {
			r.Body = &verifier{ReadCloser: r.Body, want: sum, hash: crc32.New(crc32.MakeTable(crc32.Castagnoli))}
			w.Header().Set("X-Amz-Checksum-Crc32c", sum)
		}
		if completes(r) && r.Header.Get("If-None-Match") == "*" && f.exists(r.URL.Path) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusPreconditionFailed)
			_, _ = io.WriteString(w, "<Error><Code>PreconditionFailed</Code><Message>the object already exists</Message></Error>")
			return
		}
		front.ServeHTTP(w, r)
	})
}

func completes(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}

// exists reports whether a request's path names an object.
func (f *folder) exists(path string) bool {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	o, err := f.HeadObject(bucket, key)
	return err == nil && o != nil
}

// verifier fails at the end of a body whose CRC32C differs from the announced one.
type verifier struct {
	io.ReadCloser
	want string
	hash hash.Hash32
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	v.hash.Write(p[:n])
	if err != io.EOF {
		return n, err
	}
	sum := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, v.hash.Sum32()))
	if sum != v.want {
		return n, gofakes3.ErrBadDigest
	}
	return n, io.EOF
}
