package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"aws-streaming-pipeline/internal/glue"
)

// Glue is the AWS Glue Schema Registry.
type Glue struct{ client *glue.Client }

// NewGlue makes a client with the account's configuration.
func NewGlue(ctx context.Context, account aws.Config) (*Glue, error) {
	client, err := glue.New(ctx, account)
	if err != nil {
		return nil, err
	}
	return &Glue{client}, nil
}

// SchemaVersion is Service's.
func (g *Glue) SchemaVersion(ctx context.Context, id string) (Definition, error) {
	return g.getSchemaVersion(ctx, "version "+id, map[string]any{"SchemaVersionId": id})
}

// Name names a version of a schema.
type Name struct {
	Registry, Schema string
	Version          int // 0 for the latest one
}

// Named returns a schema version by its name, or ErrUnknown if the registry does not have it.
func (g *Glue) Named(ctx context.Context, n Name) (Definition, error) {
	which := map[string]any{"LatestVersion": true}
	if n.Version > 0 {
		which = map[string]any{"VersionNumber": n.Version}
	}
	return g.getSchemaVersion(ctx, "schema "+n.Schema+" of the registry "+n.Registry, map[string]any{
		"SchemaId": map[string]string{"RegistryName": n.Registry, "SchemaName": n.Schema}, "SchemaVersionNumber": which,
	})
}

// getSchemaVersion is GetSchemaVersion of the AWS Glue API.
func (g *Glue) getSchemaVersion(ctx context.Context, what string, request map[string]any) (Definition, error) {
	var answer struct{ SchemaDefinition, DataFormat string }
	if err := g.client.Call(ctx, "GetSchemaVersion", request, &answer); err != nil {
		if e, ok := errors.AsType[smithy.APIError](err); ok && e.ErrorCode() == "EntityNotFoundException" {
			return Definition{}, ErrUnknown
		}
		return Definition{}, fmt.Errorf("AWS Glue, GetSchemaVersion of %s: %w", what, err)
	}
	if answer.DataFormat == "" || answer.SchemaDefinition == "" {
		return Definition{}, fmt.Errorf("AWS Glue, GetSchemaVersion of %s: the answer has no definition", what)
	}
	return Definition{Format: answer.DataFormat, Text: answer.SchemaDefinition}, nil
}
