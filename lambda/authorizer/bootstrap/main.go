// Command bootstrap is the authorizer function.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/expenzez/aws-backend/internal/awsconfig"
	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/internal/telemetry/xray"
	"github.com/expenzez/aws-backend/internal/token"
	"github.com/expenzez/aws-backend/lambda/authorizer"
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
	service := catalog.Auth()
	f, _ := service.Function("authorizer")
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
	keys := token.NewKeys(store.NewTable(db, values.Table("signing-keys")), token.KeysOptions{})
	return xray.Trace(authorizer.New(token.NewVerifier(values.Issuer, keys, time.Now), log, time.Now), f.Key, lookup, log), nil
}
