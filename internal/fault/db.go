package fault

import (
	"context"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/expenzez/aws-backend/internal/store"
)

// DB is a store on which calls fail by plan, with errors as the AWS SDK gives them when it does not try again.
type DB struct {
	counter
	next store.DB
}

var _ store.DB = (*DB)(nil)

// NewDB fails calls to next; a nil plan fails none.
func NewDB(next store.DB, plan Plan) *DB { return &DB{counter: counter{plan: plan}, next: next} }

// call makes one call, or fails it. Truncated is Lost: the SDK cannot read half an answer.
func call[In, Out any](ctx context.Context, db *DB, operation string, do func(context.Context, *In, ...func(*dynamodb.Options)) (*Out, error), in *In, opts []func(*dynamodb.Options)) (*Out, error) {
	f := db.counter.next(operation)
	failed := func(err error) error {
		return &smithy.OperationError{ServiceID: dynamodb.ServiceID, OperationName: operation, Err: err}
	}
	if err := wait(ctx, f.Delay); err != nil {
		return nil, failed(&smithy.CanceledError{Err: err})
	}
	switch f.Kind {
	case Unsent:
		return nil, failed(&smithyhttp.RequestSendError{Err: syscall.ECONNREFUSED})
	case Throttled:
		return nil, failed(&smithy.GenericAPIError{Code: "ThrottlingException", Message: "a fault was injected", Fault: smithy.FaultClient})
	case Broken:
		return nil, failed(&smithy.GenericAPIError{Code: "InternalServerError", Message: "a fault was injected", Fault: smithy.FaultServer})
	default:
	}
	out, err := do(ctx, in, opts...)
	if f.Kind == Lost || f.Kind == Truncated {
		return nil, failed(&smithyhttp.RequestSendError{Err: syscall.ECONNRESET})
	}
	return out, err
}

// GetItem is next's, or fails.
func (db *DB) GetItem(ctx context.Context, in *dynamodb.GetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	return call(ctx, db, "GetItem", db.next.GetItem, in, opts)
}

// PutItem is next's, or fails.
func (db *DB) PutItem(ctx context.Context, in *dynamodb.PutItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	return call(ctx, db, "PutItem", db.next.PutItem, in, opts)
}

// UpdateItem is next's, or fails.
func (db *DB) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	return call(ctx, db, "UpdateItem", db.next.UpdateItem, in, opts)
}

// DeleteItem is next's, or fails.
func (db *DB) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	return call(ctx, db, "DeleteItem", db.next.DeleteItem, in, opts)
}

// Query is next's, or fails.
func (db *DB) Query(ctx context.Context, in *dynamodb.QueryInput, opts ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	return call(ctx, db, "Query", db.next.Query, in, opts)
}

// BatchGetItem is next's, or fails.
func (db *DB) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	return call(ctx, db, "BatchGetItem", db.next.BatchGetItem, in, opts)
}

// TransactWriteItems is next's, or fails.
func (db *DB) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, opts ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	return call(ctx, db, "TransactWriteItems", db.next.TransactWriteItems, in, opts)
}
