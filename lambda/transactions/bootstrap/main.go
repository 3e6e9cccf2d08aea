// Command bootstrap is the function of the transactions API.
package main

import (
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/expenzez/aws-backend/internal/awsconfig"
	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/internal/telemetry/xray"
	"github.com/expenzez/aws-backend/lambda/transactions"
)

func main() {
	handler, err := build(os.LookupEnv)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lambda.Start(handler)
}

func build(lookup func(string) (string, bool)) (lambda.Handler, error) {
	service := catalog.Transactions()
	f, _ := service.Function("transactions-api")
	values, err := environ.Read(f, lookup)
	if err != nil {
		return nil, err
	}
	cfg, err := awsconfig.Load(lookup)
	if err != nil {
		return nil, err
	}
	log := telemetry.New(os.Stdout, telemetry.Options{Environment: values.Environment, Service: service.Key, Function: f.Key, Version: lambdacontext.FunctionVersion})
	db := store.Open(cfg, store.Options{})
	handler, err := transactions.New(transactions.Deps{Values: values, Tables: transactions.Bind(db, values), Tx: db, Log: log})
	if err != nil {
		return nil, err
	}
	return xray.Trace(handler, f.Key, lookup, log), nil
}
