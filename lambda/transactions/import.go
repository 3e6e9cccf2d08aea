package transactions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/idempotency"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/validate"
	"github.com/expenzez/aws-backend/lambda/transactions/ledger"
)

const (
	// chunkRows is how many rows are written at once. With the account and the mark that is well below what a transaction
	// may have, and below what the smallest environment lets through in a second.
	chunkRows = 25
	// markLife is how long a chunk's mark is kept: far beyond the 24 hours in which its request can be repeated. A key
	// that comes again after those with the same rows, which nobody means as another import, is the same one so long; with
	// other rows it is new.
	markLife = 7 * 24 * time.Hour
)

// importRows records many transactions. They are too many for one transaction of the store, so that the request holds a
// lease and its rows are written in chunks, each all or nothing together with a mark that says what became of them. An
// execution that follows one that ended early finds the marks and goes on behind them: each row is written once, also when
// its transaction was changed or deleted meanwhile.
func (a *api) importRows(ctx context.Context, r *rest.Request) (rest.Response, error) {
	var in importRequest
	if err := r.Decode(&in); err != nil {
		return rest.Response{}, err
	}
	req := idempotency.Request{User: r.Subject, Route: "importTransactions", Key: r.IdempotencyKey, Query: r.QueryParameters(), Payload: r.Body(), Now: r.Now}
	answer, err := a.leases.Run(ctx, req, idempotency.Retry, func(ctx context.Context, downstreamKey string) (idempotency.Answer, error) {
		b, err := a.newBatch(r.Subject, downstreamKey, in, r.Now)
		if err != nil {
			return idempotency.Answer{}, idempotency.NothingHappened(err)
		}
		if err := b.write(ctx); err != nil {
			return idempotency.Answer{}, err
		}
		body, err := json.Marshal(importResult{b.results}) // identifiers, pointers and codes: nothing that is escaped
		return idempotency.Answer{Status: 200, Body: body}, err
	})
	if err != nil {
		return rest.Response{}, err
	}
	return rest.Response{Status: answer.Status, Raw: answer.Body, Headers: answer.Headers()}, nil
}

// batch is an import at work.
type batch struct {
	*api
	user    string
	name    string // equal for executions of one request, and for no others
	now     time.Time
	records []record // of the rows; of an invalid one only the zero value
	results []rowResult
}

// newBatch judges the rows. The transaction of a row is named after the request and the row's place in it, or, with a
// reference, after that alone: then it is found whichever import it comes with.
func (a *api) newBatch(user, downstreamKey string, in importRequest, now time.Time) (*batch, error) {
	said, err := json.Marshal(in) // equal for bodies that say the same
	if err != nil {
		return nil, fmt.Errorf("transactions: %w", err)
	}
	b := &batch{api: a, user: user, name: store.Token("import", downstreamKey, string(said)), now: now,
		records: make([]record, len(in.Rows)), results: make([]rowResult, len(in.Rows))}
	before := map[string]bool{}
	for i, row := range in.Rows {
		rec, faults, err := row.checked(i)
		if err != nil {
			return nil, err
		}
		if len(faults) > 0 {
			b.results[i] = rowResult{Status: rowInvalid, Errors: faults}
			continue
		}
		rec.id = namedID("row", b.name, strconv.Itoa(i))
		if row.Reference != nil {
			rec.id = namedID("reference", user, *row.Reference)
		}
		rec.version, rec.created, rec.updated = 1, now.Unix(), now.Unix()
		b.records[i], b.results[i] = rec, rowResult{Status: rowCreated, ID: rec.id}
		if before[rec.id] {
			b.results[i].Status = rowDuplicate
		}
		before[rec.id] = true
	}
	return b, nil
}

// rowModel is what a row must be, once its members have the right types.
var rowModel = sync.OnceValues(func() (*validate.Schema, error) {
	m := catalog.NewTransaction()
	return validate.CompileFields(append(append([]service.Field{}, m.Fields...), catalog.RowReference()))
})

// checked is the record that a row says, or what is wrong with it, in the order of its members.
func (row importRow) checked(i int) (record, []rowFault, error) {
	schema, err := rowModel()
	if err != nil {
		return record{}, nil, fmt.Errorf("transactions: %w", err)
	}
	members := map[string]any{}
	for name, value := range map[string]*string{"amount": row.Amount, "currency": row.Currency, "category": row.Category,
		"date": row.Date, "description": row.Description, "reference": row.Reference} {
		if value != nil {
			members[name] = *value
		}
	}
	found := schema.Check(members)
	var rec record
	if len(found) == 0 {
		rec, found = fields{*row.Amount, *row.Currency, *row.Category, *row.Date, either(row.Description, "")}.checked(true)
	}
	var faults []rowFault
	for _, f := range found {
		faults = append(faults, rowFault{Pointer: "/rows/" + strconv.Itoa(i) + f.Pointer, Code: f.Code})
	}
	return rec, faults, nil
}

// write writes what is to be written, chunk by chunk in the order of the rows.
func (b *batch) write(ctx context.Context) error {
	for from := 0; from < len(b.records); from += chunkRows {
		if err := b.chunk(ctx, from, min(from+chunkRows, len(b.records))); err != nil {
			return err
		}
	}
	return nil
}

// chunk writes the rows from one to before another, once. A row whose transaction is there is a duplicate, and left out of
// the next try: there are at most as many tries as rows.
func (b *batch) chunk(ctx context.Context, from, to int) error {
	for {
		writes, rows := []store.Write{b.mark(from, to), b.active(b.user)}, []int{} // the mark tells first
		for i := from; i < to; i++ {
			if b.results[i].Status == rowCreated {
				writes, rows = append(writes, b.record(b.records[i], b.user)), append(rows, i)
			}
		}
		if len(rows) == 0 {
			return nil // what is found again is found alike: it needs no mark
		}
		err := store.Transact(ctx, b.tx, "", writes...)
		var canceled *store.CancelledError
		if err == nil {
			return nil
		}
		if !errors.As(err, &canceled) {
			return failed(err)
		}
		if old, refused := canceled.Refused(0); refused {
			return b.recall(old, from, to)
		}
		if _, refused := canceled.Refused(1); refused {
			if from == 0 {
				return idempotency.NothingHappened(errInactive)
			}
			return errInactive.After(time.Minute) // which is not recorded: rows were
		}
		found := false
		for n, i := range rows {
			if _, refused := canceled.Refused(2 + n); refused {
				b.results[i].Status, found = rowDuplicate, true
			}
		}
		if !found {
			return failed(err)
		}
	}
}

// mark says, with the rows from one to before another, what became of each: a letter, the first of its status.
func (b *batch) mark(from, to int) store.Write {
	var outcome strings.Builder
	for _, result := range b.results[from:to] {
		outcome.WriteByte(result.Status[0])
	}
	return b.t.Transactions.PutWrite(types.Put{
		Item: store.Item{"pk": store.S(ledger.UserKey(b.user)), "sk": store.S(fmt.Sprintf("IMP#%s#%03d", b.name, from)),
			"outcome": store.S(outcome.String()), "ttl": store.N(b.now.Add(markLife).Unix())},
		ConditionExpression:       aws.String("attribute_not_exists(pk) OR #ttl <= :now"), // since TTL deletes late
		ExpressionAttributeNames:  map[string]string{"#ttl": "ttl"},
		ExpressionAttributeValues: store.Item{":now": store.N(b.now.Unix())},
	})
}

// recall takes the outcome of rows from their mark.
func (b *batch) recall(mark store.Item, from, to int) error {
	f := store.Read(mark)
	outcome := f.S("outcome")
	if err := f.Err(); err != nil {
		return fmt.Errorf("transactions: a mark: %w", err)
	}
	if len(outcome) != to-from {
		return errors.New("transactions: a mark of another import")
	}
	for i := range outcome {
		result := &b.results[from+i]
		switch {
		case outcome[i] == rowCreated[0] && result.Status != rowInvalid:
			result.Status = rowCreated
		case outcome[i] == rowDuplicate[0] && result.Status != rowInvalid:
			result.Status = rowDuplicate
		case outcome[i] != result.Status[0]:
			return errors.New("transactions: a mark of another import")
		}
	}
	return nil
}
