package store

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Write is one write of a transaction. Only a handle that holds its action makes one; the zero value is refused.
type Write struct{ item types.TransactWriteItem }

// PutWrite is a put for a transaction.
func (t Table) PutWrite(put types.Put) Write {
	put.TableName = &t.name
	put.ReturnValuesOnConditionCheckFailure = oldUnlessSet(put.ReturnValuesOnConditionCheckFailure, put.ConditionExpression)
	return Write{types.TransactWriteItem{Put: &put}}
}

// UpdateWrite is an update for a transaction.
func (t Table) UpdateWrite(update types.Update) Write {
	update.TableName = &t.name
	update.ReturnValuesOnConditionCheckFailure = oldUnlessSet(update.ReturnValuesOnConditionCheckFailure, update.ConditionExpression)
	return Write{types.TransactWriteItem{Update: &update}}
}

// DeleteWrite is a delete for a transaction.
func (t Table) DeleteWrite(del types.Delete) Write {
	del.TableName = &t.name
	del.ReturnValuesOnConditionCheckFailure = oldUnlessSet(del.ReturnValuesOnConditionCheckFailure, del.ConditionExpression)
	return Write{types.TransactWriteItem{Delete: &del}}
}

// CheckWrite makes a transaction depend on an item that it does not write.
func (t Table) CheckWrite(check types.ConditionCheck) Write {
	check.TableName = &t.name
	check.ReturnValuesOnConditionCheckFailure = oldUnlessSet(check.ReturnValuesOnConditionCheckFailure, check.ConditionExpression)
	return Write{types.TransactWriteItem{ConditionCheck: &check}}
}

// MaxWrites is how many writes a transaction may have (DynamoDB guide, "Managing complex workflows with transactions").
const MaxWrites = 100

// Token is a token for Transact that is equal for equal parts and, as far as anybody can tell, for no others: 36 characters,
// a hash, so that it tells nothing of what it was made of. Parts are what names the request, its user's identifier and
// idempotency key for instance. A token stands for one transaction of the whole account: the first part says whose.
func Token(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = h.Write(append(binary.AppendUvarint(nil, uint64(len(p))), p...)) // a hash does not fail
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:27])
}

// Transact does all writes or none. When DynamoDB cancels it, the error is a *CancelledError with one reason for each
// write. token (1 to 36 characters) makes the same call safe to repeat for 10 minutes; with an empty token the client
// makes one that covers its own retries.
func Transact(ctx context.Context, tx Transactor, token string, writes ...Write) error {
	if len(writes) == 0 || len(writes) > MaxWrites {
		return fmt.Errorf("store: a transaction has 1 to %d writes, this one has %d", MaxWrites, len(writes))
	}
	in := &dynamodb.TransactWriteItemsInput{TransactItems: make([]types.TransactWriteItem, len(writes))}
	if token != "" {
		in.ClientRequestToken = &token
	}
	for i, w := range writes {
		in.TransactItems[i] = w.item
	}
	_, err := tx.TransactWriteItems(ctx, in)
	var raw *types.TransactionCanceledException
	switch {
	case err == nil:
		return nil
	case errors.As(err, &raw):
		return fmt.Errorf("store: %w", cancelledFrom(raw))
	default:
		return fmt.Errorf("store: TransactWriteItems: %w", err)
	}
}
