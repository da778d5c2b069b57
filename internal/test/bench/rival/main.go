// Command rival writes a stream to Parquet files in the two ways that the benchmark compares with the daemon. Neither
// guarantees delivery: positions are not stored. A third one only moves bytes.
//
//	sdk  the AWS SDK's GetRecords, goccy/go-json into structs, parquet-go's GenericWriter: one file for all shards,
//	     uploaded through the daemon's own sink
//	kcl  vmware-go-kcl-v2 with one record processor per shard, each with its own file, made in the same way
//	limit  receives, and uploads bytes of what it has received, with nothing in between: see move
//
// On SIGTERM it finishes its files and prints the number of allocations as a line of JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/writers/s3sink"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: rival sdk|kcl|limit SET")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

// site holds what both ways use.
type site struct {
	account aws.Config
	stream  string
	sink    *s3sink.Sink
	columns func(file) table
}

func run(way, set string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := write(ctx, way, set); err != nil {
		return err
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return json.NewEncoder(os.Stdout).Encode(map[string]uint64{"mallocs": m.Mallocs})
}

func write(ctx context.Context, way, set string) error {
	if way == "limit" {
		return move(ctx)
	}
	account, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("load AWS configuration: %w", err)
	}
	account.HTTPClient = awshttp.Keep(account.HTTPClient)
	client := s3.NewFromConfig(account, func(o *s3.Options) { o.UsePathStyle = true })
	s := site{account: account, stream: os.Getenv("STREAM_NAME")}
	if s.sink, err = s3sink.New(client, s3sink.Config{Bucket: os.Getenv("BUCKET"), Budget: budget.New(256<<20, nil)}); err != nil {
		return err
	}
	switch set {
	case "taxi":
		s.columns = newTable[taxi]
	case "narrow":
		s.columns = newTable[narrow]
	default:
		return fmt.Errorf("set %q has no columns", set)
	}
	switch way {
	case "sdk":
		return s.readWithSDK(ctx)
	case "kcl":
		return s.readWithKCL(ctx)
	}
	return fmt.Errorf("way %q: want sdk, kcl or limit", way)
}
