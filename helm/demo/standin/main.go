// Command standin serves an embedded Kinesis on port 4567 and a bucket on port 4568 to the pods of the demo. It keeps the
// stream in memory and the bucket in the folder /data, and does not check credentials.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"aws-streaming-pipeline/internal/forward"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/localstream"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "standin:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	stream, err := localstream.Start("127.0.0.1:0", localstream.Options{MaxBytes: 256 << 20})
	if err != nil {
		return err
	}
	bucket, err := localbucket.Start("127.0.0.1:0", "/data")
	if err != nil {
		return errors.Join(err, stream.Close())
	}
	for address, url := range map[string]string{":4567": stream.URL(), ":4568": bucket.URL()} {
		listener, err := forward.TCP(address, strings.TrimPrefix(url, "http://"))
		if err != nil {
			return errors.Join(err, bucket.Close(), stream.Close())
		}
		defer listener.Close()
	}
	fmt.Println("Kinesis at port 4567, S3 at port 4568")
	<-ctx.Done()
	return errors.Join(bucket.Close(), stream.Close())
}
