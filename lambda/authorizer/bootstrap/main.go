// Command bootstrap is the authorizer function.
package main

import (
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/expenzez/aws-backend/internal/bootstrap"
	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/token"
	"github.com/expenzez/aws-backend/lambda/authorizer"
)

func main() { bootstrap.Start(build) }

func build(lookup bootstrap.Lookup) (lambda.Handler, error) {
	return bootstrap.Build(catalog.Auth(), "authorizer", lookup, func(e bootstrap.Environment) (lambda.Handler, error) {
		keys := token.NewKeys(store.NewTable(e.DB, e.Values.Table("signing-keys")), token.KeysOptions{})
		return authorizer.New(token.NewVerifier(e.Values.Issuer, keys, time.Now), e.Log, time.Now), nil
	})
}
