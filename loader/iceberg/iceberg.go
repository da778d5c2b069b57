// Package iceberg loads batches into Apache Iceberg tables.
package iceberg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/rest"
	icebergtable "github.com/apache/iceberg-go/table"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
)

// Settings of a table.
type Settings struct {
	// Application names the ledger. Several applications may load one table.
	Application string
	URI         table.URI
	// Schema is SCHEMA, whose columns a new table gets; nil without one.
	Schema *schema.Schema
	// Create says that a table that does not exist is created, with its namespace, partitioned by Partition, at Location. An
	// empty Location is that of the catalog.
	Create    bool
	Partition []table.Term
	Location  string
	// Evolve says that columns may be added and widened.
	Evolve bool
	// SnapshotAge is the age from which snapshots expire, except for the newest Snapshots. Zero means that none expires.
	SnapshotAge time.Duration
	Snapshots   int
}

// Table is a table of a catalog. It implements loader.Destination and loader.Caretaker.
type Table struct {
	Settings
	catalog catalog.Catalog
	files   Files
}

// New returns a table of a catalog that is open. A call of the catalog's CommitTable must send at most one request that changes the
// table.
func New(s Settings, c catalog.Catalog, files Files) *Table {
	return &Table{s, c, files}
}

// Name implements loader.Destination.
func (d *Table) Name() string { return d.URI.String() }

// Load implements loader.Destination. It creates a table that was never there and adds the pipeline's own columns to one that does
// not have them, as far as the settings allow. It changes nothing if the table is not the previous one: its owner may be about to
// put another into its place.
func (d *Table) Load(ctx context.Context, previous *table.Definition) (loader.State, error) {
	s, err := d.load(ctx, previous)
	if errors.Is(err, catalog.ErrNoSuchTable) {
		s, err = d.first(ctx, previous, err)
	}
	if err != nil {
		return nil, fmt.Errorf("load table %s: %w", d.Name(), err)
	}
	missing := s.missing()
	if len(missing) == 0 || !d.Evolve || previous != nil && previous.UUID != s.definition.UUID {
		return s, nil
	}
	if _, _, err := s.Evolve(ctx, missing); err != nil {
		return nil, err
	}
	if s, err = d.load(ctx, previous); err != nil {
		return nil, fmt.Errorf("load table %s: %w", d.Name(), err)
	}
	return s, nil
}

// first creates a table that was never there. missing is the error without it.
func (d *Table) first(ctx context.Context, previous *table.Definition, missing error) (*state, error) {
	if err := d.creatable(previous, missing); err != nil {
		return nil, err
	}
	if err := d.create(ctx); err != nil {
		return nil, err
	}
	return d.load(ctx, nil)
}

// creatable returns why a missing table must not be created, or nil.
func (d *Table) creatable(previous *table.Definition, missing error) error {
	switch {
	case previous != nil:
		return fmt.Errorf("%w; it was there before, with UUID %s: restore it or, to go on with another one, see \"loader rebind\"", missing, previous.UUID)
	case !d.Create:
		return missing
	}
	return nil
}

func (d *Table) load(ctx context.Context, previous *table.Definition) (*state, error) {
	t, err := d.catalog.LoadTable(ctx, d.URI.Identifier())
	if err != nil {
		return nil, err
	}
	m := t.Metadata()
	if m.Version() != formatVersion {
		return nil, fmt.Errorf("the table has format version %d: want %d", m.Version(), formatVersion)
	}
	s := &state{destination: d, table: t, definition: definitionOf(m, previous)}
	if ledger, ok := m.Properties()[ledgerKey(d.Application)]; ok {
		if s.ledger, err = decodeLedger(ledger); err != nil {
			return nil, fmt.Errorf("property %s: %w", ledgerKey(d.Application), err)
		}
	}
	return s, nil
}

// formatVersion of tables is 2. Version 3 needs ids for rows, and 1 has no sequence numbers.
const formatVersion = 2

// state is a table as it was loaded.
type state struct {
	destination *Table
	table       *icebergtable.Table
	ledger      []string
	definition  *table.Definition
}

// Ledger implements loader.State.
func (s *state) Ledger() []string { return slices.Clone(s.ledger) }

// Definition implements loader.State.
func (s *state) Definition() *table.Definition { return s.definition }

// Check implements loader.State.
func (s *state) Check(f *checkpoint.File) ([]table.Column, error) {
	d, err := loader.Describe(f, s.definition.UUID)
	if err != nil {
		return nil, err
	}
	spec := s.table.Metadata().PartitionSpecByID(d.Spec)
	if spec == nil {
		return nil, fmt.Errorf("partition spec %d: the table does not have it", d.Spec)
	}
	_, err = partitionOf(spec, s.table.Metadata().CurrentSchema(), d.Partition)
	return d.Wanted, err
}

// Size implements loader.Sized.
func (s *state) Size() loader.Size {
	text, err := json.Marshal(s.table.Metadata())
	if err != nil {
		text = nil // it was read, so it can be written
	}
	return loader.Size{Snapshots: len(s.table.Metadata().Snapshots()), MetadataBytes: int64(len(text))}
}

// missing returns those of the pipeline's own columns that the table does not have and did not have.
func (s *state) missing() (missing []table.Column) {
	for _, c := range table.ColumnsOf(nil) {
		if s.definition.Find(c.Member) == nil && !slices.Contains(s.definition.Dropped, c.Member) {
			missing = append(missing, c)
		}
	}
	return missing
}

// Evolve implements loader.State.
func (s *state) Evolve(ctx context.Context, wanted []table.Column) (changed bool, refused []table.Column, err error) {
	if !s.destination.Evolve {
		return false, wanted, nil
	}
	m := s.table.Metadata()
	current := m.CurrentSchema()
	e := newEvolution(s.definition, m.LastColumnID())
	fields, refused := e.schema(current.Fields(), wanted)
	if !e.changed {
		return false, refused, nil
	}
	next := iceberg.NewSchemaWithIdentifiers(current.ID+1, current.IdentifierFieldIDs, fields...)
	err = s.commit(ctx, commit{
		requirements: []icebergtable.Requirement{
			icebergtable.AssertCurrentSchemaID(current.ID), icebergtable.AssertLastAssignedFieldID(m.LastColumnID()),
		},
		updates: []icebergtable.Update{icebergtable.NewAddSchemaUpdate(next), icebergtable.NewSetCurrentSchemaUpdate(lastAdded)},
	})
	return err == nil, refused, err
}

// lastAdded is the schema that the same commit adds.
const lastAdded = -1

// commit is a change of the table.
type commit struct {
	requirements []icebergtable.Requirement
	updates      []icebergtable.Update
}

// commit sends a commit once.
func (s *state) commit(ctx context.Context, c commit) error {
	requirements := []icebergtable.Requirement{assertion{icebergtable.AssertTableUUID(s.table.Metadata().TableUUID())}}
	for _, r := range c.requirements {
		requirements = append(requirements, assertion{r})
	}
	_, _, err := s.destination.catalog.CommitTable(ctx, s.table.Identifier(), requirements, c.updates)
	if err != nil {
		return fmt.Errorf("commit to table %s: %w", s.destination.Name(), commitError(err))
	}
	return nil
}

// assertion is a requirement of a commit. In a catalog that validates it in this process, such as Glue, its error is that of a
// conflict, as it is in the others.
type assertion struct{ icebergtable.Requirement }

// Validate implements icebergtable.Requirement.
func (a assertion) Validate(m icebergtable.Metadata) error {
	if err := a.Requirement.Validate(m); err != nil {
		return fmt.Errorf("%w: %w", icebergtable.ErrCommitFailed, err)
	}
	return nil
}

// MarshalJSON implements json.Marshaler.
func (a assertion) MarshalJSON() ([]byte, error) { return json.Marshal(a.Requirement) }

// commitError adds what the loader tells apart to an error of CommitTable.
func commitError(err error) error {
	switch {
	case errors.Is(err, icebergtable.ErrCommitFailed):
		return fmt.Errorf("%w: %w", loader.ErrConflict, err)
	case unanswered(err):
		return fmt.Errorf("%w: %w", loader.ErrUnanswered, err)
	}
	return err
}

// unanswered reports whether a request has no answer, or one that leaves open whether the request was applied.
func unanswered(err error) bool {
	var send *smithyhttp.RequestSendError
	var transport *url.Error
	var network net.Error
	var answer *awshttp.ResponseError
	return errors.Is(err, rest.ErrCommitStateUnknown) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &send) || errors.As(err, &transport) || errors.As(err, &network) ||
		errors.As(err, &answer) && answer.HTTPStatusCode() >= http.StatusInternalServerError
}
