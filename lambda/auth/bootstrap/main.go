// Command bootstrap is the auth-api function.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/expenzez/aws-backend/internal/awsconfig"
	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/internal/telemetry/xray"
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
	service := catalog.Auth()
	f, _ := service.Function("auth-api")
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
	handler, err := auth.New(auth.Deps{
		Values: values, Tables: auth.Bind(db, values), Tx: db,
		Cognito: newPool(cfg), Secrets: secretsmanager.NewFromConfig(cfg), KMS: kms.NewFromConfig(cfg),
		Log: log,
		Now: time.Now,
	})
	if err != nil {
		return nil, err
	}
	return xray.Trace(handler, f.Key, lookup, log), nil
}

// poolTimeout bounds one attempt at the user pool, which hashes passwords and sends mails before it answers.
const poolTimeout = 4 * time.Second

func newPool(cfg aws.Config) *cognitoidentityprovider.Client {
	return cognitoidentityprovider.NewFromConfig(cfg, func(o *cognitoidentityprovider.Options) {
		o.HTTPClient = awshttp.NewBuildableClient().WithTimeout(poolTimeout)
		o.RetryMaxAttempts = 2
	})
}
