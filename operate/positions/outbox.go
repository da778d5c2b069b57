package positions

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/layout"
	"aws-streaming-pipeline/writers/s3sink"
)

// API is the set of S3 calls that an Outbox makes. *s3.Client implements it, with retries.
type API interface {
	objects.API
	s3.ListPartsAPIClient
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
}

// Outbox removes batches from the outbox that can no longer be published.
type Outbox struct {
	Store checkpoint.Store
	API   API
	// Bucket and ManifestPrefix are the current settings. They apply to batches that do not name the place of their
	// manifest.
	Bucket, ManifestPrefix string
}

// Fate is what happened to files that have neither an upload nor an object. Only an operator can find out. A wrong answer
// duplicates or loses records.
type Fate string

const (
	Unknown   Fate = ""
	Delivered Fate = "delivered" // they were published, and have been moved or deleted since
	Lost      Fate = "lost"      // their uploads were removed before they were published
)

// Remains describes what exists of a batch.
type Remains struct {
	// Batch has its files with their buckets, and the ETags of those that exist.
	Batch checkpoint.Batch
	// Files describes the state of each of the batch's files.
	Files []FileState
	// Unlisted is the reason why the files are unknown: their list is lost. It is nil if they are known.
	Unlisted error
	// Waiting counts the files that still have an upload, Missing those with neither an upload nor an object.
	Waiting, Missing int

	manifest checkpoint.Place
}

// FileState describes in words what exists of a file.
type FileState string

const (
	there     FileState = "there"
	published FileState = "was published, and moved or deleted since"
	waiting   FileState = "waits in its upload"
	missing   FileState = "missing: neither the upload nor the object exists"
)

// Inspect finds out what exists of a batch, without changing anything. It fails if everything of the batch is published
// and only its item in the outbox is left. With an error, Remains holds what was found before it.
func (o Outbox) Inspect(ctx context.Context, id string) (Remains, error) {
	b, err := checkpoint.LoadBatch(ctx, o.Store, o.in(o.Bucket), id)
	r := Remains{Batch: b}
	switch {
	case errors.Is(err, checkpoint.ErrNoList):
		r.Unlisted, r.Missing = err, b.List.Files
	case err != nil:
		return r, fmt.Errorf("batch %s: %w", id, err)
	}
	if missing := missingTables(b); !b.PublishedAt.IsZero() && len(missing) > 0 {
		return r, fmt.Errorf("batch %s is published and waits to be loaded into %s: its loaders remove it from the outbox; \"consumer checkpoint skip\" has a table go without it",
			b.ID, strings.Join(missing, ", "))
	} else if !b.PublishedAt.IsZero() {
		return r, fmt.Errorf("batch %s is loaded into all of its tables: a running loader removes it from the outbox", b.ID)
	}
	r.manifest = layout.ManifestPlace(b, o.Bucket, o.ManifestPrefix)
	switch info, err := o.in(r.manifest.Bucket).Head(ctx, r.manifest.Key); {
	case err == nil && info.BatchID == b.ID:
		return r, fmt.Errorf("the manifest of batch %s exists, so the batch was delivered: a running worker removes it from the outbox", b.ID)
	case err != nil && !errors.Is(err, objects.ErrNotFound):
		return r, err
	}
	for i := range b.Files {
		state, err := o.inspect(ctx, &b, i)
		if err != nil {
			return r, err
		}
		r.Files = append(r.Files, state)
		switch state {
		case there, published:
		case waiting:
			r.Waiting++
		default:
			r.Missing++
		}
	}
	return r, nil
}

// inspect returns the state of a file of a batch, and sets its ETag if it exists.
func (o Outbox) inspect(ctx context.Context, b *checkpoint.Batch, i int) (FileState, error) {
	f := &b.Files[i]
	f.Bucket = cmp.Or(f.Bucket, o.Bucket)
	info, err := o.in(f.Bucket).Head(ctx, f.Key)
	foreign := err == nil && info.BatchID != b.ID
	if err == nil && !foreign {
		f.ETag = info.ETag
		return there, nil
	}
	if err != nil && !errors.Is(err, objects.ErrNotFound) {
		return "", err
	}
	if _, noted := slices.BinarySearch(b.Published, i); noted {
		return published, nil
	}
	pending, err := s3sink.Pending(ctx, o.API, *f)
	switch {
	case err != nil:
		return "", err
	case pending:
		return waiting, nil
	case foreign:
		return FileState(fmt.Sprintf("missing: its key holds an object of batch %q", info.BatchID)), nil
	}
	return missing, nil
}

func (o Outbox) in(bucket string) objects.Bucket { return objects.Bucket{API: o.API, Name: bucket} }

// ErrUnknownFate means that the operator has not said what happened to the missing files.
var ErrUnknownFate = errors.New("the fate of the missing files is unknown")

// Allow returns an error if the batch must not be removed from the outbox, given the fate of its missing files.
func (r Remains) Allow(fate Fate) error {
	switch {
	case r.Waiting+r.Missing == 0:
		return fmt.Errorf("every file of batch %s exists: only its manifest is missing, and a running worker writes it", r.Batch.ID)
	case fate == Unknown:
		return ErrUnknownFate
	case fate == Delivered && r.Waiting > 0:
		return fmt.Errorf("nothing was removed: %d files are still uploads and were not delivered: fix what keeps workers from completing them", r.Waiting)
	case fate == Delivered && r.Unlisted != nil:
		return errors.New("nothing was removed: the manifest of a delivered batch cannot be written without the list of its files")
	}
	return nil
}

// Forget removes a batch from the outbox. If its missing files were delivered, it first writes the manifest, the only
// step that was left. Tables never get such a batch: files of it are not where they would look for them.
func (o Outbox) Forget(ctx context.Context, r Remains, fate Fate) error {
	if err := r.Allow(fate); err != nil {
		return err
	}
	if fate == Delivered {
		if err := o.writeManifest(ctx, r); err != nil {
			return err
		}
	}
	for _, table := range r.Batch.Tables {
		if err := o.Store.MarkLoaded(ctx, r.Batch.ID, table); err != nil {
			return fmt.Errorf("batch %s: table %s: %w", r.Batch.ID, table, err)
		}
	}
	if err := o.Store.Forget(ctx, r.Batch.ID); err != nil {
		return fmt.Errorf("batch %s: %w", r.Batch.ID, err)
	}
	return nil
}

func (o Outbox) writeManifest(ctx context.Context, r Remains) error {
	body, err := layout.EncodeManifest(r.Batch)
	if err != nil {
		return err
	}
	_, err = o.API.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &r.manifest.Bucket, Key: &r.manifest.Key, Body: bytes.NewReader(body), ContentType: aws.String("application/json"),
		Metadata: map[string]string{writers.MetadataBatchID: r.Batch.ID},
	})
	if err != nil {
		return fmt.Errorf("write manifest %s: %w", r.manifest, err)
	}
	return nil
}
