// Command bootstrap is the function of the transactions API.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"github.com/expenzez/aws-backend/internal/bootstrap"
	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/lambda/transactions"
)

func main() { bootstrap.Start(build) }

func build(lookup bootstrap.Lookup) (lambda.Handler, error) {
	return bootstrap.Build(catalog.Transactions(), "transactions-api", lookup, func(e bootstrap.Environment) (lambda.Handler, error) {
		return transactions.New(transactions.Deps{Values: e.Values, Tables: transactions.Bind(e.DB, e.Values), Tx: e.DB, Log: e.Log})
	})
}
