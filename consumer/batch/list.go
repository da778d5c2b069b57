package batch

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/layout"
)

// lists are the objects that name the files of batches that have too many for an item of the store.
type lists struct {
	sink   writers.Sink
	bucket string // for batches whose files are in none
	prefix string // of their keys
	room   int    // of the item for files, in bytes
	log    *slog.Logger
}

func newLists(cfg Config, parts Parts) *lists {
	return &lists{sink: parts.Sink, bucket: cfg.Bucket, prefix: cfg.ManifestPrefix, room: checkpoint.MaxBatchItem, log: parts.Log}
}

// write writes the files of a batch to an object, and has the batch point to it, if they are too many for its item. It is
// called before the commit: whoever finds the batch in the outbox finds the object, too. Like the upload of parts, it
// goes on until ctx ends.
func (l *lists) write(ctx context.Context, b *checkpoint.Batch) error {
	data, err := checkpoint.EncodeFiles(b.Files)
	if err != nil || len(data) <= l.room || len(b.Files) == 0 {
		return err
	}
	b.List = checkpoint.NewFileList(cmp.Or(b.Files[0].Bucket, l.bucket), layout.OutboxKey(l.prefix, b.ID), len(b.Files), data)
	spec := writers.ObjectSpec{
		Bucket:      b.List.Bucket,
		Key:         b.List.Key,
		ContentType: "application/zstd", // RFC 8878, section 7.1
		Metadata:    map[string]string{writers.MetadataBatchID: b.ID},
	}
	err = retries.Retry(ctx, always, func() error { return l.sink.Put(ctx, spec, data) })
	if err != nil {
		return fmt.Errorf("write list of files %s: %w", b.List, err)
	}
	return nil
}

// delete deletes the list of a batch that is forgotten, or that cannot be committed any more. One that is left over
// takes up space and does no harm, so nothing waits for it long.
func (l *lists) delete(ctx context.Context, b checkpoint.Batch) {
	if b.List == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWord)
	defer cancel()
	if err := l.sink.DeleteList(ctx, *b.List); err != nil {
		l.log.Warn("list of files not deleted, it is no longer needed", logkey.Bucket, b.List.Bucket, logkey.Key, b.List.Key, logkey.Batch, b.ID, logkey.Error, err)
	}
}
