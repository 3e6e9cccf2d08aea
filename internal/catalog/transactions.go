package catalog

import (
	"slices"

	"github.com/expenzez/aws-backend/internal/service"
)

const (
	patternAmount    = `^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?$` // the currency decides how many decimals are allowed
	patternLimit     = `^(0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?$`
	patternCurrency  = `^[A-Z]{3}$`
	patternCategory  = `^[a-z0-9]+(-[a-z0-9]+)*$`
	patternDate      = `^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$`
	patternMonth     = `^[0-9]{4}-(0[1-9]|1[0-2])$`
	patternReference = `^[!-~]+$`
)

// ImportBody is how many bytes an import may have, and ImportRows how many rows.
const (
	ImportBody = 256 << 10
	ImportRows = 500
)

// Transactions declares what people record about their money.
func Transactions() service.Service {
	return service.Service{
		Key:  "transactions",
		Does: "Keeps what people record about their money.",
		Functions: []service.Function{{
			Key: "transactions-stream", Does: "Adds up transactions by month, currency and category, and finds the budgets that they use up.",
			Size: service.SizeStream,
			// Beside transactions the table has the marks of imports.
			Streams: []service.Stream{{Table: "transactions", Filters: []string{`{"dynamodb":{"Keys":{"sk":{"S":[{"prefix":"TX#"}]}}}}`}}},
			Tables: []service.Access{
				{Table: "monthly-summaries", Actions: []string{"GetItem", "PutItem", "UpdateItem", "DeleteItem"}},
				{Table: "budgets", Actions: []string{"GetItem"}},
			},
		}, {
			Key: "transactions-api", Does: "Keeps a person's transactions, categories and budgets, and shows what they add up to.",
			Size: service.SizeAPI,
			Tables: slices.Concat(admission(), []service.Access{
				{Table: "transactions", Actions: []string{"PutItem", "GetItem", "UpdateItem", "DeleteItem"}},
				{Table: "transactions", Index: "by-date", Actions: []string{"Query"}},
				{Table: "transactions", Index: "by-category", Actions: []string{"Query"}},
				{Table: "transactions", Index: "by-amount", Actions: []string{"Query"}},
				{Table: "transactions", Index: "by-description", Actions: []string{"Query"}},
				{Table: "budgets", Actions: []string{"PutItem", "GetItem", "UpdateItem", "DeleteItem", "Query"}},
				{Table: "monthly-summaries", Actions: []string{"Query"}},
				{Table: "users", Actions: []string{"ConditionCheckItem"}},
				{Table: "idempotency", Actions: []string{"PutItem", "UpdateItem"}, Reason: "A repeated create or import must not record the money twice."},
			}),
			Routes: slices.Concat(transactionRoutes(), categoryRoutes(), budgetRoutes(), summaryRoutes()),
		}},
	}
}

// The members that several models have.
var (
	fieldAmount   = service.Field{Name: "amount", Type: service.String, Required: true, Max: 21, Pattern: patternAmount, Does: "Decimal; negative is money spent."}
	fieldCurrency = service.Field{Name: "currency", Type: service.String, Required: true, Min: 3, Max: 3, Pattern: patternCurrency, Does: "ISO 4217."}
	fieldCategory = service.Field{Name: "category", Type: service.String, Required: true, Min: 1, Max: 40, Pattern: patternCategory}
	fieldVersion  = service.Field{Name: "version", Type: service.Integer, Required: true, Min: 1, Does: "Grows by one with each change; a change names the version it was made from."}
	fieldMonth    = service.Field{Name: "month", Type: service.String, Pattern: patternMonth, Does: "Only this month, as 2026-01."}
	fieldCreated  = service.Field{Name: "createdAt", Type: service.String, Required: true, Does: "RFC 3339, UTC."}
	fieldUpdated  = service.Field{Name: "updatedAt", Type: service.String, Required: true, Does: "RFC 3339, UTC."}
	fieldLimit    = service.Field{Name: "limit", Type: service.Integer, Min: 1, Max: 100, Does: "Page size; 50 unless given."}
	fieldCursor   = service.Field{Name: "cursor", Type: service.String, Max: 512, Does: "nextCursor of the page before."}
	fieldNext     = service.Field{Name: "nextCursor", Type: service.String, Does: "Absent on the last page."}
)

func optional(f service.Field) service.Field { f.Required = false; return f }

func items(of *service.Model) service.Field {
	return service.Field{Name: "items", Type: service.Array, Required: true, Model: of}
}

// NewTransaction is the model of a transaction that is to be recorded. Each row of an import must fit it, too, but for its
// reference.
func NewTransaction() service.Model {
	return service.Model{Name: "NewTransaction", Fields: []service.Field{fieldAmount, fieldCurrency, fieldCategory,
		{Name: "date", Type: service.String, Required: true, Min: 10, Max: 10, Pattern: patternDate},
		{Name: "description", Type: service.String, Max: 200}}}
}

func transactionRoutes() []service.Route {
	created := NewTransaction()
	date, description := created.Fields[3], created.Fields[4]
	transaction := &service.Model{Name: "Transaction", Fields: []service.Field{
		{Name: "id", Type: service.String, Required: true}, fieldAmount, fieldCurrency, fieldCategory, date, description, fieldVersion, fieldCreated, fieldUpdated,
	}}
	bound := func(name, does string) service.Field {
		return service.Field{Name: name, Type: service.String, Max: 21, Pattern: patternAmount, Does: does}
	}
	return []service.Route{
		{ID: "createTransaction", Method: "POST", Path: "/v1/transactions", Does: "Record a transaction.",
			Limit: service.LimitAPI, Idempotent: true, Status: 201, Response: transaction, Request: &created},
		importRoute(),
		{ID: "listTransactions", Method: "GET", Path: "/v1/transactions",
			Does:  "List transactions: all, or those of a month, a category or both, newest date first; those of a currency by amount, the largest first; or those whose description begins with a text, in its order.",
			Limit: service.LimitAPI, Status: 200,
			Query: []service.Field{
				fieldMonth, optional(fieldCategory),
				{Name: "currency", Type: service.String, Min: 3, Max: 3, Pattern: patternCurrency, Does: "Only this currency, by amount. It goes with minAmount and maxAmount only."},
				bound("minAmount", "At least this amount; needs currency."), bound("maxAmount", "At most this amount; needs currency."),
				{Name: "description", Type: service.String, Min: 1, Max: 40, Does: "What the description begins with; upper and lower case are one. It goes with no other filter."},
				fieldLimit, fieldCursor,
			},
			Response: &service.Model{Name: "TransactionPage", Fields: []service.Field{items(transaction), fieldNext}}},
		{ID: "getTransaction", Method: "GET", Path: "/v1/transactions/{id}", Does: "Read a transaction.",
			Limit: service.LimitAPI, Status: 200, Response: transaction},
		{ID: "changeTransaction", Method: "PATCH", Path: "/v1/transactions/{id}", Does: "Change a transaction. Members that are absent stay as they are.",
			Limit: service.LimitAPI, Status: 200, Response: transaction,
			Request: &service.Model{Name: "TransactionChange", Fields: []service.Field{
				fieldVersion, optional(fieldAmount), optional(fieldCurrency), optional(fieldCategory), optional(date), description}}},
		{ID: "deleteTransaction", Method: "DELETE", Path: "/v1/transactions/{id}", Does: "Delete a transaction.",
			Limit: service.LimitAPI, Status: 204},
	}
}

// importRoute has a model of rows that says only of which type their members are: what they say is judged row by row, by
// the function, and one row that is wrong does not refuse the others.
func importRoute() service.Route {
	text := func(name, does string) service.Field {
		return service.Field{Name: name, Type: service.String, Does: does}
	}
	fault := &service.Model{Name: "RowFault", Fields: []service.Field{
		{Name: "pointer", Type: service.String, Required: true, Does: "Where in the body (RFC 6901)."}, {Name: "code", Type: service.String, Required: true}}}
	return service.Route{ID: "importTransactions", Method: "POST", Path: "/v1/transactions/import",
		Does:  "Record many transactions. Each row stands for itself, and the answer says what became of it.",
		Limit: service.LimitAPI, Idempotent: true, Status: 200, MaxBody: ImportBody,
		Request: &service.Model{Name: "Import", Fields: []service.Field{{Name: "rows", Type: service.Array, Required: true, Min: 1, Max: ImportRows,
			Model: &service.Model{Name: "ImportRow", Fields: []service.Field{
				text("amount", "As of a transaction."), text("currency", "As of a transaction."), text("category", "As of a transaction."),
				text("date", "As of a transaction."), text("description", "As of a transaction."),
				text("reference", "What names the row where it comes from, 1 to 64 visible ASCII characters. A row whose reference was imported before is a duplicate while that transaction exists."),
			}}}}},
		Response: &service.Model{Name: "ImportResult", Fields: []service.Field{{Name: "rows", Type: service.Array, Required: true, Does: "In the order of the request's.",
			Model: &service.Model{Name: "RowResult", Fields: []service.Field{
				{Name: "status", Type: service.String, Required: true, Enum: []string{"created", "duplicate", "invalid"}},
				{Name: "id", Type: service.String, Does: "Of the transaction that the row made, or is a duplicate of."},
				{Name: "errors", Type: service.Array, Model: fault, Does: "What is wrong with an invalid row."},
			}}}}}}
}

// RowReference is what a reference of a row is.
func RowReference() service.Field {
	return service.Field{Name: "reference", Type: service.String, Min: 1, Max: 64, Pattern: patternReference}
}

func categoryRoutes() []service.Route {
	id := service.Field{Name: "id", Type: service.String, Required: true, Min: 1, Max: 40, Pattern: patternCategory, Does: "What transactions and budgets say as category. It never changes."}
	name := service.Field{Name: "name", Type: service.String, Required: true, Min: 1, Max: 60}
	category := &service.Model{Name: "Category", Fields: []service.Field{id, name,
		{Name: "origin", Type: service.String, Required: true, Enum: []string{"default", "own"}}, fieldVersion}}
	return []service.Route{
		{ID: "createCategory", Method: "POST", Path: "/v1/categories", Does: "Name a category of one's own.",
			Limit: service.LimitAPI, Idempotent: true, Status: 201, Response: category,
			Request: &service.Model{Name: "NewCategory", Fields: []service.Field{id, name}}},
		{ID: "listCategories", Method: "GET", Path: "/v1/categories", Does: "List all categories in the order of their ids. A change that another request made shows within 30 seconds.",
			Limit: service.LimitAPI, Status: 200, Response: &service.Model{Name: "Categories", Fields: []service.Field{items(category)}}},
		{ID: "getCategory", Method: "GET", Path: "/v1/categories/{id}", Does: "Read a category.",
			Limit: service.LimitAPI, Status: 200, Response: category},
		{ID: "changeCategory", Method: "PATCH", Path: "/v1/categories/{id}", Does: "Give a category another name.",
			Limit: service.LimitAPI, Status: 200, Response: category,
			Request: &service.Model{Name: "CategoryChange", Fields: []service.Field{fieldVersion, name}}},
		{ID: "deleteCategory", Method: "DELETE", Path: "/v1/categories/{id}", Does: "Take a category off the list. Transactions keep it; a category with a budget stays.",
			Limit: service.LimitAPI, Status: 204},
	}
}

func budgetRoutes() []service.Route {
	limit := service.Field{Name: "limit", Type: service.String, Required: true, Max: 20, Pattern: patternLimit, Does: "Decimal, more than zero: what may be spent in each month."}
	budget := &service.Model{Name: "Budget", Fields: []service.Field{
		{Name: "id", Type: service.String, Required: true, Does: "Category and currency: food.GBP."}, fieldCategory, fieldCurrency, limit, fieldVersion, fieldCreated, fieldUpdated}}
	return []service.Route{
		{ID: "createBudget", Method: "POST", Path: "/v1/budgets", Does: "Set a budget for a category in a currency. There is one of each.",
			Limit: service.LimitAPI, Idempotent: true, Status: 201, Response: budget,
			Request: &service.Model{Name: "NewBudget", Fields: []service.Field{fieldCategory, fieldCurrency, limit}}},
		{ID: "listBudgets", Method: "GET", Path: "/v1/budgets", Does: "List budgets in the order of their ids.",
			Limit: service.LimitAPI, Status: 200, Query: []service.Field{fieldLimit, fieldCursor},
			Response: &service.Model{Name: "BudgetPage", Fields: []service.Field{items(budget), fieldNext}}},
		{ID: "getBudget", Method: "GET", Path: "/v1/budgets/{id}", Does: "Read a budget.",
			Limit: service.LimitAPI, Status: 200, Response: budget},
		{ID: "changeBudget", Method: "PATCH", Path: "/v1/budgets/{id}", Does: "Change the limit of a budget.",
			Limit: service.LimitAPI, Status: 200, Response: budget,
			Request: &service.Model{Name: "BudgetChange", Fields: []service.Field{fieldVersion, limit}}},
		{ID: "deleteBudget", Method: "DELETE", Path: "/v1/budgets/{id}", Does: "Delete a budget.",
			Limit: service.LimitAPI, Status: 204,
			Query: []service.Field{{Name: "version", Type: service.Integer, Min: 1, Does: "Only if it has this version."}}},
	}
}

func summaryRoutes() []service.Route {
	minor := func(name, does string) service.Field {
		return service.Field{Name: name, Type: service.String, Required: true, Does: does + " In the minor unit of the currency, as a whole number without bound."}
	}
	summary := &service.Model{Name: "Summary", Fields: []service.Field{
		{Name: "month", Type: service.String, Required: true}, fieldCurrency, fieldCategory,
		{Name: "count", Type: service.Integer, Required: true, Does: "How many transactions there are."},
		minor("spent", "The sum of the negative amounts, without the minus."), minor("received", "The sum of the others.")}}
	return []service.Route{
		{ID: "listSummaries", Method: "GET", Path: "/v1/summaries", Does: "What was spent and received by month, currency and category, newest month first. It follows the transactions by some seconds.",
			Limit: service.LimitAPI, Status: 200, Query: []service.Field{fieldMonth, fieldLimit, fieldCursor},
			Response: &service.Model{Name: "SummaryPage", Fields: []service.Field{items(summary), fieldNext}}},
	}
}
