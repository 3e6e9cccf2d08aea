package mem

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// BatchGetItem is dynamodb:BatchGetItem. What would make the answer larger than 16 MB is left over.
func (db *DB) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	out, err := call(ctx, db, func() (*dynamodb.BatchGetItemOutput, error) { return db.batch(in) })
	return out, named("BatchGetItem", err)
}

func (db *DB) batch(in *dynamodb.BatchGetItemInput) (*dynamodb.BatchGetItemOutput, error) {
	if err := noMetrics(in.ReturnConsumedCapacity, ""); err != nil {
		return nil, err
	}
	count := 0
	for _, asked := range in.RequestItems {
		count += len(asked.Keys)
	}
	if count > maxBatchKeys {
		return nil, invalid("Too many items requested for the BatchGetItem call")
	}
	if count == 0 {
		return nil, invalid("The batch get request list for a table cannot be null or empty")
	}
	out := &dynamodb.BatchGetItemOutput{Responses: map[string][]map[string]types.AttributeValue{}, UnprocessedKeys: map[string]types.KeysAndAttributes{}}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
		if err := db.batchOf(name, in.RequestItems[name], out, &size); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// batchOf answers for one table.
func (db *DB) batchOf(name string, asked types.KeysAndAttributes, out *dynamodb.BatchGetItemOutput, size *int) error {
	if asked.AttributesToGet != nil {
		return unsupported("AttributesToGet")
	}
	t, err := db.table(&name)
	if err != nil {
		return err
	}
	paths, err := projectionOf(asked.ProjectionExpression, asked.ExpressionAttributeNames)
	if err != nil {
		return err
	}
	if len(asked.Keys) == 0 {
		return invalid("The batch get request list for a table cannot be null or empty")
	}
	found, seen, left := []map[string]types.AttributeValue{}, map[string]bool{}, asked
	left.Keys = nil
	for _, key := range asked.Keys {
		accepted, err := t.acceptedKey(key)
		if err != nil {
			return err
		}
		id := t.id(accepted)
		if seen[id] {
			return invalid("Provided list of item keys contains duplicates")
		}
		seen[id] = true
		it := t.items[id]
		if it == nil {
			continue
		}
		if *size += sizeOfItem(it); *size > maxBatchBytes {
			left.Keys = append(left.Keys, accepted)
			continue
		}
		found = append(found, project(it, paths))
	}
	out.Responses[name] = found
	if left.Keys != nil {
		out.UnprocessedKeys[name] = left
	}
	return nil
}
