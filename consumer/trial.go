package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"aws-streaming-pipeline/consumer/batch"
	"aws-streaming-pipeline/consumer/transform"
	"aws-streaming-pipeline/consumer/transform/function"
	"aws-streaming-pipeline/internal/budget"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/record/registry"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
)

// Trial does with records what a daemon with the same settings does until it stores them, by the same functions, and stores nothing. It
// is for one goroutine.
type Trial struct {
	cfg      *Config
	steps    []step // each opens more than the one before; the last is the daemon's decoder
	stage    transform.Stage
	router   *prefix.Router
	placer   *batch.Trial
	schemas  *registry.Registry  // nil without a schema registry
	function *function.Transform // nil unless the function of TRANSFORM is called
}

// step is a decoder with one more setting than the one before.
type step struct {
	setting string // such as OPEN_GZIP=true; empty for the first, which only splits aggregates
	decoder *record.Decoder
}

// TrialServices are the dependencies of a Trial. Each may be nil.
type TrialServices struct {
	Schema         *schema.Schema
	SchemaRegistry registry.Service
	// Function calls the function of TRANSFORM. Without it, what the function answers is not known.
	Function function.Client
	// Table is the Iceberg table of TABLE. Without it, records are placed as if TABLE had none.
	Table *table.Definition
	Log   *slog.Logger
}

// NewTrial makes a Trial for valid settings.
func NewTrial(cfg Config, svc TrialServices) (*Trial, error) {
	if err := cfg.fits(svc.Schema); err != nil {
		return nil, err
	}
	t := &Trial{cfg: &cfg}
	memory := budget.New(int64(cfg.MemoryBudget), nil)
	parts, err := cfg.filling(svc.Schema, "", memory, nil)
	if err != nil {
		return nil, err
	}
	if svc.Table != nil {
		opened, err := opener(parts.Data, svc.Schema)(svc.Table)
		if err != nil {
			return nil, fmt.Errorf("no files can be written for schema %d of the table: %w", svc.Table.Schema, err)
		}
		parts.Table = func() *batch.Table { return opened }
	}
	if t.router, err = cfg.router(); err != nil {
		return nil, err
	}
	t.placer = batch.NewTrial(batch.Config{Stream: cfg.Stream}, parts)
	if svc.SchemaRegistry != nil {
		t.schemas = registry.New(svc.SchemaRegistry, svc.Log, func(string) {})
	}
	if svc.Function != nil {
		t.function = cfg.function(Services{Function: svc.Function, Budget: memory, Log: svc.Log}, func() string { return cfg.StreamARN })
	}
	var first transform.Stage
	if t.function != nil {
		first = t.function
	}
	if t.stage, err = cfg.stage(first); err != nil {
		return nil, err
	}
	return t, t.addSteps()
}

// addSteps makes the decoders.
func (t *Trial) addSteps() error {
	whole := t.cfg.decoderOptions()
	if t.schemas != nil {
		whole.Frames = t.schemas
	}
	var options record.DecoderOptions
	add := func(setting string) error {
		decoder, err := record.NewDecoder(options)
		t.steps = append(t.steps, step{setting, decoder})
		return err
	}
	err := add("")
	if options.Inflate = whole.Inflate; options.Inflate {
		err = errors.Join(err, add("OPEN_GZIP=true"))
	}
	if options.Frames = whole.Frames; options.Frames != nil {
		err = errors.Join(err, add("SCHEMA_REGISTRY="+t.cfg.SchemaRegistry))
	}
	if options.LogEvents = whole.LogEvents; options.LogEvents != record.LogEventsNone {
		err = errors.Join(err, add("SPLIT_LOG_EVENTS="+t.cfg.SplitLogEvents))
	}
	if options.Split = whole.Split; options.Split != record.SplitNone {
		err = errors.Join(err, add("SPLIT_RECORDS="+t.cfg.SplitRecords))
	}
	return err
}

// Opened is what a Kinesis record is after one more setting has been applied to it.
type Opened struct {
	Setting string // such as OPEN_GZIP=true; empty for what the record is without any
	Records []record.Record
}

// Open returns the user records of a Kinesis record, as the last element. With each is true, the elements before it show what the
// settings do one after the other. With KPL_HASH_FILTER, in is the hash key range of the record's shard; nil if it is not known, and then
// nothing is dropped.
func (t *Trial) Open(ctx context.Context, raw record.Record, in *record.HashRange, each bool) (all []Opened, err error) {
	steps := t.steps
	if !each {
		steps = steps[len(steps)-1:]
	}
	for _, s := range steps {
		decoder := s.decoder
		if t.cfg.KPLHashFilter && in != nil {
			decoder = decoder.WithRange(*in)
		}
		records, err := decoder.Append(ctx, nil, raw)
		if err != nil {
			return nil, err
		}
		all = append(all, Opened{s.setting, records})
	}
	return all, nil
}

// Transforms names the settings that transform records; empty for none.
func (t *Trial) Transforms() string {
	var settings []string
	if t.cfg.Transform != "" {
		settings = append(settings, "TRANSFORM")
	}
	if t.cfg.TransformQuery != "" {
		settings = append(settings, "TRANSFORM_QUERY")
	}
	return strings.Join(settings, " and ")
}

// Known reports whether Transform does all that the daemon does: it does not if TRANSFORM names a function that the Trial must not call.
func (t *Trial) Known() bool { return t.cfg.Transform == "" || t.function != nil }

// Transform returns what is to be delivered of records from a shard. It calls the function of TRANSFORM, for as long as that takes: its
// only error is ctx's, see Waiting.
func (t *Trial) Transform(ctx context.Context, shard string, in []record.Record) ([]record.Record, error) {
	if t.stage == nil || len(in) == 0 {
		return in, nil
	}
	out, err := t.stage.Apply(ctx, shard, in)
	return out.Records, err
}

// Waiting returns an error that says what Open or Transform wait for; nil if for nothing.
func (t *Trial) Waiting() error {
	var waits []error
	if t.schemas != nil {
		waits = append(waits, t.schemas.Health())
	}
	if t.function != nil {
		waits = append(waits, t.function.Health())
	}
	return errors.Join(waits...)
}

// Keys returns the partition keys that PREFIX takes from a record; none if it takes none, or the record does not have them.
func (t *Trial) Keys(r *record.Record) []prefix.Key {
	keys, err := t.router.Keys(r)
	if err != nil {
		return nil
	}
	return keys
}

// Place returns where a record is stored.
func (t *Trial) Place(ctx context.Context, r *record.Record) (batch.Placement, error) {
	return t.placer.Place(ctx, r)
}

// Destination names the format and schema that records have to fit.
func (t *Trial) Destination() string {
	to := "FORMAT=" + t.cfg.Format
	if t.cfg.Schema != "" {
		to += " with SCHEMA=" + t.cfg.Schema
	}
	return to
}
