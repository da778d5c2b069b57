package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/apache/iceberg-go/catalog"
	"github.com/spf13/cobra"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/record/table"
)

func rebindCommand() *cobra.Command {
	var name string
	var yes bool
	cmd := &cobra.Command{
		Use: "rebind", Short: "accept a table that was dropped and created again under the same name",
		Long: `Accepts that the table is another one than before, because it was dropped and created again under the same name. The loader
describes the new table to the workers. Batches whose files were written for an old Iceberg table are not loaded: they wait
until "consumer checkpoint skip" lets each go. Those that wait for a table in PostgreSQL are loaded.`,
		Example: "loader rebind\nloader rebind --table glue://lake/trips --yes",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return rebindTable(cmd.Context(), name, command.Asker(cmd, yes), cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&name, "table", "", tableUsage)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask for confirmation")
	return cmd
}

func rebindTable(ctx context.Context, name string, ask io.Reader, out io.Writer) error {
	return withSite(ctx, func(s *site) error {
		uri, err := s.chooseOne(name)
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
		return s.rebind(ctx, uri, ask, out)
	})
}

// rebind makes the store forget the table's definition.
func (s *site) rebind(ctx context.Context, uri table.URI, ask io.Reader, out io.Writer) error {
	item, err := s.item(ctx, uri.String())
	if err != nil {
		return err
	}
	if len(item.Definition) == 0 {
		_, err := fmt.Fprintln(out, "no loader has described a table yet: there is nothing to rebind")
		return err
	}
	if err := confirm(ask, out); err != nil {
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
