package postgres

import (
	"context"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/layout"
)

// Site is where a table is used: the settings, which must be valid, and what they name.
type Site struct {
	consumer.Config
	URI     table.URI
	Schema  *schema.Schema // SCHEMA; nil without one
	Account aws.Config
	Bucket  *s3.Client
	Log     *slog.Logger
}

// Connector opens connections to the table's database.
func (s Site) Connector() (*Connector, error) {
	return NewConnector(Reach{PostgresConfig: s.PostgresConfig, Application: s.Application, Table: s.URI, Account: s.Account, Log: s.Log})
}

// Open returns the table of the settings. It makes no calls to the database. Its errors name a wrong setting.
func Open(s Site) (*Table, error) {
	connector, err := s.Connector()
	if err != nil {
		return nil, err
	}
	sink, err := consumer.OpenSink(s.Config, s.Bucket, s.Log)
	if err != nil {
		return nil, err
	}
	prefixes, zone, err := s.ErrorPrefixes()
	if err != nil {
		return nil, err
	}
	return New(Options{
		Application: s.Application, URI: s.URI, Schema: s.Schema, Create: s.TableCreate, Evolve: s.TableEvolve,
		Unique: s.PostgresUnique, Key: s.KeyColumns(), Daily: s.PostgresPartition == "day", Failover: s.PostgresFailover,
		Connect: connector.Connect, Bucket: s.Bucket,
		Refused: RefusedFiles{Stream: s.Stream, Zone: zone, Prefix: prefixes, Put: func(ctx context.Context, key string, content []byte) error {
			file, _ := layout.ParseFile(key) // it is one
			spec := writers.ObjectSpec{Key: key, ContentType: "application/gzip", Metadata: map[string]string{writers.MetadataBatchID: file.Batch}}
			return sink.Put(ctx, spec, content)
		}},
	})
}
