package objects_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/operate/objects"
)

var errBroken = errors.New("connection reset")

// brittle is a bucket with one object, whose bodies break off after each number of bytes in turn.
type brittle struct {
	objects.API
	content []byte
	etag    string
	breaks  []int
	after   func(*brittle) // after the first answer

	ranges     []string // of the requests
	conditions []string
}

func (b *brittle) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	b.ranges = append(b.ranges, aws.ToString(in.Range))
	b.conditions = append(b.conditions, aws.ToString(in.IfMatch))
	if in.IfMatch != nil && *in.IfMatch != b.etag {
		return nil, errors.New("precondition failed")
	}
	first, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(aws.ToString(in.Range), "bytes="), "-"))
	rest := b.content[first:]
	out := &s3.GetObjectOutput{ETag: aws.String(b.etag), ContentLength: aws.Int64(int64(len(rest))), Body: io.NopCloser(bytes.NewReader(rest))}
	if len(b.breaks) > 0 {
		n := min(b.breaks[0], len(rest))
		b.breaks = b.breaks[1:]
		out.Body = io.NopCloser(io.MultiReader(bytes.NewReader(rest[:n]), iotest.ErrReader(errBroken)))
	}
	if b.after != nil {
		b.after(b)
		b.after = nil
	}
	return out, nil
}

func (b *brittle) read(t *testing.T, etag string) ([]byte, error) {
	t.Helper()
	s, err := objects.Bucket{API: b, Name: "b"}.Open(t.Context(), "k", etag)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return io.ReadAll(s)
}

func newBrittle(breaks ...int) *brittle {
	content := make([]byte, 100_000)
	for i := range content {
		content[i] = byte(rand.IntN(256))
	}
	return &brittle{content: content, etag: `"1"`, breaks: breaks}
}

func TestOpen_GoesOnWhereTheBodyBrokeOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrittle(10, 0, 0, 40_000, 1)
		got, err := b.read(t, "1")
		if err != nil || !bytes.Equal(got, b.content) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if want := []string{"", "bytes=10-", "bytes=10-", "bytes=10-", "bytes=40010-", "bytes=40011-"}; !slices.Equal(b.ranges, want) {
			t.Errorf("asked for %q, want %q", b.ranges, want)
		}
		if slices.ContainsFunc(b.conditions, func(c string) bool { return c != `"1"` }) {
			t.Errorf("conditions %q", b.conditions)
		}
	})
}

func TestOpen_GivesUpWithoutProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrittle(10, 0, 0, 0, 0, 0, 0, 0, 0)
		if got, err := b.read(t, ""); !errors.Is(err, errBroken) || !strings.Contains(fmt.Sprint(err), "after 10 of 100000 bytes") || len(got) != 10 {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

// Bytes of two contents would be a third one.
func TestOpen_DoesNotMixContents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrittle(10)
		b.after = func(b *brittle) { b.etag = `"2"` }
		if got, err := b.read(t, ""); err == nil || len(got) != 10 {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
	if _, err := newBrittle().read(t, "2"); err == nil {
		t.Error("another content than the one wanted is read")
	}
}

// What comes after the last byte is a wrong checksum, which asking for nothing more would hide.
func TestOpen_DoesNotHideAnErrorAfterTheLastByte(t *testing.T) {
	b := newBrittle(100_000)
	if got, err := b.read(t, ""); !errors.Is(err, errBroken) || len(got) != 100_000 || len(b.ranges) != 1 {
		t.Errorf("%d bytes, %v, %d requests", len(got), err, len(b.ranges))
	}
}
