package transactions

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/cursor"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/validate"
)

const pageSize = 50 // unless the request says otherwise

// list shows a page, newest date first and, within a date, what was created last first. One transaction more than the
// page is read, so that the last page knows that it is the last.
func (a *api) list(ctx context.Context, r *rest.Request) (rest.Response, error) {
	f := filter{user: r.Subject, month: r.Query("month"), category: r.Query("category")}
	size := r.QueryInt("limit", pageSize)
	in := f.query(size + 1)
	var err error
	if text, given := r.QueryParameters()["cursor"]; given {
		if in.ExclusiveStartKey, err = a.after(ctx, f, text, r.Now); err != nil {
			return rest.Response{}, err
		}
	}
	out, err := a.t.Transactions.QueryIndex(ctx, f.index().name, in)
	if err != nil {
		return rest.Response{}, failed(err)
	}
	page, items := transactionPage{Items: []transaction{}}, out.Items
	more := len(out.LastEvaluatedKey) > 0
	if len(items) > size {
		items, more = items[:size], true
	}
	var last record
	for _, item := range items {
		if last, err = recordOf(item); err != nil {
			return rest.Response{}, err
		}
		shown, err := last.wire()
		if err != nil {
			return rest.Response{}, err
		}
		page.Items = append(page.Items, shown)
	}
	if more && len(items) > 0 {
		if page.NextCursor, err = a.cursors.Seal(ctx, f.scope(), last.byDate(), time.Time{}); err != nil {
			return rest.Response{}, err
		}
	}
	return rest.Response{Body: page}, nil
}

// after is where the page of a cursor begins.
func (a *api) after(ctx context.Context, f filter, text string, now time.Time) (store.Item, error) {
	position, err := a.cursors.Open(ctx, f.scope(), text, now)
	if err == nil {
		if start, ok := f.start(position); ok {
			return start, nil
		}
		err = cursor.ErrCursor
	}
	if errors.Is(err, cursor.ErrCursor) {
		return nil, validate.Refuse(apperr.Field{Parameter: "cursor", Code: "cursor", Detail: "This cursor is not from a page of this list."})
	}
	return nil, err
}

// filter says which transactions are asked for. Empty month or category: all.
type filter struct{ user, month, category string }

// index is an index as a filter uses it: its name, the attribute that it is sorted by, and what that begins with.
type index struct{ name, attribute, prefix string }

func (f filter) index() index {
	if f.category == "" {
		return index{"by-date", "byDate", f.month}
	}
	return index{"by-category", "byCategory", f.category + "#" + f.month}
}

// query asks for the first n.
func (f filter) query(n int) *dynamodb.QueryInput {
	in := &dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("pk = :pk"),
		ExpressionAttributeValues: store.Item{":pk": store.S("USER#" + f.user)},
		ProjectionExpression:      aws.String("sk, amount, currency, category, #date, description, version, createdAt, updatedAt"), // what is shown
		ExpressionAttributeNames:  map[string]string{"#date": "date"},
		ScanIndexForward:          aws.Bool(false),
		Limit:                     aws.Int32(int32(n)), //nolint:gosec // the declaration bounds it to 100
	}
	if ix := f.index(); ix.prefix != "" {
		in.KeyConditionExpression = aws.String("pk = :pk AND begins_with(" + ix.attribute + ", :prefix)")
		in.ExpressionAttributeValues[":prefix"] = store.S(ix.prefix)
	}
	return in
}

// start is the key in the index after which the page of a cursor begins. The transaction that it is named after need not
// exist any more. A position outside of the filter is refused: DynamoDB would take it for a mistake of ours.
func (f filter) start(position string) (store.Item, bool) {
	date, id, _ := strings.Cut(position, "#")
	if _, err := time.Parse(time.DateOnly, date); err != nil || !wellFormed(id) || !strings.HasPrefix(date, f.month) {
		return nil, false
	}
	start, ix := key(f.user, id), f.index()
	start[ix.attribute] = store.S(strings.TrimSuffix(ix.prefix, f.month) + position)
	return start, true
}

// scope is the list that the filter's cursors belong to. Their positions are date#id of what a page showed last: without
// a sealer they tell nothing that it did not.
func (f filter) scope() cursor.Scope {
	return cursor.Scope{User: f.user, Operation: "listTransactions", Filters: []string{f.month, f.category}}
}
