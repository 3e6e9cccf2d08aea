// Command consumer is a function that tells what it was invoked with. A message is written to the table, so that the
// table's stream invokes it too; one that says "fail" is answered as failed.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func main() { lambda.Start(handle) }

type event struct {
	Records []record `json:"Records"`
	Task    string   `json:"task"`
}

type record struct {
	Source string                      `json:"eventSource"`
	ID     string                      `json:"messageId"`
	Body   string                      `json:"body"`
	Event  string                      `json:"eventName"`
	Change events.DynamoDBStreamRecord `json:"dynamodb"`
}

func handle(ctx context.Context, payload json.RawMessage) (events.SQSEventResponse, error) {
	answer := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		return answer, err
	}
	if e.Task != "" {
		fmt.Println("schedule", e.Task)
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return answer, err
	}
	table := dynamodb.NewFromConfig(cfg)
	for _, r := range e.Records {
		switch {
		case r.Source == "aws:dynamodb":
			fmt.Println("stream", r.Event, r.Change.Keys["pk"].String())
		case r.Body == "fail":
			fmt.Println("queue", r.Body)
			answer.BatchItemFailures = append(answer.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: r.ID})
		default:
			fmt.Println("queue", r.Body)
			if _, err := table.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(os.Getenv("TABLE")), Item: map[string]types.AttributeValue{
				"pk": &types.AttributeValueMemberS{Value: r.Body},
			}}); err != nil {
				return answer, err
			}
		}
	}
	return answer, nil
}
