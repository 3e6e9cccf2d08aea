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
	"github.com/expenzez/aws-backend/internal/money"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/validate"
	"github.com/expenzez/aws-backend/lambda/transactions/ledger"
)

const pageSize = 50 // unless the request says otherwise

// list shows a page, newest date first and, within a date, what was created last first; by amount, the largest first; by
// description, in the order of the texts. One transaction more than the page is read, so that the last page knows that it
// is the last.
func (a *api) list(ctx context.Context, r *rest.Request) (rest.Response, error) {
	f, err := filterOf(r)
	if err != nil {
		return rest.Response{}, err
	}
	size := r.QueryInt("limit", pageSize)
	in := f.query(size + 1)
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
		if page.NextCursor, err = a.cursors.Seal(ctx, f.scope(), f.position(last), time.Time{}); err != nil {
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
	return nil, refusedCursor(err)
}

// refusedCursor is the answer to a cursor that does not open.
func refusedCursor(err error) error {
	if errors.Is(err, cursor.ErrCursor) {
		return validate.Refuse(apperr.Field{Parameter: "cursor", Code: "cursor", Detail: "This cursor is not from a page of this list."})
	}
	return err
}

// filter says which transactions are asked for. What is empty filters nothing: all transactions, those of a month, of a
// category, or of a month and a category; those of a currency within two amounts; or those whose description begins with
// a text, which is folded. Each is a range of one index, so that a page costs what it shows.
type filter struct {
	user, month, category string
	currency              string
	least, most           string // ordered amounts
	text                  string
}

// filterOf reads the parameters. What cannot be asked together is refused: it would be a search through the table.
func filterOf(r *rest.Request) (filter, error) {
	f := filter{user: r.Subject, month: r.Query("month"), category: r.Query("category"), currency: r.Query("currency")}
	var faults []apperr.Field
	fault := func(parameter, code, detail string) {
		faults = append(faults, apperr.Field{Parameter: parameter, Code: code, Detail: detail})
	}
	given := r.QueryParameters()
	amount := func(name, otherwise string) string {
		text, ok := given[name]
		if !ok || f.currency == "" {
			if ok {
				fault(name, "combination", "An amount needs its currency.")
			}
			return otherwise
		}
		minor, err := money.Parse(text, f.currency)
		if err != nil && !errors.Is(err, money.ErrCurrency) {
			fault(name, moneyFault(err, true).Code, moneyFault(err, true).Detail)
		}
		return ordered(minor)
	}
	if _, ok := money.Decimals(f.currency); f.currency != "" && !ok {
		fault("currency", "currency", "This is not the code of a currency.")
	}
	f.least, f.most = amount("minAmount", "0"), amount("maxAmount", "g") // 0 and g are before and after every digit
	if len(faults) == 0 && f.least > f.most {
		fault("minAmount", validate.CodeLarge, "It is more than maxAmount.")
	}
	text, byText := given["description"]
	if byText {
		clean, code := validate.Text(text, validate.Size{Runes: maxIndexed})
		if code == "" && clean == "" {
			code = validate.CodeShort
		}
		if code != "" {
			fault("description", code, "")
		}
		f.text = folded(clean)
	}
	for _, name := range []string{"month", "category", "currency"} {
		if given[name] != "" && (byText || f.currency != "" && name != "currency") {
			fault(name, "combination", "These filters do not go together.")
		}
	}
	if len(faults) > 0 {
		return filter{}, validate.Refuse(faults...)
	}
	return f, nil
}

// index is an index as a filter uses it: its name, the attribute that it is sorted by, and what that begins with.
type index struct{ name, attribute, prefix string }

func (f filter) index() index {
	switch {
	case f.text != "":
		return index{"by-description", "byDescription", f.text}
	case f.currency != "":
		return index{"by-amount", "byAmount", f.currency + "#"}
	case f.category != "":
		return index{"by-category", "byCategory", f.category + "#" + f.month}
	default:
		return index{"by-date", "byDate", f.month}
	}
}

// bounds are the first and the last text that the amounts of a filter can have in their index.
func (f filter) bounds() (least, most string) {
	return f.currency + "#" + f.least, f.currency + "#" + f.most + "$" // $ is behind #
}

// query asks for the first n.
func (f filter) query(n int) *dynamodb.QueryInput {
	in := &dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("pk = :pk"),
		ExpressionAttributeValues: store.Item{":pk": store.S(ledger.UserKey(f.user))},
		ProjectionExpression:      aws.String("sk, amount, currency, category, #date, description, version, createdAt, updatedAt"), // what is shown
		ExpressionAttributeNames:  map[string]string{"#date": "date"},
		ScanIndexForward:          aws.Bool(f.text != ""),
		Limit:                     aws.Int32(int32(n)), //nolint:gosec // the declaration bounds it to 100
	}
	switch ix := f.index(); {
	case f.currency != "":
		least, most := f.bounds()
		in.KeyConditionExpression = aws.String("pk = :pk AND " + ix.attribute + " BETWEEN :least AND :most")
		in.ExpressionAttributeValues[":least"], in.ExpressionAttributeValues[":most"] = store.S(least), store.S(most)
	case ix.prefix != "":
		in.KeyConditionExpression = aws.String("pk = :pk AND begins_with(" + ix.attribute + ", :prefix)")
		in.ExpressionAttributeValues[":prefix"] = store.S(ix.prefix)
	}
	return in
}

// position is where a page ends, for its cursor: the sort key of its last transaction, without what the filter says itself.
// Without a sealer it tells nothing that the page did not.
func (f filter) position(last record) string {
	switch {
	case f.text != "":
		return last.byDescription()
	case f.currency != "":
		return strings.TrimPrefix(last.byAmount(), f.currency+"#")
	default:
		return last.byDate()
	}
}

// start is the key in the index after which the page of a cursor begins. The transaction that it is named after need not
// exist any more. A position outside of the filter is refused: DynamoDB would take it for a mistake of ours.
func (f filter) start(position string) (store.Item, bool) {
	id := position[strings.LastIndexByte(position, '#')+1:]
	ix, attribute, ok := f.index(), position, wellFormed(id)
	switch {
	case f.text != "":
		text, rest, _ := strings.Cut(position, textEnd)
		ok = ok && strings.HasPrefix(text, f.text) && text == folded(text) && dated(rest, id, "")
	case f.currency != "":
		least, most := f.bounds()
		attribute = f.currency + "#" + position
		ok = ok && len(position) == len(ordered(0))+1+len(id) && hexadecimal(position[:len(ordered(0))]) && position[len(ordered(0))] == '#' &&
			least <= attribute && attribute <= most
	default:
		attribute = strings.TrimSuffix(ix.prefix, f.month) + position
		ok = ok && dated(position, id, f.month)
	}
	if !ok {
		return nil, false
	}
	start := key(f.user, id)
	start[ix.attribute] = store.S(attribute)
	return start, true
}

// dated tells whether a text is a day of the month and the identifier.
func dated(text, id, month string) bool {
	date, rest, _ := strings.Cut(text, "#")
	_, code := validate.Date(date)
	return code == "" && rest == id && strings.HasPrefix(date, month)
}

func hexadecimal(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// scope is the list that the filter's cursors belong to.
func (f filter) scope() cursor.Scope {
	return cursor.Scope{User: f.user, Operation: "listTransactions",
		Filters: []string{f.month, f.category, f.currency, f.least, f.most, f.text}}
}
