package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/apache/iceberg-go/catalog"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/record/table"
)

const rebindUsage = `rebind [--table URI] [--yes]

Accepts that the table is another one than before, because it was dropped and created again under the same name. The loader
describes the new table to the workers. Batches whose files were written for an old Iceberg table are not loaded: they wait
until "consumer checkpoint skip" lets each go. Those that wait for a table in PostgreSQL are loaded.`

func rebindTable(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("rebind", rebindUsage, out)
	name := f.String("table", "", tableUsage)
	yes := f.Bool("yes", false, "do not ask for confirmation")
	if err := command.Parse(f, args); err != nil {
		return command.UnlessHelp(err)
	}
	return withSite(ctx, func(s *site) error {
		uri, err := s.chooseOne(*name)
		if err != nil {
			return err
		}
		id, err := s.identity(ctx, uri)
		switch {
		case err == nil:
			fmt.Fprintf(out, "table %s now has the UUID %s\n", uri, id)
		case errors.Is(err, errNoTable) && s.cfg.TableCreate:
			fmt.Fprintf(out, "table %s does not exist: the loader will create it\n", uri)
		default:
			return err
		}
		return s.rebind(ctx, uri, *yes, out)
	})
}

// rebind makes the store forget the table's definition.
func (s *site) rebind(ctx context.Context, uri table.URI, yes bool, out io.Writer) error {
	item, err := s.item(ctx, uri.String())
	if err != nil {
		return err
	}
	if len(item.Definition) == 0 {
		_, err := fmt.Fprintln(out, "no loader has described a table yet: there is nothing to rebind")
		return err
	}
	if err := confirm(yes, out); err != nil {
		return err
	}
	item.Definition = nil
	if _, err := s.store.PutTable(ctx, item); err != nil {
		return fmt.Errorf("%w; a loader has written the item meanwhile: try again", err)
	}
	_, err = fmt.Fprintln(out, "the loader describes the new table in its next round")
	return err
}

var errNoTable = errors.New("the table does not exist")

// identity is the UUID of the table of that name now.
func (s *site) identity(ctx context.Context, uri table.URI) (string, error) {
	if !uri.Iceberg() {
		return s.identityInPostgres(ctx, uri)
	}
	to, err := s.openIceberg(ctx, uri)
	if err != nil {
		return "", err
	}
	t, err := to.Now(ctx)
	if errors.Is(err, catalog.ErrNoSuchTable) {
		return "", errNoTable
	}
	if err != nil {
		return "", err
	}
	return t.Metadata().TableUUID().String(), nil
}

func (s *site) identityInPostgres(ctx context.Context, uri table.URI) (string, error) {
	of, err := s.database(ctx, uri, command.Moment{}, command.Moment{})
	if err != nil {
		return "", err
	}
	uuid, exists, err := of.Identity(ctx)
	switch {
	case err != nil:
		return "", err
	case !exists:
		return "", errNoTable
	case uuid == "":
		return "that the loader is about to give it", nil
	}
	return uuid, nil
}
