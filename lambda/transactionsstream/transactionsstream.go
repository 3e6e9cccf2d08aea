// Package transactionsstream keeps monthly summaries, and tells of budgets that are used up, from the stream of the table
// transactions.
//
// Summaries are exact: once every record was handled, each is the sum of the transactions that there are, however often
// and in whatever grouping records came. The argument. A record says what an item was and is, so that it has one
// difference to make, whatever the summaries are; differences are added, and additions have no order. So all that matters
// is that each record is added once. It is added in one transaction of the store together with a mark of its ID, which is
// the same whenever the record comes again and no other's (DynamoDB Streams API reference, Record, eventID), on the
// condition that there is no such mark. At least once comes from the event source, which brings a record until it is not
// named as failed; at most once from the mark, as long as that is there whenever the record can still come. A stream
// keeps a record for 24 hours (DynamoDB guide, "Change data capture for DynamoDB Streams") and an invocation ends within 15
// minutes; marks expire 48 hours after they were made, TTL deletes late and never early, and the difference is what clocks
// may be wrong by. A version in each item's place instead of marks would be an item more for each transaction for good,
// and could not tell a transaction that was deleted and imported again under its identifier from its own past.
//
// Between people, and between a person's transactions, records may come in any order. Those of one transaction keep theirs
// (package stream), so that a transaction leaves no summary that does not count it yet.
//
// What it costs: for a transaction that is new, changed in its amount, deleted: a mark and one summary, or two where
// month, currency or category changed; for a new description nothing. UNITS.md has the numbers.
// Marks name no person and expire; everything else is under the person's own key. A summary that all transactions have
// left is deleted, so that nothing remains of a person whose transactions were all deleted, also when the summaries were
// erased before the last records came: what leaves a summary that is not there changes nothing.
//
// Budgets: when a transaction adds to what was spent in the running month or a later one, and that has reached 80 % or
// 100 % of the budget's limit, an Event is sent, one for each budget, month and threshold: a mark remembers it. It is sent
// before the mark is made, so that it is sent at least once; an Event that is sent again has the same ID, by which its
// consumer must recognize it. What was told stays told when the limit is changed; a budget that was deleted and set again
// is another one. What a budget reaches by being set or changed is told with the next transaction that adds to it. A
// transaction in a month that is over tells nothing, and neither does what was reached only until a later record.
//
// What is not promised: records that come neither in time nor by hand within 24 hours are lost, and the event source's
// queue of failures tells which; summaries are as of the last record that was handled.
package transactionsstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/stream"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

// Tables are the tables of the function, each as the actions that are declared for it.
type Tables struct {
	MonthlySummaries interface {
		store.Getter
		store.Putter
		store.Updater
		store.Deleter
	}
	Budgets store.Getter
}

// Bind binds the tables under the names that the function was told.
func Bind(db store.DB, v environ.Values) Tables {
	return Tables{MonthlySummaries: store.NewTable(db, v.Table("monthly-summaries")), Budgets: store.NewTable(db, v.Table("budgets"))}
}

// Sender hands an event on, at least once: an error means that it may not have arrived, and the record comes again.
// A *queue.Sender[Event] is one.
type Sender interface {
	Send(context.Context, Event) error
}

// Deps are what the function works with. All but Sender and Now are needed.
type Deps struct {
	Tables Tables
	Tx     store.Transactor
	Sender Sender // nil, where nobody consumes events: budgets are not watched, and nothing is marked as told
	Log    *slog.Logger
	Now    func() time.Time // nil: time.Now
}

// New makes the function's handler.
func New(d Deps) (lambda.Handler, error) {
	if d.Tables.MonthlySummaries == nil || d.Tables.Budgets == nil || d.Tx == nil || d.Log == nil {
		return nil, errors.New("transactionsstream: something that is needed is missing")
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	return &function{d}, nil
}

type function struct{ d Deps }

// Invoke handles a batch of changes and answers with those that failed.
func (f *function) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var event events.DynamoDBEvent
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, errors.New("transactionsstream: the event is not one of a stream")
	}
	return json.Marshal(stream.Handle(telemetry.Into(ctx, f.d.Log), event, f.handle))
}

// handle makes the difference of a record. Other items of the table than transactions are none of its business.
func (f *function) handle(ctx context.Context, r stream.Record) error {
	keys := store.Read(r.Keys)
	user, ok := strings.CutPrefix(keys.S("pk"), "USER#")
	if _, isTransaction := transactionID(keys.S("sk")); keys.Err() != nil || !ok || !isTransaction {
		return keys.Err()
	}
	changes, err := changesOf(r)
	if err != nil || len(changes) == 0 {
		return err
	}
	if err := f.add(ctx, r.ID, user, changes); err != nil {
		return fmt.Errorf("transactionsstream: %w", err)
	}
	for _, c := range changes {
		if c.count < 0 {
			err = f.tidy(ctx, user, c.Slot)
		} else if c.spent > 0 && f.d.Sender != nil {
			err = f.watch(ctx, user, c.Slot)
		}
		if err != nil {
			return fmt.Errorf("transactionsstream: %w", err)
		}
	}
	return nil
}
