// Package stream is the loop of functions that are called with batches: of changes in a table, from its stream, and of
// messages in a queue. Each record is handled alone, and the answer names those that failed, so that Lambda brings these
// again and not all (the event source has to ask for it: FunctionResponseTypes, ReportBatchItemFailures).
//
// What has an order keeps it: after a record fails, the later ones of the same item, or of the same group of a FIFO queue,
// are not begun but fail with it. Those of others go on. What was not begun when the time is up fails too.
//
// Every record comes at least once, and more often than it fails: of a stream Lambda goes on from the first failure, and
// brings what came after it again, handled or not. A handler makes its effects once by recording the ID of the record with
// them, in one transaction.
package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

// reserve is what is left of the invocation when no further record is begun, and when the context of one that was ends:
// time to answer.
const reserve = 250 * time.Millisecond

// Change is what happened to an item, in DynamoDB's words.
type Change string

// The changes.
const (
	Insert Change = "INSERT"
	Modify Change = "MODIFY"
	Remove Change = "REMOVE"
)

// Record is one change of one item.
type Record struct {
	ID      string // the same whenever the record comes again, and no other record's
	Change  Change
	Keys    store.Item
	Old     store.Item // before the change; nil if there was none, or the stream does not tell
	New     store.Item // after it; nil if there is none, or the stream does not tell
	Time    time.Time  // about when, in whole seconds
	Expired bool       // removed by DynamoDB itself since its time to live was over
}

// Handler handles one record. Its context ends a little before the invocation does, and it must heed it: a handler that
// does not costs the whole batch, which Lambda then brings again.
type Handler func(context.Context, Record) error

// WithoutExpired leaves out records of items that expired: they count as handled.
func WithoutExpired(handle Handler) Handler {
	return func(ctx context.Context, r Record) error {
		if r.Expired {
			return nil
		}
		return handle(ctx, r)
	}
}

// Handle handles the records of an event in their order and answers with those that failed or were not begun. A record
// whose handler panics has failed, as has one that cannot be read. Failures are logged where telemetry.Into says: nobody
// else is told why.
func Handle(ctx context.Context, event events.DynamoDBEvent, handle Handler) events.DynamoDBEventResponse {
	answer := events.DynamoDBEventResponse{BatchItemFailures: []events.DynamoDBBatchItemFailure{}}
	each(ctx, event.Records, job[events.DynamoDBEventRecord]{
		id:    func(r *events.DynamoDBEventRecord) string { return r.EventID },
		order: func(r *events.DynamoDBEventRecord) string { return r.EventSourceArn + " " + identity(r.Change.Keys) },
		do: func(ctx context.Context, r *events.DynamoDBEventRecord) error {
			read, err := record(r)
			if err != nil {
				return err
			}
			return handle(ctx, read)
		},
		failed: func(r *events.DynamoDBEventRecord) {
			answer.BatchItemFailures = append(answer.BatchItemFailures, events.DynamoDBBatchItemFailure{ItemIdentifier: r.Change.SequenceNumber})
		},
	})
	return answer
}

// HandleQueue handles the messages of an event in their order and answers with those that failed or were not begun. The
// messages of a FIFO queue keep the order of their groups; those of another queue have none, and each stands for itself.
// In all else it is as Handle.
func HandleQueue(ctx context.Context, event events.SQSEvent, handle func(context.Context, events.SQSMessage) error) events.SQSEventResponse {
	answer := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	each(ctx, event.Records, job[events.SQSMessage]{
		id: func(m *events.SQSMessage) string { return m.MessageId },
		order: func(m *events.SQSMessage) string {
			if !strings.HasSuffix(m.EventSourceARN, ".fifo") { // the name of a FIFO queue ends so (SQS guide, "Amazon SQS FIFO queues")
				return ""
			}
			return m.EventSourceARN + " " + m.Attributes["MessageGroupId"]
		},
		do: func(ctx context.Context, m *events.SQSMessage) error { return handle(ctx, *m) },
		failed: func(m *events.SQSMessage) {
			answer.BatchItemFailures = append(answer.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
		},
	})
	return answer
}

// record reads a record.
func record(r *events.DynamoDBEventRecord) (Record, error) {
	read := Record{ID: r.EventID, Change: Change(r.EventName), Time: r.Change.ApproximateCreationDateTime.Time}
	// As Lambda marks them (DynamoDB guide, "DynamoDB Streams and Time to Live").
	read.Expired = read.Change == Remove && r.UserIdentity != nil && r.UserIdentity.Type == "Service" && r.UserIdentity.PrincipalID == "dynamodb.amazonaws.com"
	var problems [3]error
	read.Keys, problems[0] = Item(r.Change.Keys)
	read.Old, problems[1] = Item(r.Change.OldImage)
	read.New, problems[2] = Item(r.Change.NewImage)
	return read, errors.Join(problems[:]...)
}

// identity is equal for equal keys: DynamoDB writes a key's values always alike. A key that cannot be read is nobody's.
func identity(keys map[string]events.DynamoDBAttributeValue) string {
	item, err := Item(keys)
	if err != nil {
		return ""
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(item)) {
		switch v := item[name].(type) {
		case *types.AttributeValueMemberS:
			fmt.Fprintf(&b, "%q%q", name, v.Value)
		case *types.AttributeValueMemberN:
			fmt.Fprintf(&b, "%q%q", name, v.Value)
		case *types.AttributeValueMemberB:
			fmt.Fprintf(&b, "%q%q", name, v.Value)
		}
	}
	return b.String()
}

// job is what is done with each of a batch.
type job[T any] struct {
	id     func(*T) string // for the log
	order  func(*T) string // equal for what must keep its order; empty: nothing to keep
	do     func(context.Context, *T) error
	failed func(*T)
}

// each does a job for all, one after the other.
func each[T any](ctx context.Context, all []T, j job[T]) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-reserve))
		defer cancel()
	}
	log, stopped, waiting := telemetry.From(ctx), map[string]bool{}, 0
	for i := range all {
		one := &all[i]
		order := j.order(one)
		if stopped[order] || ctx.Err() != nil {
			waiting++
			j.failed(one)
			continue
		}
		if stack, err := guarded(func() error { return j.do(ctx, one) }); err != nil {
			attrs := []any{"id", j.id(one), telemetry.FieldError, err}
			if stack != "" {
				attrs = append(attrs, telemetry.FieldStack, stack)
			}
			log.ErrorContext(ctx, "a record failed", attrs...)
			j.failed(one)
			stopped[order] = order != ""
		}
	}
	if waiting > 0 {
		log.WarnContext(ctx, "records were not begun", "count", waiting)
	}
}

// guarded makes a panic an error, and tells where it came from.
func guarded(do func() error) (stack string, err error) {
	defer func() {
		if p := recover(); p != nil {
			stack, err = string(debug.Stack()), fmt.Errorf("panic: %v", p)
		}
	}()
	return "", do()
}
