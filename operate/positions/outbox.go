package positions

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/layout"
	"aws-streaming-pipeline/writers/s3sink"
)

// API are the calls on buckets; *s3.Client has them, and retries by itself.
type API interface {
	objects.API
	s3.ListPartsAPIClient
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
}

// Outbox takes batches out of the outbox that cannot be published any more.
type Outbox struct {
	Store checkpoint.Store
	API   API
	// Bucket and ManifestPrefix are the present settings, for batches that do not say where their manifest goes.
	Bucket, ManifestPrefix string
}

// Fate is what became of files that have neither an upload nor an object. Only an operator can find it out: the wrong one
// doubles records, or loses them.
type Fate string

const (
	Unknown   Fate = ""
	Delivered Fate = "delivered" // they were published, and their readers have moved or deleted them since
	Lost      Fate = "lost"      // their uploads were removed before they were published
)

// Remains is what there is of a batch.
type Remains struct {
	// Batch has its files with their buckets, and the ETags of those that are there.
	Batch checkpoint.Batch
	// Files says what there is of each of the batch's files.
	Files []FileState
	// Unlisted is why the files are not known: the list of them is lost. It is nil if they are known.
	Unlisted error
	// Waiting counts the files whose uploads are there, Missing those with neither an upload nor an object.
	Waiting, Missing int

	manifest checkpoint.Place
}

// FileState says in words what there is of a file.
type FileState string

const (
	there     FileState = "there"
	published FileState = "was published, and moved or deleted since"
	waiting   FileState = "waits in its upload"
	missing   FileState = "missing: neither the upload nor the object is there"
)

// Inspect looks for what there is of a batch. It fails if the batch is published except for the outbox's item. Remains
// holds what was found out before an error. Nothing is changed.
func (o Outbox) Inspect(ctx context.Context, id string) (Remains, error) {
	b, err := checkpoint.LoadBatch(ctx, o.Store, o.in(o.Bucket), id)
	r := Remains{Batch: b}
	switch {
	case errors.Is(err, checkpoint.ErrNoList):
		r.Unlisted, r.Missing = err, b.List.Files
	case err != nil:
		return r, fmt.Errorf("batch %s: %w", id, err)
	}
	r.manifest = layout.ManifestPlace(b, o.Bucket, o.ManifestPrefix)
	switch info, err := o.in(r.manifest.Bucket).Head(ctx, r.manifest.Key); {
	case err == nil && info.BatchID == b.ID:
		return r, fmt.Errorf("the manifest of batch %s is there, so all of it was delivered: a worker that runs takes it out of the outbox", b.ID)
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

// inspect says what there is of a file of a batch, and fills in its ETag if it is there.
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
		return FileState(fmt.Sprintf("missing: in its place is an object of batch %q", info.BatchID)), nil
	}
	return missing, nil
}

func (o Outbox) in(bucket string) objects.Bucket { return objects.Bucket{API: o.API, Name: bucket} }

// ErrUnknownFate means that nobody has said yet what became of the missing files.
var ErrUnknownFate = errors.New("it is not known what became of the missing files")

// Allow tells whether the batch may be taken out of the outbox if that became of its missing files.
func (r Remains) Allow(fate Fate) error {
	switch {
	case r.Waiting+r.Missing == 0:
		return fmt.Errorf("every file of batch %s is there: it only lacks its manifest, and a worker that runs writes it", r.Batch.ID)
	case fate == Unknown:
		return ErrUnknownFate
	case fate == Delivered && r.Waiting > 0:
		return fmt.Errorf("nothing was removed: %d files wait in their uploads and were not delivered, mend what keeps a worker from completing them", r.Waiting)
	case fate == Delivered && r.Unlisted != nil:
		return errors.New("nothing was removed: the manifest of a delivered batch cannot be written without the list of its files")
	}
	return nil
}

// Forget takes a batch out of the outbox. Of one whose missing files were delivered it writes the manifest first, which is
// all that was not done.
func (o Outbox) Forget(ctx context.Context, r Remains, fate Fate) error {
	if err := r.Allow(fate); err != nil {
		return err
	}
	if fate == Delivered {
		if err := o.writeManifest(ctx, r); err != nil {
			return err
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
