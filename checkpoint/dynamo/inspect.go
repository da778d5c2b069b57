package dynamo

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"aws-streaming-pipeline/checkpoint"
)

// Inspection is a table as Inspect found it.
type Inspection struct {
	// Missing means that there is no such table.
	Missing bool
	// Application is the one that the table belongs to; zero if none has used it yet.
	Application checkpoint.Application
	// Foreign is an error that says whose table it is, if it cannot belong to an application of ours.
	Foreign error
	// Unprotected means that the table has no point-in-time recovery. It is false if that is not known.
	Unprotected bool
	// Destinations are the items of the destinations that a loader has stored.
	Destinations map[string]checkpoint.Table
	// Refused are the calls that failed, each with the permission that it needs. Nothing is known of what they asked for.
	Refused []Refusal
}

// Refusal is a call that failed.
type Refusal struct {
	Action string // such as dynamodb:GetItem
	Err    error
}

// keyInspect is the key of an item that is never written.
const keyInspect = "#validate"

// Inspect makes the calls that a worker makes, and changes nothing: it does not create the table, and the condition of its writes
// cannot be met. It stops at the first call that no service answers. Destinations are the names of tables that a loader describes.
func Inspect(ctx context.Context, cfg Config, destinations ...string) Inspection {
	s := newStore(cfg)
	in := Inspection{Destinations: make(map[string]checkpoint.Table)}
	description, err := s.describe(ctx, *s.table)
	if errors.Is(err, checkpoint.ErrNotFound) {
		in.Missing = true
		return in
	}
	if in.refuse("DescribeTable", err); err == nil {
		if in.Foreign = checkKey(description); in.Foreign != nil {
			return in // its items have other keys
		}
	}
	for _, call := range []struct {
		action string
		do     func() error
	}{
		{"GetItem", func() error { return s.inspectItems(ctx, &in, destinations) }},
		{"Scan", func() error { return s.inspectOccupant(ctx, &in) }},
		{"PutItem", func() error { return unmet(s.put(ctx, "inspect", item{attrKey: str(keyInspect)}, impossible())) }},
		{"UpdateItem", func() error { return s.inspectUpdate(ctx) }},
		{"DeleteItem", func() error { return unmet(s.remove(ctx, "inspect", keyInspect, impossible())) }},
	} {
		if in.silent() {
			return in
		}
		in.refuse(call.action, call.do())
	}
	in.Unprotected = s.unprotected(ctx)
	return in
}

func (in *Inspection) refuse(action string, err error) {
	if err != nil {
		in.Refused = append(in.Refused, Refusal{Action: "dynamodb:" + action, Err: err})
	}
}

// silent reports whether the last call was not answered, so that the next would not be either.
func (in *Inspection) silent() bool {
	if len(in.Refused) == 0 {
		return false
	}
	_, answered := errors.AsType[smithy.APIError](in.Refused[len(in.Refused)-1].Err)
	return !answered
}

// inspectItems reads the application and the definitions of destinations.
func (s *Store) inspectItems(ctx context.Context, in *Inspection, destinations []string) error {
	app, err := s.application(ctx)
	if err != nil && !errors.Is(err, checkpoint.ErrNotFound) {
		return err
	}
	in.Application = app
	for _, name := range destinations {
		t, err := s.Table(ctx, name)
		switch {
		case err == nil:
			in.Destinations[name] = t
		case !errors.Is(err, checkpoint.ErrNotFound):
			return err
		}
	}
	return nil
}

// inspectOccupant finds out whether a table without an application's item belongs to another program.
func (s *Store) inspectOccupant(ctx context.Context, in *Inspection) error {
	found, err := s.occupant(ctx)
	if err == nil && found != nil && in.Application == (checkpoint.Application{}) && len(in.Refused) == 0 {
		in.Foreign = foreign(found)
	}
	return err
}

// unmet returns an error of a write whose condition cannot be met, unless it says just that.
func unmet(err error) error {
	switch {
	case errors.Is(err, checkpoint.ErrConflict):
		return nil
	case err == nil:
		return fmt.Errorf("a write to the item %s was accepted although its condition cannot be met", keyInspect)
	}
	return err
}

// impossible is a condition that no item meets: that there is none, and that it has the key.
func impossible() (e expression) {
	e.absent(attrKey)
	e.equal(attrKey, str(keyInspect))
	return e
}

func (s *Store) inspectUpdate(ctx context.Context) error {
	e := impossible()
	e.set(attrBeat, num(0))
	_, err := s.update(ctx, "inspect", keyInspect, e)
	return unmet(err)
}

// unprotected reports whether point-in-time recovery is known to be off. The daemon's role need not be allowed to ask.
func (s *Store) unprotected(ctx context.Context) bool {
	out, err := s.db.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: s.table})
	if err != nil || out.ContinuousBackupsDescription == nil || out.ContinuousBackupsDescription.PointInTimeRecoveryDescription == nil {
		return false
	}
	return out.ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus == types.PointInTimeRecoveryStatusDisabled
}
