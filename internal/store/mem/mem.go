// Package mem is DynamoDB in memory, at the level of the SDK's calls: expressions, indexes, paging, transactions and the
// errors of the service, for tests that run in microseconds. It is stricter than DynamoDB in two ways: reads of indexes
// are never stale, and parameters that this backend does not use are refused rather than ignored. A view of it (As) may
// do only what it was granted, as a function's role may.
package mem

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/expenzez/aws-backend/internal/store"
)

// DB holds tables. It is safe for concurrent use, and every call takes effect at one moment.
type DB struct {
	mu     sync.Mutex
	tables map[string]*table
	now    func() time.Time
	tokens map[string]spent // of transactions that were done
}

var _ store.DB = (*DB)(nil)

// New makes empty tables. It panics when two have one name or one has no key: that is a mistake of the program.
func New(schemas ...Schema) *DB {
	db := &DB{tables: map[string]*table{}, tokens: map[string]spent{}, now: time.Now}
	for _, s := range schemas {
		if s.Name == "" || s.Hash == "" || db.tables[s.Name] != nil {
			panic(fmt.Sprintf("mem: table %q needs a name of its own and a hash key", s.Name))
		}
		db.tables[s.Name] = &table{Schema: s, items: map[string]item{}}
	}
	return db
}

// WithClock sets the clock by which a transaction's token is forgotten, 10 minutes after its use. It is called before
// the first use of db and returns db; without it the clock is the system's.
func (db *DB) WithClock(now func() time.Time) *DB {
	db.now = now
	return db
}

// Items are copies of all items of a table in the order of their keys. A table that does not exist has none.
func (db *DB) Items(name string) []store.Item {
	db.mu.Lock()
	defer db.mu.Unlock()
	t := db.tables[name]
	if t == nil {
		return nil
	}
	all := make([]store.Item, 0, len(t.items))
	for _, it := range slices.SortedFunc(maps.Values(t.items), t.compareKeys) {
		all = append(all, cloneItem(it))
	}
	return all
}

// GetItem is dynamodb:GetItem.
func (db *DB) GetItem(ctx context.Context, in *dynamodb.GetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	out, err := call(ctx, db, func() (*dynamodb.GetItemOutput, error) { return db.getItem(in) })
	return out, named("GetItem", err)
}

func (db *DB) getItem(in *dynamodb.GetItemInput) (*dynamodb.GetItemOutput, error) {
	if in.AttributesToGet != nil {
		return nil, unsupported("AttributesToGet")
	}
	if err := noMetrics(in.ReturnConsumedCapacity, ""); err != nil {
		return nil, err
	}
	t, err := db.table(in.TableName)
	if err != nil {
		return nil, err
	}
	key, err := t.acceptedKey(in.Key)
	if err != nil {
		return nil, err
	}
	paths, err := projectionOf(in.ProjectionExpression, in.ExpressionAttributeNames)
	if err != nil {
		return nil, err
	}
	return &dynamodb.GetItemOutput{Item: project(t.items[t.id(key)], paths)}, nil
}

// PutItem is dynamodb:PutItem.
func (db *DB) PutItem(ctx context.Context, in *dynamodb.PutItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	out, err := call(ctx, db, func() (*dynamodb.PutItemOutput, error) { return db.putItem(in) })
	return out, named("PutItem", err)
}

func (db *DB) putItem(in *dynamodb.PutItemInput) (*dynamodb.PutItemOutput, error) {
	if in.Expected != nil || in.ConditionalOperator != "" {
		return nil, unsupported("Expected")
	}
	if err := noMetrics(in.ReturnConsumedCapacity, in.ReturnItemCollectionMetrics); err != nil {
		return nil, err
	}
	if err := oneOf(in.ReturnValues, types.ReturnValueAllOld); err != nil {
		return nil, err
	}
	w, err := db.put(&types.Put{TableName: in.TableName, Item: in.Item, ConditionExpression: in.ConditionExpression,
		ExpressionAttributeNames: in.ExpressionAttributeNames, ExpressionAttributeValues: in.ExpressionAttributeValues,
		ReturnValuesOnConditionCheckFailure: in.ReturnValuesOnConditionCheckFailure})
	if err != nil {
		return nil, err
	}
	old, _, err := w.run()
	if err != nil || in.ReturnValues != types.ReturnValueAllOld {
		return &dynamodb.PutItemOutput{}, err
	}
	return &dynamodb.PutItemOutput{Attributes: cloneItem(old)}, nil
}

// UpdateItem is dynamodb:UpdateItem.
func (db *DB) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	out, err := call(ctx, db, func() (*dynamodb.UpdateItemOutput, error) { return db.updateItem(in) })
	return out, named("UpdateItem", err)
}

func (db *DB) updateItem(in *dynamodb.UpdateItemInput) (*dynamodb.UpdateItemOutput, error) {
	if in.Expected != nil || in.ConditionalOperator != "" || in.AttributeUpdates != nil {
		return nil, unsupported("Expected or AttributeUpdates")
	}
	if err := noMetrics(in.ReturnConsumedCapacity, in.ReturnItemCollectionMetrics); err != nil {
		return nil, err
	}
	if err := oneOf(in.ReturnValues, types.ReturnValueAllOld, types.ReturnValueAllNew, types.ReturnValueUpdatedOld, types.ReturnValueUpdatedNew); err != nil {
		return nil, err
	}
	w, err := db.update(&types.Update{TableName: in.TableName, Key: in.Key, UpdateExpression: in.UpdateExpression, ConditionExpression: in.ConditionExpression,
		ExpressionAttributeNames: in.ExpressionAttributeNames, ExpressionAttributeValues: in.ExpressionAttributeValues,
		ReturnValuesOnConditionCheckFailure: in.ReturnValuesOnConditionCheckFailure})
	if err != nil {
		return nil, err
	}
	old, updated, err := w.run()
	if err != nil {
		return nil, err
	}
	return &dynamodb.UpdateItemOutput{Attributes: returned(in.ReturnValues, w.change, old, updated)}, nil
}

// returned are the attributes that an update answers with. A view of what was updated is absent when it is empty.
func returned(which types.ReturnValue, u *update, old, updated item) item {
	switch which {
	case types.ReturnValueAllOld:
		return cloneItem(old)
	case types.ReturnValueAllNew:
		return cloneItem(updated)
	case types.ReturnValueUpdatedOld:
		return pickItem(old, u.paths())
	case types.ReturnValueUpdatedNew:
		return pickItem(updated, u.paths())
	}
	return nil
}

// DeleteItem is dynamodb:DeleteItem.
func (db *DB) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	out, err := call(ctx, db, func() (*dynamodb.DeleteItemOutput, error) { return db.deleteItem(in) })
	return out, named("DeleteItem", err)
}

func (db *DB) deleteItem(in *dynamodb.DeleteItemInput) (*dynamodb.DeleteItemOutput, error) {
	if in.Expected != nil || in.ConditionalOperator != "" {
		return nil, unsupported("Expected")
	}
	if err := noMetrics(in.ReturnConsumedCapacity, in.ReturnItemCollectionMetrics); err != nil {
		return nil, err
	}
	if err := oneOf(in.ReturnValues, types.ReturnValueAllOld); err != nil {
		return nil, err
	}
	w, err := db.delete(&types.Delete{TableName: in.TableName, Key: in.Key, ConditionExpression: in.ConditionExpression,
		ExpressionAttributeNames: in.ExpressionAttributeNames, ExpressionAttributeValues: in.ExpressionAttributeValues,
		ReturnValuesOnConditionCheckFailure: in.ReturnValuesOnConditionCheckFailure})
	if err != nil {
		return nil, err
	}
	old, _, err := w.run()
	if err != nil || in.ReturnValues != types.ReturnValueAllOld {
		return &dynamodb.DeleteItemOutput{}, err
	}
	return &dynamodb.DeleteItemOutput{Attributes: cloneItem(old)}, nil
}

// table finds a table by name; ARNs are not names here.
func (db *DB) table(name *string) (*table, error) {
	if name == nil || *name == "" {
		return nil, invalid("Value null at 'tableName' failed to satisfy constraint: Member must not be null")
	}
	t, ok := db.tables[*name]
	if !ok {
		return nil, notFound()
	}
	return t, nil
}

// call does work at one moment, unless the caller has already given up.
func call[T any](ctx context.Context, db *DB, work func() (*T, error)) (*T, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	out, err := work()
	if err != nil {
		return nil, err
	}
	return out, nil
}

// named wraps an error as the SDK's client does: who asserts on its bare type finds out here.
func named(operation string, err error) error {
	if err == nil {
		return nil
	}
	return &smithy.OperationError{ServiceID: dynamodb.ServiceID, OperationName: operation, Err: err}
}

func noMetrics(capacity types.ReturnConsumedCapacity, collections types.ReturnItemCollectionMetrics) error {
	if capacity != "" && capacity != types.ReturnConsumedCapacityNone {
		return unsupported("ReturnConsumedCapacity")
	}
	if collections != "" && collections != types.ReturnItemCollectionMetricsNone {
		return unsupported("ReturnItemCollectionMetrics")
	}
	return nil
}

func oneOf(got types.ReturnValue, allowed ...types.ReturnValue) error {
	if got != "" && got != types.ReturnValueNone && !slices.Contains(allowed, got) {
		return invalid("Return values set to invalid value")
	}
	return nil
}
