package transactionsstream

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/stream"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/lambda/transactions/ledger"
)

// seenFor is how long a record's mark is kept: the 24 hours of a stream, and as much again.
const seenFor = 48 * time.Hour

var transactionID = ledger.TransactionID

// change is the difference that a record makes to one summary.
type change struct {
	ledger.Slot
	count, spent, received int64
}

// changesOf are the differences of a record: of the slot that its transaction leaves, and of that which it comes to; one
// where both are the same, none where nothing changes that counts.
func changesOf(r stream.Record) ([]change, error) {
	var all []change
	add := func(item store.Item, sign int64) error {
		if item == nil {
			return nil
		}
		e, err := ledger.EntryOf(item)
		if err != nil {
			return err
		}
		c := change{e.Slot, sign, sign * ledger.Spent(e.Minor), sign * ledger.Received(e.Minor)}
		if len(all) > 0 && all[0].Slot == c.Slot {
			c.count, c.spent, c.received = c.count+all[0].count, c.spent+all[0].spent, c.received+all[0].received
			all = nil
		}
		if c.count != 0 || c.spent != 0 || c.received != 0 {
			all = append(all, c)
		}
		return nil
	}
	if r.Old == nil && r.New == nil {
		return nil, errors.New("the stream does not tell what an item was and is")
	}
	if err := add(r.Old, -1); err != nil {
		return nil, err
	}
	return all, add(r.New, 1)
}

// add adds what a record changes, once. What leaves a summary that is not there was erased with it: it is left out.
func (f *function) add(ctx context.Context, id, user string, changes []change) error {
	left := changes
	for range len(changes) + 1 {
		writes := []store.Write{f.seen(id)}
		for _, c := range left {
			writes = append(writes, f.sum(user, c))
		}
		err := store.Transact(ctx, f.d.Tx, "", writes...)
		var canceled *store.CancelledError
		if !errors.As(err, &canceled) {
			return err
		}
		if _, before := canceled.Refused(0); before {
			return nil
		}
		var there []change
		for i, c := range left {
			if _, erased := canceled.Refused(1 + i); !erased {
				there = append(there, c)
			}
		}
		if len(there) == len(left) {
			return err
		}
		telemetry.From(ctx).WarnContext(ctx, "a summary is not there that a transaction leaves", "id", id)
		left = there
	}
	return errors.New("the summaries come and go")
}

// seen marks a record as added, unless it is. The mark lies under the record's own ID, and tells nothing of anybody.
func (f *function) seen(id string) store.Write {
	return f.d.Tables.MonthlySummaries.PutWrite(types.Put{
		Item:                store.Item{"pk": store.S("SEEN#" + id), "sk": store.S("SEEN"), "ttl": store.N(f.d.Now().Add(seenFor).Unix())},
		ConditionExpression: aws.String("attribute_not_exists(pk)"),
	})
}

// sum adds a change to its summary. A transaction only leaves, or changes within, a summary that counts it.
func (f *function) sum(user string, c change) store.Write {
	update := types.Update{
		Key:                       c.Key(user),
		UpdateExpression:          aws.String("ADD #count :count, spent :spent, received :received"),
		ExpressionAttributeNames:  map[string]string{"#count": "count"},
		ExpressionAttributeValues: store.Item{":count": store.N(c.count), ":spent": store.N(c.spent), ":received": store.N(c.received)},
	}
	if c.count <= 0 {
		update.ConditionExpression = aws.String("#count > :none")
		update.ExpressionAttributeValues[":none"] = store.N(0)
	}
	return f.d.Tables.MonthlySummaries.UpdateWrite(update)
}

// tidy deletes a summary that all transactions have left.
func (f *function) tidy(ctx context.Context, user string, s ledger.Slot) error {
	_, err := f.d.Tables.MonthlySummaries.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		Key:                                 s.Key(user),
		ConditionExpression:                 aws.String("#count = :none"),
		ExpressionAttributeNames:            map[string]string{"#count": "count"},
		ExpressionAttributeValues:           store.Item{":none": store.N(0)},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureNone,
	})
	if errors.Is(err, store.ErrConditionFailed) {
		return nil
	}
	return err
}
