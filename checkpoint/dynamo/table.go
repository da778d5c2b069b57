package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/internal/logkey"
)

// tableWait bounds the wait for a new table to become active; DynamoDB takes seconds.
const tableWait = 5 * time.Minute

// stockKey is the partition key of tables created by vmware-go-kcl.
const stockKey = "ShardID"

// openTable finds or creates the table, and checks its key.
func (s *Store) openTable(ctx context.Context, create bool) error {
	description, err := s.describe(ctx, *s.table)
	made := false
	if errors.Is(err, checkpoint.ErrNotFound) && create {
		if err = s.createTable(ctx); err == nil {
			made = true
			description, err = s.waitForTable(ctx)
		}
	} else if err == nil && description.TableStatus != types.TableStatusActive && description.TableStatus != types.TableStatusUpdating {
		description, err = s.waitForTable(ctx)
	}
	if err != nil {
		return err
	}
	if made {
		s.protect(ctx)
	}
	return checkKey(description)
}

const describeTable = "describe table"

// describe returns checkpoint.ErrNotFound if there is no such table.
func (s *Store) describe(ctx context.Context, table string) (*types.TableDescription, error) {
	var description *types.TableDescription
	err := s.call(ctx, describeTable, func() error {
		out, err := s.db.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String(table)})
		if err == nil {
			description = out.Table
		}
		return err
	})
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		return nil, fmt.Errorf("no such table: %w", checkpoint.ErrNotFound)
	}
	if err == nil && description == nil { // what answers is not DynamoDB
		err = errors.New("the answer describes no table")
	}
	return description, err
}

// createTable creates the table with on-demand capacity. It is fine if another worker does so first.
func (s *Store) createTable(ctx context.Context) error {
	in := &dynamodb.CreateTableInput{
		TableName:            s.table,
		BillingMode:          types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String(attrKey), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String(attrKey), KeyType: types.KeyTypeHash}},
	}
	err := s.call(ctx, "create table", func() error {
		_, err := s.db.CreateTable(ctx, in)
		return err
	})
	var exists *types.ResourceInUseException
	if errors.As(err, &exists) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	s.log.Info("checkpoint table created", logkey.Table, *s.table)
	return nil
}

func (s *Store) waitForTable(ctx context.Context) (*types.TableDescription, error) {
	waiter := dynamodb.NewTableExistsWaiter(s.db, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Second, 5*time.Second
	})
	out, err := waiter.WaitForOutput(ctx, &dynamodb.DescribeTableInput{TableName: s.table}, tableWait)
	if err != nil {
		return nil, fmt.Errorf("wait until it is active: %w", err)
	}
	return out.Table, nil
}

// protect enables point-in-time recovery. The pipeline works without it, so a refusal is only logged.
func (s *Store) protect(ctx context.Context) {
	err := s.call(ctx, "enable recovery", func() error {
		_, err := s.db.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{
			TableName:                        s.table,
			PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
		})
		return err
	})
	if err != nil {
		s.log.Warn("checkpoint table has no point-in-time recovery", logkey.Table, *s.table, logkey.Error, err)
	}
}

// checkKey refuses tables that cannot be ours.
func checkKey(description *types.TableDescription) error {
	switch key := partitionKey(description); {
	case key == attrKey+":S" && len(description.KeySchema) == 1:
		return nil
	case key == stockKey+":S":
		return fmt.Errorf("%w: it has the key %s, so vmware-go-kcl's own checkpointer made it; "+
			"use a new table and import this one", checkpoint.ErrForeignTable, stockKey)
	default:
		return fmt.Errorf("%w: its key is %s, want only %s:S", checkpoint.ErrForeignTable, key, attrKey)
	}
}

// partitionKey returns the name and the type of the partition key, such as "leaseKey:S".
func partitionKey(description *types.TableDescription) string {
	for _, k := range description.KeySchema {
		if k.KeyType != types.KeyTypeHash {
			continue
		}
		for _, a := range description.AttributeDefinitions {
			if value(a.AttributeName) == value(k.AttributeName) {
				return value(a.AttributeName) + ":" + string(a.AttributeType)
			}
		}
	}
	return ""
}
