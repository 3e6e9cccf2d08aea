package mem

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/store"
)

// tokenLife is how long a token makes a repeated transaction do nothing (API reference, TransactWriteItems).
const tokenLife = 10 * time.Minute

// spent is a token's transaction.
type spent struct {
	at     time.Time
	writes string
}

// TransactWriteItems does all writes or none.
func (db *DB) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, _ ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	out, err := call(ctx, db, func() (*dynamodb.TransactWriteItemsOutput, error) { return db.transact(in) })
	return out, named("TransactWriteItems", err)
}

func (db *DB) transact(in *dynamodb.TransactWriteItemsInput) (*dynamodb.TransactWriteItemsOutput, error) {
	if err := noMetrics(in.ReturnConsumedCapacity, in.ReturnItemCollectionMetrics); err != nil {
		return nil, err
	}
	writes, err := db.prepare(in.TransactItems)
	if err != nil {
		return nil, err
	}
	token, done, err := db.spent(in)
	if err != nil || done {
		return &dynamodb.TransactWriteItemsOutput{}, err
	}
	items, err := outcome(writes)
	if err != nil {
		return nil, err
	}
	for i, w := range writes {
		w.store(items[i])
	}
	if in.ClientRequestToken != nil {
		db.tokens[*in.ClientRequestToken] = token
	}
	return &dynamodb.TransactWriteItemsOutput{}, nil
}

// prepare checks what can be checked without the stored items.
func (db *DB) prepare(all []types.TransactWriteItem) ([]*write, error) {
	if len(all) == 0 || len(all) > maxWrites {
		return nil, invalid("Member must have length less than or equal to %d and greater than or equal to 1: transactItems has %d", maxWrites, len(all))
	}
	writes, seen, size := make([]*write, len(all)), map[string]bool{}, 0
	for i, one := range all {
		w, err := db.write(one)
		if err != nil {
			return nil, err
		}
		id := w.table.Name + " " + w.id()
		if seen[id] {
			return nil, invalid("Transaction request cannot include multiple operations on one item")
		}
		seen[id] = true
		size += store.Size(w.put)
		writes[i] = w
	}
	if size > maxWriteBytes {
		return nil, invalid("Transaction size cannot exceed 4 MB")
	}
	return writes, nil
}

func (db *DB) write(one types.TransactWriteItem) (*write, error) {
	count := 0
	for _, set := range []bool{one.Put != nil, one.Update != nil, one.Delete != nil, one.ConditionCheck != nil} {
		if set {
			count++
		}
	}
	switch {
	case count != 1:
		return nil, invalid("TransactItems can only contain one of Check, Put, Update or Delete")
	case one.Put != nil:
		return db.put(one.Put)
	case one.Update != nil:
		if one.Update.UpdateExpression == nil {
			return nil, invalid("Value null at 'updateExpression' failed to satisfy constraint: Member must not be null")
		}
		return db.update(one.Update)
	case one.Delete != nil:
		return db.delete(one.Delete)
	}
	return db.check(one.ConditionCheck)
}

// outcome is what each write makes of the item that it meets, or the cancellation with a reason for each.
func outcome(writes []*write) ([]item, error) {
	items, reasons, codes := make([]item, len(writes)), make([]types.CancellationReason, len(writes)), make([]string, len(writes))
	canceled := false
	for i, w := range writes {
		var err error
		items[i], err = w.next(w.table.items[w.id()])
		reasons[i] = reason(err)
		codes[i] = *reasons[i].Code
		canceled = canceled || err != nil
	}
	if !canceled {
		return items, nil
	}
	return nil, &types.TransactionCanceledException{CancellationReasons: reasons, Message: aws.String(
		"Transaction cancelled, please refer cancellation reasons for specific reasons [" + strings.Join(codes, ", ") + "]")} //nolint:misspell // AWS's words
}

func reason(err error) types.CancellationReason {
	var refused *types.ConditionalCheckFailedException
	switch {
	case err == nil:
		return types.CancellationReason{Code: aws.String("None")}
	case errors.As(err, &refused):
		return types.CancellationReason{Code: aws.String("ConditionalCheckFailed"), Message: refused.Message, Item: refused.Item}
	}
	return types.CancellationReason{Code: aws.String("ValidationError"), Message: aws.String(message(err))}
}

// spent tells whether the transaction's token stands for the same transaction, done within the token's life.
func (db *DB) spent(in *dynamodb.TransactWriteItemsInput) (token spent, done bool, err error) {
	if in.ClientRequestToken == nil {
		return spent{}, false, nil
	}
	key := *in.ClientRequestToken
	if len(key) < 1 || len(key) > 36 {
		return spent{}, false, invalid("Value '%s' at 'clientRequestToken' failed to satisfy constraint: Member must have length less than or equal to 36 and greater than or equal to 1", key)
	}
	token = spent{at: db.now(), writes: fingerprint(in.TransactItems)}
	before, known := db.tokens[key]
	switch {
	case !known || token.at.Sub(before.at) >= tokenLife:
		return token, false, nil
	case before.writes != token.writes:
		return token, false, &types.IdempotentParameterMismatchException{Message: aws.String("The request uses the same client token as a previous, but non-identical request.")}
	}
	return token, true, nil
}

// fingerprint is equal for transactions with equal parameters.
func fingerprint(all []types.TransactWriteItem) string {
	var b strings.Builder
	line := func(kind string, table, condition, change *string, names map[string]string, values, it item) {
		fmt.Fprintf(&b, "%s %q %q %q", kind, text(table), text(condition), text(change))
		for _, name := range slices.Sorted(maps.Keys(names)) {
			fmt.Fprintf(&b, " %q=%q", name, names[name])
		}
		writeItem(&b, values)
		writeItem(&b, it)
		b.WriteByte('\n')
	}
	for _, one := range all {
		switch {
		case one.Put != nil:
			p := one.Put
			line("Put", p.TableName, p.ConditionExpression, nil, p.ExpressionAttributeNames, p.ExpressionAttributeValues, p.Item)
		case one.Update != nil:
			u := one.Update
			line("Update", u.TableName, u.ConditionExpression, u.UpdateExpression, u.ExpressionAttributeNames, u.ExpressionAttributeValues, u.Key)
		case one.Delete != nil:
			d := one.Delete
			line("Delete", d.TableName, d.ConditionExpression, nil, d.ExpressionAttributeNames, d.ExpressionAttributeValues, d.Key)
		case one.ConditionCheck != nil:
			c := one.ConditionCheck
			line("Check", c.TableName, c.ConditionExpression, nil, c.ExpressionAttributeNames, c.ExpressionAttributeValues, c.Key)
		}
	}
	return b.String()
}

// writeItem writes equal items alike.
func writeItem(b *strings.Builder, it item) {
	b.WriteByte('{')
	for _, name := range slices.Sorted(maps.Keys(it)) {
		fmt.Fprintf(b, "%q:", name)
		writeValue(b, it[name])
	}
	b.WriteByte('}')
}

func writeValue(b *strings.Builder, v value) {
	b.WriteString(typeOf(v))
	switch v := v.(type) {
	case *boolean:
		fmt.Fprint(b, v.Value)
	case *list:
		b.WriteByte('[')
		for _, element := range v.Value {
			writeValue(b, element)
		}
		b.WriteByte(']')
	case *mapping:
		writeItem(b, v.Value)
	case *strSet, *numSet, *binSet:
		fmt.Fprintf(b, "%q", slices.Sorted(slices.Values(elementsOf(v))))
	default:
		fmt.Fprintf(b, "%q", keyText(v))
	}
}
