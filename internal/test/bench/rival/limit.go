package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/encoding/cbor"
	"golang.org/x/sync/errgroup"

	"aws-streaming-pipeline/internal/awshttp"
)

const (
	// readers is how many shards are read at a time. Each reader reuses its memory, so that it stays in the processor's caches as far
	// as they go.
	readers = 4
	// leastPart is S3's minimum size of a part that is not the last.
	leastPart = 5 << 20
)

// move receives the stream and uploads UPLOAD_BYTES bytes of what it has received, in parts, over TLS, with no work in between:
// what the network and its ciphers cost. It uses the daemon's HTTP client without the AWS SDK, so requests are not signed; nothing
// is parsed, checked, summed or copied.
func move(ctx context.Context) error {
	left, err := strconv.ParseInt(os.Getenv("UPLOAD_BYTES"), 10, 64)
	if err != nil {
		return fmt.Errorf("UPLOAD_BYTES: %w", err)
	}
	account, err := awshttp.Account(ctx)
	if err != nil {
		return err
	}
	w := &wire{client: account.HTTPClient, stream: os.Getenv("STREAM_NAME"), kinesis: os.Getenv("AWS_ENDPOINT_URL_KINESIS"), left: left}
	w.object = os.Getenv("AWS_ENDPOINT_URL_S3") + "/" + os.Getenv("BUCKET") + "/data/limit"
	if err := w.begin(); err != nil {
		return err
	}
	if err := w.readAll(ctx); err != nil {
		return err
	}
	return w.finish()
}

// wire is a stream and an upload.
type wire struct {
	client  aws.HTTPClient
	stream  string
	kinesis string
	object  string // URL
	upload  string // id

	mu    sync.Mutex
	left  int64 // bytes still to be uploaded
	parts []part
	tail  []byte // what is too small for a part of its own
}

type part struct {
	PartNumber int
	ETag       string
}

// call makes a request and reads the answer into memory, which it returns with its content.
func (w *wire) call(method, url string, header map[string]string, body, memory []byte) ([]byte, http.Header, error) {
	r, err := http.NewRequest(method, url, struct{ io.Reader }{bytes.NewReader(body)}) // not io.WriterTo, as the SDK's
	if err != nil {
		return memory, nil, err
	}
	r.ContentLength = int64(len(body))
	for name, value := range header {
		r.Header.Set(name, value)
	}
	answer, err := w.client.Do(r)
	if err != nil {
		return memory, nil, err
	}
	defer answer.Body.Close()
	n := int(max(answer.ContentLength, 0))
	memory = slices.Grow(memory[:0], n)[:n]
	if _, err := io.ReadFull(answer.Body, memory); err != nil {
		return memory, nil, err
	}
	if answer.ContentLength < 0 {
		if memory, err = io.ReadAll(answer.Body); err != nil {
			return memory, nil, err
		}
	}
	if answer.StatusCode != http.StatusOK {
		return memory, nil, fmt.Errorf("%s %s: %s: %s", method, url, answer.Status, memory[:min(len(memory), 500)])
	}
	return memory, answer.Header, nil
}

// ask calls an operation of Kinesis in JSON.
func (w *wire) ask(operation string, in, out any) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	answer, _, err := w.call(http.MethodPost, w.kinesis, map[string]string{
		"X-Amz-Target": "Kinesis_20131202." + operation, "Content-Type": "application/x-amz-json-1.1",
	}, text, nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, out)
}

// readAll reads the shards in turn until ctx ends.
func (w *wire) readAll(ctx context.Context) error {
	var listed struct{ Shards []struct{ ShardId string } }
	if err := w.ask("ListShards", map[string]string{"StreamName": w.stream}, &listed); err != nil {
		return err
	}
	shards := make(chan string, len(listed.Shards)) // the iterators from which to read on
	for _, s := range listed.Shards {
		var at struct{ ShardIterator string }
		err := w.ask("GetShardIterator", map[string]string{"StreamName": w.stream, "ShardId": s.ShardId, "ShardIteratorType": "TRIM_HORIZON"}, &at)
		if err != nil {
			return err
		}
		shards <- at.ShardIterator
	}
	var all errgroup.Group
	for range min(readers, len(listed.Shards)) {
		all.Go(func() error {
			var memory []byte
			for ctx.Err() == nil {
				var err error
				if memory, err = w.read(ctx, shards, memory); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return all.Wait()
}

// read fetches one answer and uploads it.
func (w *wire) read(ctx context.Context, shards chan string, memory []byte) ([]byte, error) {
	request := cbor.Encode(cbor.Map{"ShardIterator": cbor.String(<-shards), "Limit": cbor.Uint(10_000)})
	answer, _, err := w.call(http.MethodPost, w.kinesis, map[string]string{
		"X-Amz-Target": "Kinesis_20131202.GetRecords", "Content-Type": "application/x-amz-cbor-1.1",
	}, request, memory)
	if err != nil {
		return nil, err
	}
	next, err := iterator(answer)
	if err != nil {
		return nil, err
	}
	shards <- next
	if len(answer) < 1<<10 { // nothing, or next to it: at the tip
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
		return answer, nil
	}
	return answer, w.put(answer)
}

// iterator returns the NextShardIterator of an answer in CBOR, which is at its end.
func iterator(answer []byte) (string, error) {
	const name = "NextShardIterator"
	end := answer[max(0, len(answer)-2048):]
	if at := bytes.LastIndex(end, []byte(name)); at >= 0 {
		// The value decodes on its own; what follows it does not count.
		if head := end[at+len(name):]; len(head) > 2 && head[0] == 0x78 && len(head) >= 2+int(head[1]) {
			return string(head[2 : 2+int(head[1])]), nil
		}
	}
	return "", errors.New("the answer has no iterator of 24 to 255 bytes")
}

func (w *wire) begin() error {
	answer, _, err := w.call(http.MethodPost, w.object+"?uploads", nil, nil, nil)
	if err != nil {
		return err
	}
	var begun struct{ UploadId string }
	err = xml.Unmarshal(answer, &begun)
	w.upload = begun.UploadId
	return err
}

// put uploads b, as far as it is not more than is to be uploaded, in a part of its own if it is large enough.
func (w *wire) put(b []byte) error {
	w.mu.Lock()
	b = b[:min(int64(len(b)), w.left)]
	w.left -= int64(len(b))
	if len(b) < leastPart {
		w.tail = append(w.tail, b...)
		b = nil
		if len(w.tail) >= leastPart {
			b, w.tail = w.tail, nil
		}
	}
	if len(b) == 0 {
		w.mu.Unlock()
		return nil
	}
	n := len(w.parts)
	w.parts = append(w.parts, part{PartNumber: n + 1})
	w.mu.Unlock()
	return w.send(n, b)
}

func (w *wire) send(n int, b []byte) error {
	_, header, err := w.call(http.MethodPut, fmt.Sprintf("%s?partNumber=%d&uploadId=%s", w.object, n+1, w.upload), nil, b, nil)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parts[n].ETag = header.Get("ETag")
	return nil
}

func (w *wire) finish() error {
	if w.left > 0 {
		return fmt.Errorf("%d bytes less were received than are to be uploaded", w.left)
	}
	if len(w.tail) > 0 {
		w.parts = append(w.parts, part{PartNumber: len(w.parts) + 1})
		if err := w.send(len(w.parts)-1, w.tail); err != nil {
			return err
		}
	}
	text, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"CompleteMultipartUpload"`
		Part    []part
	}{Part: w.parts})
	if err != nil {
		return err
	}
	_, _, err = w.call(http.MethodPost, w.object+"?uploadId="+w.upload, nil, text, nil)
	return err
}
