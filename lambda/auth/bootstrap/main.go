// Command bootstrap is the auth-api function.
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
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/lambda/auth"
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
	f, _ := catalog.Auth().Function("auth-api")
	values, err := environ.Read(f, lookup)
	if err != nil {
		return nil, err
	}
	cfg, err := awsconfig.Load(lookup)
	if err != nil {
		return nil, err
	}
	db := newTables(cfg)
	return auth.New(auth.Deps{
		Values: values, Tables: auth.Bind(db, values), Tx: db,
		Cognito: newPool(cfg), Secrets: newSecrets(cfg), KMS: newKey(cfg),
		Log: telemetry.New(os.Stdout, telemetry.Options{Environment: values.Environment, Function: f.Key, Version: lambdacontext.FunctionVersion}),
		Now: time.Now,
	})
}
