// Command bootstrap is the function behind the stream of transactions.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/expenzez/aws-backend/internal/bootstrap"
	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/queue"
	"github.com/expenzez/aws-backend/internal/retry"
	"github.com/expenzez/aws-backend/lambda/transactionsstream"
)

func main() { bootstrap.Start(build) }

func build(lookup bootstrap.Lookup) (lambda.Handler, error) {
	return bootstrap.Build(catalog.Transactions(), "transactions-stream", lookup, func(e bootstrap.Environment) (lambda.Handler, error) {
		events, err := sender(e.AWS, e.Values.Queue("notifications"))
		if err != nil {
			return nil, err
		}
		return transactionsstream.New(transactionsstream.Deps{Tables: transactionsstream.Bind(e.DB, e.Values), Tx: e.DB, Sender: events, Log: e.Log})
	})
}

// sender sends events to the queue with that URL; there is none while the declaration does not say that the function sends
// to it.
func sender(cfg aws.Config, url string) (transactionsstream.Sender, error) {
	if url == "" {
		return nil, nil
	}
	return queue.New[transactionsstream.Event](sqs.NewFromConfig(cfg), url, retry.Policy{})
}
