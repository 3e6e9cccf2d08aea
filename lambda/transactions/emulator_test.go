package transactions_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	outage "github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/local/localtest"
	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/storetest"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/lambda/transactions"
)

// newCloud is the local AWS API with the declared tables, and the configuration of its operator and of the function.
func newCloud(t *testing.T) (operator, role aws.Config) {
	t.Helper()
	cloud := localtest.Start(t, localtest.Moto(t))
	operator = cloud.Operator()
	for _, schema := range storetest.Schemas(catalog.Backend().Tables) {
		_, err := dynamodb.NewFromConfig(operator).CreateTable(t.Context(), storetest.CreateTable(schema))
		require.NoError(t, err)
	}
	return operator, cloud.As(t, "expenzez-dev-transactions-api")
}

// The whole life of transactions on the local AWS API, through the SDK's real client and with the role's credentials.
func TestOnTheLocalCloud(t *testing.T) {
	t.Parallel()
	operator, role := newCloud(t)
	users := store.NewTable(store.Open(operator, store.Options{}), "users")
	for who, status := range map[string]string{ada: "active", bob: "active", "carol": "suspended"} {
		_, err := users.PutItem(t.Context(), &dynamodb.PutItemInput{Item: store.Item{"pk": store.S("USER#" + who), "status": store.S(status)}})
		require.NoError(t, err)
	}
	db := store.Open(role, store.Options{AttemptTimeout: 10 * time.Second})
	w := &world{now: start}
	w.build(t, transactions.Deps{Values: values(generous), Tables: transactions.Bind(db, values(generous)), Tx: db,
		Log: telemetry.New(&w.log, telemetry.Options{}), Now: func() time.Time { return w.now }})

	r := w.creating(ada, fields(nil))
	replies := together(8, func(int) resttest.Reply { return w.Do(t, "createTransaction", r) })
	var made shown
	for _, reply := range replies {
		require.Equal(t, 201, reply.Status, reply.Body)
		require.Equal(t, replies[0].Body, reply.Body)
		reply.Decode(t, &made)
	}
	w.Do(t, "createTransaction", w.repeating(ada, "key-00000001", fields(body{"amount": "1"}))).Refused(t, 422, "idempotency_key_reused")
	w.Do(t, "createTransaction", w.creating("carol", fields(nil))).Refused(t, 403, "account_inactive")
	w.Do(t, "createTransaction", w.creating("nobody", fields(nil))).Refused(t, 403, "account_inactive")
	require.Equal(t, page{Items: []shown{made}}, w.list(t, ada))

	w.now = w.now.Add(time.Second)
	change := w.at(ada, made.ID, body{"version": 1, "amount": "1200", "currency": "JPY", "category": "rent", "date": "2026-10-01", "description": ""})
	require.Equal(t, 200, w.Do(t, "changeTransaction", change).Status)
	w.Do(t, "changeTransaction", change).Refused(t, 409, "version_conflict")
	require.Equal(t, shown{ID: made.ID, Amount: "1200", Currency: "JPY", Category: "rent", Date: "2026-10-01", Version: 2,
		CreatedAt: "2027-01-15T08:00:00Z", UpdatedAt: "2027-01-15T08:00:01Z"}, w.get(t, ada, made.ID))

	for i, date := range []string{"2026-11-01", "2026-11-30", "2026-12-01", "2026-11-01"} {
		w.now = w.now.Add(time.Second)
		w.create(t, ada, body{"date": date, "category": []string{"food", "food-out"}[i%2]})
		w.create(t, bob, body{"date": date})
	}
	for want, query := range map[string][]string{
		"[2026-12-01 2026-11-30 2026-11-01 2026-11-01 2026-10-01]": nil,
		"[2026-11-30 2026-11-01 2026-11-01]":                       {"month", "2026-11"},
		"[2026-12-01 2026-11-01]":                                  {"category", "food"},
		"[2026-11-01]":                                             {"category", "food", "month", "2026-11"},
		"[]":                                                       {"category", "foo"},
	} {
		require.Equal(t, want, w.paged(t, ada, query))
	}
	for operation, b := range each() {
		w.do(t, operation, bob, made.ID, b).Refused(t, 404, "not_found")
	}
	require.Equal(t, 204, w.do(t, "deleteTransaction", ada, made.ID, nil).Status)
	w.do(t, "deleteTransaction", ada, made.ID, nil).Refused(t, 404, "not_found")
	w.do(t, "getTransaction", ada, made.ID, nil).Refused(t, 404, "not_found")
	require.NotContains(t, w.log.String(), `"ERROR"`)
}

// paged is the dates of a list, read one transaction at a time.
func (w *world) paged(t *testing.T, who string, query []string) string {
	t.Helper()
	all := []string{}
	p := w.list(t, who, append(query[:len(query):len(query)], "limit", "1")...)
	for {
		all = append(all, dates(p)...)
		if p.NextCursor == "" {
			return "[" + strings.Join(all, " ") + "]"
		}
		p = w.list(t, who, append(query[:len(query):len(query)], "limit", "1", "cursor", p.NextCursor)...)
	}
}

// Imports, categories, budgets and the other lists on the local AWS API. The sandbox that imports is gone in the middle, in
// each way that a connection can fail.
func TestTheRestOnTheLocalCloud(t *testing.T) {
	t.Parallel()
	operator, role := newCloud(t)
	admin := store.Open(operator, store.Options{AttemptTimeout: 10 * time.Second})
	_, err := store.NewTable(admin, "users").PutItem(t.Context(), &dynamodb.PutItemInput{Item: store.Item{"pk": store.S("USER#" + ada), "status": store.S("active")}})
	require.NoError(t, err)
	wire := outage.NewTransport(awshttp.NewBuildableClient().GetTransport(), nil)
	role.HTTPClient = wire
	db := store.Open(role, store.Options{AttemptTimeout: 10 * time.Second})
	w := &world{now: start}
	w.build(t, transactions.Deps{Values: values(generous), Tables: transactions.Bind(db, values(generous)), Tx: db,
		Log: telemetry.New(&w.log, telemetry.Options{}), Now: func() time.Time { return w.now }})

	total := 0
	for _, kind := range []outage.Kind{outage.Unsent, outage.Lost} {
		for n := 3; n < 6; n++ { // behind the limiter and the session, which are rest's
			r := w.creating(ada, body{"rows": rows(26)})
			wire.Follow(outage.From(n, outage.Fault{Kind: kind}))
			w.Do(t, "importTransactions", r)
			wire.Follow(nil)
			w.now = w.now.Add(time.Minute)
			r.User = w.user(ada)
			var got imported
			w.Do(t, "importTransactions", r).Decode(t, &got)
			require.Equal(t, strings.Repeat("c", 26), statuses(got), "%s %d", kind, n)
			total += 26
			found := 0
			start := store.Item(nil)
			for {
				out, err := store.NewTable(admin, "transactions").QueryIndex(t.Context(), "by-date", &dynamodb.QueryInput{KeyConditionExpression: aws.String("pk = :pk"),
					ExpressionAttributeValues: store.Item{":pk": store.S("USER#" + ada)}, ExclusiveStartKey: start})
				require.NoError(t, err)
				found += len(out.Items)
				if start = out.LastEvaluatedKey; start == nil {
					break
				}
			}
			require.Equal(t, total, found, "%s %d", kind, n)
		}
	}
	require.Equal(t, "dc", statuses(w.imports(t, ada, func() []body {
		w.imports(t, ada, row(body{"reference": "r1"}))
		return []body{row(body{"reference": "r1"}), row(body{"reference": "r2", "description": "\u00c9clair", "amount": "5", "currency": "EUR"})}
	}()...)))
	require.Equal(t, []string{"5.00"}, w.pages(t, []string{"currency", "EUR", "minAmount", "-1", "maxAmount", "5"}, amounts))
	require.Equal(t, []string{"5.00"}, w.pages(t, []string{"description", "\u00e9CLA"}, amounts))
	require.Len(t, w.list(t, ada, "description", "lunch", "limit", "100").Items, 100)

	w.category(t, ada, "mine", "Mine")
	w.Do(t, "createCategory", w.creating(ada, body{"id": "mine", "name": "x"})).Refused(t, 409, "category_exists")
	require.Equal(t, 200, w.do(t, "changeCategory", ada, "mine", body{"version": 1, "name": "Ours"}).Status)
	require.Equal(t, 200, w.do(t, "changeCategory", ada, "groceries", body{"version": 1, "name": "Food"}).Status)
	w.do(t, "changeCategory", ada, "groceries", body{"version": 1, "name": "Food"}).Refused(t, 409, "version_conflict")
	require.Equal(t, 204, w.do(t, "deleteCategory", ada, "income", nil).Status)
	w.do(t, "deleteCategory", ada, "income", nil).Refused(t, 404, "not_found")
	list := w.categories(t, ada)
	require.Len(t, list, 15)
	require.Equal(t, shownCategory{"groceries", "Food", "default", 2}, list["groceries"])
	require.Equal(t, shownCategory{"mine", "Ours", "own", 2}, list["mine"])
	w.budget(t, ada, "mine", "GBP", "5")
	w.Do(t, "createBudget", w.creating(ada, body{"category": "mine", "currency": "GBP", "limit": "9"})).Refused(t, 409, "budget_exists")
	w.do(t, "deleteCategory", ada, "mine", nil).Refused(t, 409, "category_in_use")
	require.Equal(t, 200, w.do(t, "changeBudget", ada, "mine.GBP", body{"version": 1, "limit": "6"}).Status)
	var b budgets
	w.Do(t, "listBudgets", w.listing(ada)).Decode(t, &b)
	require.Equal(t, "6.00", b.Items[0].Limit)
	require.Equal(t, 204, w.do(t, "deleteBudget", ada, "mine.GBP", nil).Status)
	require.Equal(t, 204, w.do(t, "deleteCategory", ada, "mine", nil).Status)
	require.JSONEq(t, `{"items":[]}`, w.Do(t, "listSummaries", w.listing(ada)).Body)
}
