package events_test

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/expenzez/aws-backend/internal/deployment"
	"github.com/expenzez/aws-backend/internal/local/events"
	"github.com/expenzez/aws-backend/internal/local/lambda"
)

func Example() {
	function := "arn:aws:lambda:eu-west-2:111122223333:function:cleaner"
	d, err := events.New(events.Config{
		Deployment: &deployment.Deployment{Resources: []deployment.Resource{
			{Type: "aws:lambda/function:Function", Outputs: map[string]any{"arn": function, "role": "arn:aws:iam::111122223333:role/cleaner"}},
			{Type: "aws:scheduler/schedule:Schedule", Inputs: map[string]any{
				"name": "nightly", "groupName": "default", "scheduleExpression": "cron(0 3 * * ? *)", "flexibleTimeWindow": map[string]any{"mode": "OFF"},
				"target": map[string]any{"arn": function + ":live", "roleArn": "arn:aws:iam::111122223333:role/scheduler", "input": `{"task":"sweep"}`},
			}},
		}},
		Invoke: func(_ context.Context, arn string, payload []byte) (lambda.Result, error) {
			fmt.Println(arn, string(payload))
			return lambda.Result{Payload: []byte("null")}, nil
		},
		Credentials: func(context.Context, string) (string, string, string, error) { return "id", "secret", "token", nil },
		Endpoint:    "http://127.0.0.1:4566",
		Operator:    credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	d.Start()
	if err := d.Run(context.Background(), "nightly"); err != nil {
		fmt.Println(err)
	}
	if err := d.Close(); err != nil {
		fmt.Println(err)
	}
	// Output: arn:aws:lambda:eu-west-2:111122223333:function:cleaner:live {"task":"sweep"}
}
