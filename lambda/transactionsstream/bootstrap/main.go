// Command bootstrap is the function behind the stream of transactions.
package main

import (
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/expenzez/aws-backend/internal/awsconfig"
	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/queue"
	"github.com/expenzez/aws-backend/internal/retry"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/internal/telemetry/xray"
	"github.com/expenzez/aws-backend/lambda/transactionsstream"
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
	f, _ := service.Function("transactions-stream")
	values, err := environ.Read(f, lookup)
	if err != nil {
		return nil, err
	}
	cfg, err := awsconfig.Load(lookup)
	if err != nil {
		return nil, err
	}
	events, err := sender(cfg, values.Queue("notifications"))
	if err != nil {
		return nil, err
	}
	log := telemetry.New(os.Stdout, telemetry.Options{Environment: values.Environment, Service: service.Key, Function: f.Key, Version: lambdacontext.FunctionVersion})
	db := store.Open(cfg, store.Options{})
	handler, err := transactionsstream.New(transactionsstream.Deps{Tables: transactionsstream.Bind(db, values), Tx: db, Sender: events, Log: log})
	if err != nil {
		return nil, err
	}
	return xray.Trace(handler, f.Key, lookup, log), nil
}

// sender sends events to the queue with that URL; there is none while the declaration does not say that the function sends
// to it.
func sender(cfg aws.Config, url string) (transactionsstream.Sender, error) {
	if url == "" {
		return nil, nil
	}
	return queue.New[transactionsstream.Event](sqs.NewFromConfig(cfg), url, retry.Policy{})
}
