package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aws-streaming-pipeline/checkpoint"
)

// get reads an item with strong consistency. ErrNotFound means that there is none.
func (s *Store) get(ctx context.Context, operation, key string, attributes ...string) (item, error) {
	in := &dynamodb.GetItemInput{TableName: s.table, Key: item{attrKey: str(key)}, ConsistentRead: aws.Bool(true)}
	if len(attributes) > 0 {
		in.ProjectionExpression, in.ExpressionAttributeNames = projection(attributes...), names(attributes...)
	}
	return s.getItem(ctx, operation, in)
}

// peek is get without strong consistency, at half the price.
func (s *Store) peek(ctx context.Context, operation, key string) (item, error) {
	return s.getItem(ctx, operation, &dynamodb.GetItemInput{TableName: s.table, Key: item{attrKey: str(key)}})
}

func (s *Store) getItem(ctx context.Context, operation string, in *dynamodb.GetItemInput) (item, error) {
	var found item
	err := s.call(ctx, operation, func() error {
		out, err := s.db.GetItem(ctx, in)
		if err == nil {
			found = out.Item
		}
		return err
	})
	if err == nil && len(found) == 0 {
		err = checkpoint.ErrNotFound
	}
	return found, err
}

// put writes an item if its condition holds; without one it replaces what is there.
func (s *Store) put(ctx context.Context, operation string, it item, e expression) error {
	in := &dynamodb.PutItemInput{TableName: s.table, Item: it}
	if len(e.conditions) > 0 {
		in.ConditionExpression = e.condition()
		in.ExpressionAttributeNames, in.ExpressionAttributeValues = e.names, e.values
	}
	return s.call(ctx, operation, func() error {
		_, err := s.db.PutItem(ctx, in)
		return err
	})
}

// update changes an item and returns it as it is after the change.
func (s *Store) update(ctx context.Context, operation, key string, e expression) (item, error) {
	in := &dynamodb.UpdateItemInput{
		TableName: s.table, Key: item{attrKey: str(key)},
		ConditionExpression: e.condition(), UpdateExpression: e.update(),
		ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
		ReturnValues: types.ReturnValueAllNew,
	}
	var after item
	err := s.call(ctx, operation, func() error {
		out, err := s.db.UpdateItem(ctx, in)
		if err == nil {
			after = out.Attributes
		}
		return err
	})
	return after, err
}

// remove deletes an item if its condition holds; without one it deletes whatever is there.
func (s *Store) remove(ctx context.Context, operation, key string, e expression) error {
	in := &dynamodb.DeleteItemInput{TableName: s.table, Key: item{attrKey: str(key)}}
	if len(e.conditions) > 0 {
		in.ConditionExpression = e.condition()
		in.ExpressionAttributeNames, in.ExpressionAttributeValues = e.names, e.values
	}
	return s.call(ctx, operation, func() error {
		_, err := s.db.DeleteItem(ctx, in)
		return err
	})
}
