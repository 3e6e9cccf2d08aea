package transactions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/idempotency"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/validate"
)

// userActive is the status of an account that may record; sign-in writes it.
const userActive = "active"

// create records a transaction. The transaction, the answer to repetitions and the question whether the account may
// record are one transaction of the store: nothing happens twice or in part.
func (a *api) create(ctx context.Context, r *rest.Request) (rest.Response, error) {
	var in newTransaction
	if err := r.Decode(&in); err != nil {
		return rest.Response{}, err
	}
	rec, faults := fields{in.Amount, in.Currency, in.Category, in.Date, in.Description}.checked(true)
	if len(faults) > 0 {
		return rest.Response{}, validate.Refuse(faults...)
	}
	var err error
	if rec.id, err = newID(r.Now, a.random); err != nil {
		return rest.Response{}, err
	}
	rec.version, rec.created, rec.updated = 1, r.Now.Unix(), r.Now.Unix()
	made, err := rec.wire()
	if err != nil {
		return rest.Response{}, err
	}
	answer, err := a.once(ctx, r, "createTransaction", made, a.active(r.Subject), a.record(rec, r.Subject))
	return answer, notRecorded(err)
}

// once records what a request makes, and its answer, all or nothing. The answer is recorded after the writes.
func (a *api) once(ctx context.Context, r *rest.Request, route string, made any, writes ...store.Write) (rest.Response, error) {
	body, err := encoded(made)
	if err != nil {
		return rest.Response{}, err
	}
	answer, err := a.answers.Once(ctx, a.tx,
		idempotency.Request{User: r.Subject, Route: route, Key: r.IdempotencyKey, Query: r.QueryParameters(), Payload: r.Body(), Now: r.Now},
		idempotency.Answer{Status: 201, Body: body}, writes...)
	return rest.Response{Status: answer.Status, Raw: answer.Body, Headers: answer.Headers()}, err
}

// active makes a write depend on the account. The user's item stays where it is: a refusal does not bring it here.
func (a *api) active(user string) store.Write {
	return a.t.Users.CheckWrite(types.ConditionCheck{
		Key:                                 store.Item{"pk": store.S("USER#" + user)},
		ConditionExpression:                 aws.String("#status = :active"),
		ExpressionAttributeNames:            map[string]string{"#status": "status"},
		ExpressionAttributeValues:           store.Item{":active": store.S(userActive)},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureNone,
	})
}

func (a *api) record(rec record, user string) store.Write {
	return a.t.Transactions.PutWrite(types.Put{Item: rec.item(user), ConditionExpression: aws.String("attribute_not_exists(pk)")})
}

// notRecorded explains why Once did nothing: what the account refused is the first of its writes.
func notRecorded(err error) error {
	if err == nil {
		return nil
	}
	var canceled *store.CancelledError
	if errors.As(err, &canceled) {
		if _, refused := canceled.Refused(0); refused {
			return errInactive
		}
	}
	return failed(err)
}

// get reads a transaction as it was written last.
func (a *api) get(ctx context.Context, r *rest.Request) (rest.Response, error) {
	rec, err := a.read(ctx, r)
	if err != nil {
		return rest.Response{}, err
	}
	return shown(rec)
}

// read is the transaction that the path names, of the caller.
func (a *api) read(ctx context.Context, r *rest.Request) (record, error) {
	id := r.Path("id")
	if !wellFormed(id) {
		return record{}, errNotFound
	}
	out, err := a.t.Transactions.GetItem(ctx, &dynamodb.GetItemInput{Key: key(r.Subject, id), ConsistentRead: aws.Bool(true)})
	switch {
	case err != nil:
		return record{}, failed(err)
	case out.Item == nil:
		return record{}, errNotFound
	default:
		return recordOf(out.Item)
	}
}

// change changes what the request names. Amount and currency are one thing: they are checked together, whichever was
// named. Of several changes made from one version, one is made.
func (a *api) change(ctx context.Context, r *rest.Request) (rest.Response, error) {
	var in transactionChange
	if err := r.Decode(&in); err != nil {
		return rest.Response{}, err
	}
	old, err := a.read(ctx, r)
	if err != nil {
		return rest.Response{}, err
	}
	if old.version != in.Version {
		return rest.Response{}, errVersion
	}
	rec, err := in.applied(old)
	if err != nil {
		return rest.Response{}, err
	}
	rec.version, rec.updated = old.version+1, r.Now.Unix()
	if err := a.replace(ctx, r.Subject, old.version, rec); err != nil {
		return rest.Response{}, err
	}
	return shown(rec)
}

// applied is the record with what the request names in place of its own.
func (in transactionChange) applied(old record) (record, error) {
	was, err := old.wire()
	if err != nil {
		return record{}, err
	}
	rec, faults := fields{
		amount: either(in.Amount, was.Amount), currency: either(in.Currency, was.Currency), category: either(in.Category, was.Category),
		date: either(in.Date, was.Date), description: either(in.Description, was.Description),
	}.checked(in.Amount != nil)
	if len(faults) > 0 {
		return record{}, validate.Refuse(faults...)
	}
	rec.id, rec.created = old.id, old.created
	return rec, nil
}

func either(given *string, otherwise string) string {
	if given != nil {
		return *given
	}
	return otherwise
}

// changing are the attributes that a change may change, apart from the version.
var changing = []string{"amount", "byAmount", "byCategory", "byDate", "byDescription", "category", "currency", "date", "description", "updatedAt"}

// replace writes a record over the one of a version.
func (a *api) replace(ctx context.Context, user string, from int64, rec record) error {
	id, err := newID(time.Unix(rec.updated, 0), a.random)
	if err != nil {
		return err
	}
	c := store.Change{Key: key(user, rec.id), From: from, Set: store.Item{}, ID: id}
	item := rec.item(user)
	for _, name := range changing {
		if value, there := item[name]; there {
			c.Set[name] = value
		} else {
			c.Remove = append(c.Remove, name)
		}
	}
	return refused(store.ChangeVersion(ctx, a.t.Transactions, c), errNotFound)
}

// refused explains a change or deletion that was not made.
func refused(err, notFound error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return notFound
	case errors.Is(err, store.ErrVersion):
		return errVersion
	case err != nil:
		return failed(err)
	default:
		return nil
	}
}

// remove deletes a transaction, of whatever version.
func (a *api) remove(ctx context.Context, r *rest.Request) (rest.Response, error) {
	id := r.Path("id")
	if !wellFormed(id) {
		return rest.Response{}, errNotFound
	}
	return rest.Response{}, refused(store.DeleteVersion(ctx, a.t.Transactions, key(r.Subject, id), 0), errNotFound)
}

func shown(rec record) (rest.Response, error) {
	body, err := rec.wire()
	return rest.Response{Body: body}, err
}

// encoded is the body of an answer that is recorded.
func encoded(body any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		return nil, fmt.Errorf("transactions: encode the answer: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}
