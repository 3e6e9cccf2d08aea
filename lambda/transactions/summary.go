package transactions

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/expenzez/aws-backend/internal/cursor"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/lambda/transactions/ledger"
)

// listSummaries shows what the stream's function added up. A slot that all transactions have left shows no more.
func (a *api) listSummaries(ctx context.Context, r *rest.Request) (rest.Response, error) {
	page := summaryPage{Items: []summary{}}
	var err error
	page.NextCursor, err = a.page(ctx, r, listing{operation: "listSummaries", kind: ledger.SummaryPrefix(""), prefix: r.Query("month"),
		query: a.t.MonthlySummaries.Query, projection: "sk, #count, spent, received", names: map[string]string{"#count": "count"}},
		func(item store.Item) error {
			s, err := ledger.SummaryOf(item)
			if err == nil && s.Count > 0 {
				page.Items = append(page.Items, summary{Month: s.Month, Currency: s.Currency, Category: s.Category, Count: s.Count,
					Spent: s.Spent.String(), Received: s.Received.String()})
			}
			return err
		})
	return rest.Response{Body: page}, err
}

// listing is a list that is a range of a table's sort keys, under the person's own key.
type listing struct {
	operation  string
	kind       string // what all its sort keys begin with
	prefix     string // what those that are asked for go on with
	forward    bool   // in the order of the keys, else the reverse
	query      func(context.Context, *dynamodb.QueryInput) (*dynamodb.QueryOutput, error)
	projection string
	names      map[string]string
}

// page shows each item of a page and returns the cursor of the next. One item more than the page is read, so that the last
// page knows that it is the last. A cursor's position is the sort key of the last item, without its kind.
func (a *api) page(ctx context.Context, r *rest.Request, l listing, show func(store.Item) error) (next string, err error) {
	size, prefix := r.QueryInt("limit", pageSize), l.kind+l.prefix
	in := &dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("pk = :pk AND begins_with(sk, :prefix)"),
		ExpressionAttributeValues: store.Item{":pk": store.S(ledger.UserKey(r.Subject)), ":prefix": store.S(prefix)},
		ProjectionExpression:      &l.projection, ExpressionAttributeNames: l.names,
		ScanIndexForward: &l.forward, Limit: aws.Int32(int32(size + 1)), //nolint:gosec // the declaration bounds it to 100
	}
	scope := cursor.Scope{User: r.Subject, Operation: l.operation, Filters: []string{l.prefix}}
	if text, given := r.QueryParameters()["cursor"]; given {
		position, err := a.cursors.Open(ctx, scope, text, r.Now)
		if err == nil && !strings.HasPrefix(position, l.prefix) {
			err = cursor.ErrCursor // DynamoDB would take it for a mistake of ours
		}
		if err != nil {
			return "", refusedCursor(err)
		}
		in.ExclusiveStartKey = store.Item{"pk": store.S(ledger.UserKey(r.Subject)), "sk": store.S(l.kind + position)}
	}
	out, err := l.query(ctx, in)
	if err != nil {
		return "", failed(err)
	}
	items, more := out.Items, len(out.LastEvaluatedKey) > 0
	if len(items) > size {
		items, more = items[:size], true
	}
	for _, item := range items {
		if err := show(item); err != nil {
			return "", err
		}
	}
	if !more || len(items) == 0 {
		return "", nil
	}
	f := store.Read(items[len(items)-1])
	last := f.S("sk")
	if f.Err() != nil {
		return "", errors.New("transactions: an item without its key")
	}
	return a.cursors.Seal(ctx, scope, strings.TrimPrefix(last, l.kind), time.Time{})
}
