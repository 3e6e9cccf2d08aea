// Package store is the way to DynamoDB. A handler holds a handle on one table, typed as the narrow interfaces of the
// actions that its service declares, so that a call which its role may not make does not compile. Inputs and outputs
// are the SDK's own; refusals by a condition are errors that carry the item which refused.
package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Item is an item or a key as the SDK writes it: values by attribute name.
type Item = map[string]types.AttributeValue

// DB lists the calls of DynamoDB that this backend makes. *dynamodb.Client and mem.DB satisfy it. Functions receive it
// only to bind tables; handlers receive the interfaces below.
type DB interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
	BatchWriteItem(context.Context, *dynamodb.BatchWriteItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error)
	Transactor
}

// Transactor runs transactions of writes. It has no IAM action of its own: each write is authorized as the item action
// that it is (DynamoDB guide, "IAM and DynamoDB transactions").
type Transactor interface {
	TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput, ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error)
}

var _ DB = (*dynamodb.Client)(nil)

// The narrow interfaces, one for each IAM action on one table. The handle sets the table's name in every input; a name
// in the input is overwritten. A refusal by a condition satisfies errors.Is(err, ErrConditionFailed) and is a
// *ConditionFailedError. storetest.Access tells which actions an interface holds.
type (
	// Getter may read one item (dynamodb:GetItem).
	Getter interface {
		GetItem(context.Context, *dynamodb.GetItemInput) (*dynamodb.GetItemOutput, error)
	}
	// Putter may write a whole item (dynamodb:PutItem), alone or in a transaction.
	Putter interface {
		PutItem(context.Context, *dynamodb.PutItemInput) (*dynamodb.PutItemOutput, error)
		PutWrite(types.Put) Write
	}
	// Updater may change an item, or create it by changing it (dynamodb:UpdateItem), alone or in a transaction.
	Updater interface {
		UpdateItem(context.Context, *dynamodb.UpdateItemInput) (*dynamodb.UpdateItemOutput, error)
		UpdateWrite(types.Update) Write
	}
	// Deleter may delete an item (dynamodb:DeleteItem), alone or in a transaction.
	Deleter interface {
		DeleteItem(context.Context, *dynamodb.DeleteItemInput) (*dynamodb.DeleteItemOutput, error)
		DeleteWrite(types.Delete) Write
	}
	// ConditionChecker may make a transaction depend on an item (dynamodb:ConditionCheckItem).
	ConditionChecker interface {
		CheckWrite(types.ConditionCheck) Write
	}
	// Querier may query the table itself (dynamodb:Query on the table).
	Querier interface {
		Query(context.Context, *dynamodb.QueryInput) (*dynamodb.QueryOutput, error)
	}
	// IndexQuerier may query an index of the table (dynamodb:Query on the index).
	IndexQuerier interface {
		QueryIndex(ctx context.Context, index string, in *dynamodb.QueryInput) (*dynamodb.QueryOutput, error)
	}
	// BatchGetter may read many items by key (dynamodb:BatchGetItem).
	BatchGetter interface {
		BatchGetItem(context.Context, types.KeysAndAttributes) ([]Item, error)
	}
	// BatchWriter may put and delete many items by key (dynamodb:BatchWriteItem), without conditions.
	BatchWriter interface {
		BatchWriteItem(context.Context, Batch) error
	}
)

// Table is a handle on one table. It satisfies every narrow interface; hand it on as the ones that are declared.
// It is safe for concurrent use. The zero value is not usable.
type Table struct {
	db    DB
	name  string
	opts  []func(*dynamodb.Options)
	pause func(ctx context.Context, round int) error
}

var _ interface {
	Getter
	Putter
	Updater
	Deleter
	ConditionChecker
	Querier
	IndexQuerier
	BatchGetter
	BatchWriter
} = Table{}

// NewTable binds the table of that physical name.
func NewTable(db DB, name string) Table {
	return Table{db: db, name: name, pause: pauseBetweenRounds}
}

// Name is the physical name of the table.
func (t Table) Name() string { return t.name }

// With is the same table with options added to each of its calls, Once for instance.
func (t Table) With(opts ...func(*dynamodb.Options)) Table {
	t.opts = append(append([]func(*dynamodb.Options){}, t.opts...), opts...)
	return t
}

// WithPause is the same table with another wait before round 1, 2, … of a batch that DynamoDB answered in part. Parts of
// a batch wait at the same time.
func (t Table) WithPause(pause func(ctx context.Context, round int) error) Table {
	t.pause = pause
	return t
}

// GetItem reads one item; Item of the output is nil when there is none.
func (t Table) GetItem(ctx context.Context, in *dynamodb.GetItemInput) (*dynamodb.GetItemOutput, error) {
	call := *in
	call.TableName = &t.name
	out, err := t.db.GetItem(ctx, &call, t.opts...)
	return out, t.explain("GetItem", err)
}

// PutItem writes an item in place of the one with its key. A refusal carries the old item unless the input says otherwise.
func (t Table) PutItem(ctx context.Context, in *dynamodb.PutItemInput) (*dynamodb.PutItemOutput, error) {
	call := *in
	call.TableName = &t.name
	call.ReturnValuesOnConditionCheckFailure = oldUnlessSet(call.ReturnValuesOnConditionCheckFailure, call.ConditionExpression)
	out, err := t.db.PutItem(ctx, &call, t.opts...)
	return out, t.explain("PutItem", err)
}

// UpdateItem changes an item. A refusal carries the old item unless the input says otherwise.
func (t Table) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput) (*dynamodb.UpdateItemOutput, error) {
	call := *in
	call.TableName = &t.name
	call.ReturnValuesOnConditionCheckFailure = oldUnlessSet(call.ReturnValuesOnConditionCheckFailure, call.ConditionExpression)
	out, err := t.db.UpdateItem(ctx, &call, t.opts...)
	return out, t.explain("UpdateItem", err)
}

// DeleteItem deletes an item; deleting a missing one is fine unless a condition says otherwise.
func (t Table) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput) (*dynamodb.DeleteItemOutput, error) {
	call := *in
	call.TableName = &t.name
	call.ReturnValuesOnConditionCheckFailure = oldUnlessSet(call.ReturnValuesOnConditionCheckFailure, call.ConditionExpression)
	out, err := t.db.DeleteItem(ctx, &call, t.opts...)
	return out, t.explain("DeleteItem", err)
}

// errIndex is returned by Query when the input names an index.
var errIndex = errors.New("an index is queried by QueryIndex, which is granted apart")

// Query reads one page of the table. An input that names an index is refused: that is another permission.
func (t Table) Query(ctx context.Context, in *dynamodb.QueryInput) (*dynamodb.QueryOutput, error) {
	if in.IndexName != nil {
		return nil, t.explain("Query", errIndex)
	}
	return t.query(ctx, *in)
}

// QueryIndex reads one page of the named index.
func (t Table) QueryIndex(ctx context.Context, index string, in *dynamodb.QueryInput) (*dynamodb.QueryOutput, error) {
	call := *in
	call.IndexName = &index
	return t.query(ctx, call)
}

func (t Table) query(ctx context.Context, call dynamodb.QueryInput) (*dynamodb.QueryOutput, error) {
	call.TableName = &t.name
	out, err := t.db.Query(ctx, &call, t.opts...)
	return out, t.explain("Query", err)
}

// explain names the call in an error and makes a refusal by a condition a *ConditionFailedError.
func (t Table) explain(action string, err error) error {
	if err == nil {
		return nil
	}
	var refused *types.ConditionalCheckFailedException
	if errors.As(err, &refused) {
		return fmt.Errorf("store: %s on %s: %w", action, t.name, &ConditionFailedError{Old: refused.Item})
	}
	return fmt.Errorf("store: %s on %s: %w", action, t.name, err)
}

// oldUnlessSet asks for the old item with a refusal: it costs no read units (API reference, PutItem).
func oldUnlessSet(set types.ReturnValuesOnConditionCheckFailure, condition *string) types.ReturnValuesOnConditionCheckFailure {
	if set == "" && condition != nil {
		return types.ReturnValuesOnConditionCheckFailureAllOld
	}
	return set
}
