package positions

import (
	"bytes"
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/writers/layout"
)

// Notes writes notes of moves, which an audit needs, and of skips. Its zero value writes none of moves.
type Notes struct {
	API            API
	Bucket         string
	ManifestPrefix string
	By, Reason     string // who moves shards or skips batches, and why
}

func (n Notes) write(ctx context.Context, l checkpoint.Lease, to checkpoint.Position) error {
	if n.API == nil {
		return nil
	}
	note := layout.Move{
		Shard: l.Shard, From: l.Checkpoint, To: to, Counter: l.Counter + 1, At: time.Now().UTC(), By: n.By, Reason: n.Reason,
	}
	body, err := note.Encode()
	if err != nil {
		return err
	}
	return n.put(ctx, note.Key(n.ManifestPrefix, uuid.NewString()), body)
}

func (n Notes) writeSkip(ctx context.Context, note layout.Skip) error {
	body, err := note.Encode()
	if err != nil {
		return err
	}
	return n.put(ctx, note.Key(n.ManifestPrefix, uuid.NewString()), body)
}

func (n Notes) put(ctx context.Context, key string, body []byte) error {
	_, err := n.API.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &n.Bucket, Key: &key, Body: bytes.NewReader(body), ContentType: aws.String("application/json"),
	})
	return err
}
