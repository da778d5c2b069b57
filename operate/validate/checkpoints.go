package validate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/dynamo"
	"aws-streaming-pipeline/consumer"
)

// checkpoints looks at the table, or at the file that takes its place.
func (t *tester) checkpoints() Check {
	if t.cfg.CheckpointFile != "" {
		return Check{Name: checkpointsCheck, After: []string{settingsCheck}, Try: t.tryFile}
	}
	return Check{Name: checkpointsCheck, After: first, Try: t.tryTable}
}

// tryFile does not open the file as a table: a daemon that runs has locked it.
func (t *tester) tryFile(_ context.Context, r *Result) {
	path := t.cfg.CheckpointFile
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		file.Close()
		r.OK("the file %s can be written to", path)
		return
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err = writable(filepath.Dir(path)); err == nil {
			r.OK("the file %s does not exist; the daemon creates it", path)
			return
		}
	}
	r.Fail("CHECKPOINT_FILE", err.Error(), "name a file in a folder that exists and that this user may write to")
}

// writable creates a file in a folder and removes it.
func writable(folder string) error {
	file, err := os.CreateTemp(folder, ".validate-*")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// setting is the one that names the table.
func (t *tester) tableSetting() string {
	if t.cfg.CheckpointTable != "" {
		return "CHECKPOINT_TABLE"
	}
	return "APPLICATION_NAME"
}

func (t *tester) tryTable(ctx context.Context, r *Result) {
	name := t.cfg.Table()
	var destinations []string
	for _, uri := range t.cfg.Tables() {
		destinations = append(destinations, uri.String())
	}
	found := dynamo.Inspect(ctx, dynamo.Config{AWS: t.Account, Table: name}, destinations...)
	for _, refused := range found.Refused {
		t.explain(r, refused.Err, call{what: "use the table " + name, action: refused.Action, setting: t.tableSetting()})
	}
	switch {
	case found.Foreign != nil:
		r.Fail(t.tableSetting(), fmt.Sprintf("table %s: %v", name, found.Foreign), "name a table that does not exist yet, or that of the application")
	case r.Failed():
		return
	case found.Missing && !t.cfg.CheckpointCreate:
		r.Fail("CHECKPOINT_TABLE_CREATE", "the table "+name+" does not exist, and CHECKPOINT_TABLE_CREATE=false", "create the table, with the partition key leaseKey, a string, or set CHECKPOINT_TABLE_CREATE=true")
	case found.Missing:
		r.OK("the table %s does not exist; the daemon creates it, for which it needs dynamodb:CreateTable. That right cannot be tried without creating it", name)
	default:
		r.OK("the table %s can be read and written to", name)
		if found.Unprotected {
			r.Warn(t.tableSetting(), "the table has no point-in-time recovery: if it is lost, so are the positions", "turn it on, aws dynamodb update-continuous-backups")
		}
	}
	if !r.Failed() {
		t.table = &found
	}
}

// tryApplication looks at what stream and table together say.
func (t *tester) tryApplication(_ context.Context, r *Result) {
	name := t.cfg.Application
	known := t.table != nil && t.table.Application != (checkpoint.Application{})
	switch {
	case t.cfg.CheckpointFile != "":
		r.OK("%s; whether it is new is known from CHECKPOINT_FILE once the daemon starts", name)
	case known:
		app := t.table.Application
		err := app.Accept(checkpoint.Application{Identity: checkpoint.Identity{
			Application: name, Stream: t.cfg.Stream, StreamARN: aws.ToString(t.stream.StreamARN), StreamCreated: aws.ToTime(t.stream.StreamCreationTimestamp).UTC().Truncate(time.Second),
		}})
		if err != nil {
			r.Fail(t.tableSetting(), fmt.Sprintf("table %s: %v", t.cfg.Table(), err), "use an APPLICATION_NAME or a CHECKPOINT_TABLE of its own for each stream")
			return
		}
		if app.Importing != "" {
			r.Fail(t.tableSetting(), "the import from the table "+app.Importing+" is not finished", "repeat it, if it is no longer running")
			return
		}
		r.OK("%s goes on at its checkpoints", name)
	default:
		r.OK("%s is new: it starts at %s", name, start(t.cfg.StartPosition))
		if t.cfg.StartPosition.Latest {
			r.Warn("START_POSITION", "the application is new, and LATEST leaves out all records that are in the stream when it starts", "set TRIM_HORIZON to deliver them, too")
		}
	}
	if uri, ok := t.cfg.IcebergTable(); ok && (t.table == nil || len(t.table.Destinations[uri.String()].Definition) == 0) && t.cfg.CheckpointFile == "" {
		r.Warn("TABLE", "no loader has described "+uri.String()+" yet: the daemon reads nothing until one has", "start the loader, and check it with loader validate")
	}
}

func start(p consumer.StartPosition) string {
	switch {
	case p.Latest:
		return "LATEST"
	case !p.Time.IsZero():
		return p.Time.Format(time.RFC3339)
	}
	return "TRIM_HORIZON"
}
