package catalog

import (
	"slices"

	"github.com/expenzez/aws-backend/internal/service"
)

const (
	patternAmount   = `^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?$` // the currency decides how many decimals are allowed
	patternCurrency = `^[A-Z]{3}$`
	patternCategory = `^[a-z0-9]+(-[a-z0-9]+)*$`
	patternDate     = `^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$`
	patternMonth    = `^[0-9]{4}-(0[1-9]|1[0-2])$`
)

// Transactions declares what people record about their money.
func Transactions() service.Service {
	return service.Service{
		Key:  "transactions",
		Does: "Keeps what people record about their money.",
		Functions: []service.Function{{
			Key: "transactions-api", Does: "Creates, reads, lists, changes and deletes a person's transactions.",
			Size: service.SizeAPI,
			Tables: slices.Concat(admission(), []service.Access{
				{Table: "transactions", Actions: []string{"PutItem", "GetItem", "UpdateItem", "DeleteItem"}},
				{Table: "transactions", Index: "by-date", Actions: []string{"Query"}},
				{Table: "transactions", Index: "by-category", Actions: []string{"Query"}},
				{Table: "users", Actions: []string{"ConditionCheckItem"}},
				{Table: "idempotency", Actions: []string{"PutItem"}, Reason: "A repeated create must not record the money twice."},
			}),
			Routes: transactionRoutes(),
		}},
	}
}

func transactionRoutes() []service.Route {
	amount := service.Field{Name: "amount", Type: service.String, Required: true, Max: 21, Pattern: patternAmount, Does: "Decimal; negative is money spent."}
	currency := service.Field{Name: "currency", Type: service.String, Required: true, Min: 3, Max: 3, Pattern: patternCurrency, Does: "ISO 4217."}
	category := service.Field{Name: "category", Type: service.String, Required: true, Min: 1, Max: 40, Pattern: patternCategory}
	date := service.Field{Name: "date", Type: service.String, Required: true, Min: 10, Max: 10, Pattern: patternDate}
	description := service.Field{Name: "description", Type: service.String, Max: 200}
	version := service.Field{Name: "version", Type: service.Integer, Required: true, Min: 1, Does: "Grows by one with each change; a change names the version it was made from."}

	transaction := &service.Model{Name: "Transaction", Fields: []service.Field{
		{Name: "id", Type: service.String, Required: true}, amount, currency, category, date, description, version,
		{Name: "createdAt", Type: service.String, Required: true, Does: "RFC 3339, UTC."},
		{Name: "updatedAt", Type: service.String, Required: true, Does: "RFC 3339, UTC."},
	}}
	optional := func(f service.Field) service.Field { f.Required = false; return f }

	return []service.Route{
		{ID: "createTransaction", Method: "POST", Path: "/v1/transactions", Does: "Record a transaction.",
			Limit: service.LimitAPI, Idempotent: true, Status: 201, Response: transaction,
			Request: &service.Model{Name: "NewTransaction", Fields: []service.Field{amount, currency, category, date, description}}},
		{ID: "listTransactions", Method: "GET", Path: "/v1/transactions", Does: "List transactions, newest date first.",
			Limit: service.LimitAPI, Status: 200,
			Query: []service.Field{
				{Name: "month", Type: service.String, Pattern: patternMonth, Does: "Only this month, as 2026-01."},
				optional(category),
				{Name: "limit", Type: service.Integer, Min: 1, Max: 100, Does: "Page size; 50 unless given."},
				{Name: "cursor", Type: service.String, Max: 512, Does: "nextCursor of the page before."},
			},
			Response: &service.Model{Name: "TransactionPage", Fields: []service.Field{
				{Name: "items", Type: service.Array, Required: true, Model: transaction},
				{Name: "nextCursor", Type: service.String, Does: "Absent on the last page."},
			}}},
		{ID: "getTransaction", Method: "GET", Path: "/v1/transactions/{id}", Does: "Read a transaction.",
			Limit: service.LimitAPI, Status: 200, Response: transaction},
		{ID: "changeTransaction", Method: "PATCH", Path: "/v1/transactions/{id}", Does: "Change a transaction. Members that are absent stay as they are.",
			Limit: service.LimitAPI, Status: 200, Response: transaction,
			Request: &service.Model{Name: "TransactionChange", Fields: []service.Field{
				version, optional(amount), optional(currency), optional(category), optional(date), description}}},
		{ID: "deleteTransaction", Method: "DELETE", Path: "/v1/transactions/{id}", Does: "Delete a transaction.",
			Limit: service.LimitAPI, Status: 204},
	}
}
