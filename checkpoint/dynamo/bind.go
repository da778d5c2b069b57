package dynamo

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aws-streaming-pipeline/checkpoint"
)

// Bind implements checkpoint.Store. A table that has items, but not the application's, belongs to another program. Items of
// tables do not count: a loader may have been started before the first worker.
func (s *Store) Bind(ctx context.Context, app checkpoint.Application) (checkpoint.Application, error) {
	app, err := app.Normalized()
	if err != nil {
		return checkpoint.Application{}, err
	}
	stored, err := s.bind(ctx, app)
	if err == nil {
		err = stored.Accept(app)
	}
	if err != nil {
		return checkpoint.Application{}, fmt.Errorf("bind table %s: %w", *s.table, err)
	}
	return stored, nil
}

func (s *Store) bind(ctx context.Context, app checkpoint.Application) (checkpoint.Application, error) {
	stored, err := s.application(ctx)
	if !errors.Is(err, checkpoint.ErrNotFound) {
		return stored, err
	}
	occupant, err := s.occupant(ctx)
	if err != nil {
		return checkpoint.Application{}, err
	}
	if occupant == nil {
		var e expression
		e.absent(attrKey)
		err := s.put(ctx, "bind", applicationItem(app), e)
		if !errors.Is(err, checkpoint.ErrConflict) {
			return app, err
		}
	}
	// The table is not empty: another worker was faster, or it belongs to another program.
	stored, err = s.application(ctx)
	if errors.Is(err, checkpoint.ErrNotFound) {
		err = foreign(occupant)
	}
	return stored, err
}

// application reads the table's own item. It checks the schema version first: nothing else in a newer item can be
// understood.
func (s *Store) application(ctx context.Context) (checkpoint.Application, error) {
	it, err := s.get(ctx, "bind", keyApplication)
	if err != nil {
		return checkpoint.Application{}, err
	}
	version, err := read(it, func(r *reader) int64 { return r.num(attrSchema) })
	if err != nil {
		return checkpoint.Application{}, err
	}
	if version != checkpoint.SchemaVersion {
		return checkpoint.Application{SchemaVersion: int(version)}, nil
	}
	return read(it, (*reader).application)
}

// occupant returns an item that no loader has written, or nil if there is none.
func (s *Store) occupant(ctx context.Context) (found item, err error) {
	in := &dynamodb.ScanInput{TableName: s.table, Limit: aws.Int32(10), ConsistentRead: aws.Bool(true)}
	err = s.pages(ctx, in, func(items []map[string]types.AttributeValue) error {
		for _, it := range items {
			if item(it).entity() != typeTable {
				found = it
				return errFound
			}
		}
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return found, err
}

// errFound ends a scan.
var errFound = errors.New("found")

// foreign returns an error that says, judging from one of the table's items, whose table this is.
func foreign(occupant item) error {
	r := &reader{item: occupant}
	switch {
	case occupant.entity() != "" && !r.has(attrSubSequence):
		return fmt.Errorf("%w: it has the item %q, but none that says which application and stream it serves: "+
			"restore the item %s", checkpoint.ErrForeignTable, occupant.key(), keyApplication)
	case r.has(attrCheckpoint) || r.has(attrCounter):
		return fmt.Errorf("%w: the Kinesis Client Library for Java made it; use a new table and import this one",
			checkpoint.ErrForeignTable)
	}
	return fmt.Errorf("%w: it has the item %q, which is not one of ours", checkpoint.ErrForeignTable, occupant.key())
}
