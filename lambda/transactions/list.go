package transactions

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/expenzez/aws-backend/internal/apperr"
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
	if cursor, given := r.QueryParameters()["cursor"]; given {
		in.ExclusiveStartKey, err = f.after(cursor)
	}
	if err != nil {
		return rest.Response{}, err
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
		page.NextCursor = f.cursor(last.byDate())
	}
	return rest.Response{Body: page}, nil
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
		ScanIndexForward:          aws.Bool(false),
		Limit:                     aws.Int32(int32(n)), //nolint:gosec // the declaration bounds it to 100
	}
	if ix := f.index(); ix.prefix != "" {
		in.KeyConditionExpression = aws.String("pk = :pk AND begins_with(" + ix.attribute + ", :prefix)")
		in.ExpressionAttributeValues[":prefix"] = store.S(ix.prefix)
	}
	return in
}

// after is the key in the index after which the page of a cursor begins.
func (f filter) after(cursor string) (store.Item, error) {
	position, ok := f.position(cursor)
	if !ok {
		return nil, validate.Refuse(apperr.Field{Parameter: "cursor", Code: "cursor", Detail: "This cursor is not from a page of this list."})
	}
	_, id, _ := strings.Cut(position, "#")
	start, ix := key(f.user, id), f.index()
	start[ix.attribute] = store.S(strings.TrimSuffix(ix.prefix, f.month) + position)
	return start, nil
}

// A cursor is the position after which the next page begins, as date#id, and before it a tag that binds it to its user
// and filters. The tag is no secret: it finds mistakes. Who forges one begins elsewhere in a list of their own, no more,
// since user, filters and page size are never taken from it.
const tagBytes = 16

func (f filter) cursor(position string) string {
	tag := sha256.Sum256(fmt.Appendf(nil, "cursor %q %q %q %q", f.user, f.month, f.category, position))
	return base64.RawURLEncoding.EncodeToString(append(tag[:tagBytes], position...))
}

// position is what a cursor of this filter holds. It need not exist any more. One outside of the filter is refused:
// DynamoDB would take it for a mistake of ours.
func (f filter) position(cursor string) (string, bool) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) < tagBytes {
		return "", false
	}
	position := string(b[tagBytes:])
	date, id, _ := strings.Cut(position, "#")
	if _, err := time.Parse(time.DateOnly, date); err != nil || !wellFormed(id) {
		return "", false
	}
	return position, strings.HasPrefix(date, f.month) && cursor == f.cursor(position)
}
