package mem

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/store"
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
		if *size += store.Size(it); *size > maxBatchBytes {
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

// BatchWriteItem is dynamodb:BatchWriteItem. It leaves nothing unprocessed.
func (db *DB) BatchWriteItem(ctx context.Context, in *dynamodb.BatchWriteItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	out, err := call(ctx, db, func() (*dynamodb.BatchWriteItemOutput, error) { return db.batchWrite(in) })
	return out, named("BatchWriteItem", err)
}

func (db *DB) batchWrite(in *dynamodb.BatchWriteItemInput) (*dynamodb.BatchWriteItemOutput, error) {
	if err := noMetrics(in.ReturnConsumedCapacity, in.ReturnItemCollectionMetrics); err != nil {
		return nil, err
	}
	count := 0
	for _, requests := range in.RequestItems {
		count += len(requests)
	}
	if count > maxBatchWrites {
		return nil, invalid("Too many items requested for the BatchWriteItem call")
	}
	if count == 0 {
		return nil, invalid("The batch write request list for a table cannot be null or empty")
	}
	var writes []*write
	for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
		some, err := db.batchWrites(name, in.RequestItems[name])
		if err != nil {
			return nil, err
		}
		writes = append(writes, some...)
	}
	for _, w := range writes {
		w.store(w.put) // nil: deleted
	}
	return &dynamodb.BatchWriteItemOutput{UnprocessedItems: map[string][]types.WriteRequest{}}, nil
}

// batchWrites checks the writes of one table.
func (db *DB) batchWrites(name string, requests []types.WriteRequest) ([]*write, error) {
	if len(requests) == 0 {
		return nil, invalid("The batch write request list for a table cannot be null or empty")
	}
	seen, writes := map[string]bool{}, make([]*write, len(requests))
	for i, r := range requests {
		var err error
		switch {
		case (r.PutRequest == nil) == (r.DeleteRequest == nil):
			return nil, invalid("Supplied WriteRequest must contain exactly one of PutRequest and DeleteRequest")
		case r.PutRequest != nil:
			writes[i], err = db.put(&types.Put{TableName: &name, Item: r.PutRequest.Item})
		default:
			writes[i], err = db.delete(&types.Delete{TableName: &name, Key: r.DeleteRequest.Key})
		}
		if err != nil {
			return nil, err
		}
		id := writes[i].id()
		if seen[id] {
			return nil, invalid("Provided list of item keys contains duplicates")
		}
		seen[id] = true
	}
	return writes, nil
}
