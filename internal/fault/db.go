package fault

import (
	"context"
	"maps"
	"slices"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
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

// call makes one call, or fails it.
func call[In, Out any](ctx context.Context, db *DB, operation string, do func(context.Context, *In, ...func(*dynamodb.Options)) (*Out, error), in *In, opts []func(*dynamodb.Options)) (*Out, error) {
	return planned(ctx, db.counter.next(operation), operation, do, in, opts)
}

// planned is a call that goes as planned. Truncated is Lost: the SDK cannot read half an answer.
func planned[In, Out any](ctx context.Context, f Fault, operation string, do func(context.Context, *In, ...func(*dynamodb.Options)) (*Out, error), in *In, opts []func(*dynamodb.Options)) (*Out, error) {
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

// BatchGetItem is next's, or fails, or answers in part.
func (db *DB) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	f := db.counter.next("BatchGetItem")
	part, left := *in, map[string]types.KeysAndAttributes{}
	part.RequestItems = maps.Clone(in.RequestItems)
	count := 0
	for _, asked := range in.RequestItems {
		count += len(asked.Keys)
	}
	for range min(f.Unprocessed, count-1) {
		name := lastTable(part.RequestItems)
		asked, leave := part.RequestItems[name], part.RequestItems[name]
		end := len(asked.Keys) - 1
		asked.Keys, leave.Keys = asked.Keys[:end], append(left[name].Keys, asked.Keys[end])
		left[name] = leave
		if part.RequestItems[name] = asked; end == 0 {
			delete(part.RequestItems, name)
		}
	}
	out, err := planned(ctx, f, "BatchGetItem", db.next.BatchGetItem, &part, opts)
	if err != nil || len(left) == 0 {
		return out, err
	}
	for name, more := range out.UnprocessedKeys {
		more.Keys = append(more.Keys, left[name].Keys...)
		left[name] = more
	}
	out.UnprocessedKeys = left
	return out, nil
}

// BatchWriteItem is next's, or fails, or is done in part.
func (db *DB) BatchWriteItem(ctx context.Context, in *dynamodb.BatchWriteItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	f := db.counter.next("BatchWriteItem")
	part, left := *in, map[string][]types.WriteRequest{}
	part.RequestItems = maps.Clone(in.RequestItems)
	count := 0
	for _, requests := range in.RequestItems {
		count += len(requests)
	}
	for range min(f.Unprocessed, count-1) {
		name := lastTable(part.RequestItems)
		requests := part.RequestItems[name]
		end := len(requests) - 1
		left[name] = append(left[name], requests[end])
		if part.RequestItems[name] = requests[:end]; end == 0 {
			delete(part.RequestItems, name)
		}
	}
	out, err := planned(ctx, f, "BatchWriteItem", db.next.BatchWriteItem, &part, opts)
	if err != nil || len(left) == 0 {
		return out, err
	}
	for name, more := range out.UnprocessedItems {
		left[name] = append(left[name], more...)
	}
	out.UnprocessedItems = left
	return out, nil
}

// lastTable is the name that comes last.
func lastTable[T any](requests map[string]T) string {
	return slices.Max(slices.Collect(maps.Keys(requests)))
}

// TransactWriteItems is next's, or fails.
func (db *DB) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, opts ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	return call(ctx, db, "TransactWriteItems", db.next.TransactWriteItems, in, opts)
}
