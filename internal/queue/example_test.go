package queue_test

import (
	"context"
	"fmt"

	"github.com/expenzez/aws-backend/internal/queue"
	"github.com/expenzez/aws-backend/internal/retry"
)

// On AWS the URL is environ.Values.Queue("parcels") and the API is sqs.NewFromConfig of what awsconfig.Load gives.
func ExampleSender_SendBatch() {
	type parcel struct {
		Order string `json:"order"`
	}
	memory := queue.NewMemory("parcels")
	sender, err := queue.New[parcel](memory, "parcels", retry.Policy{})
	if err != nil {
		fmt.Println(err)
		return
	}
	left, err := sender.SendBatch(context.Background(), []parcel{{"7"}, {"8"}})
	fmt.Println(len(left), err)
	for _, body := range memory.Messages("parcels") {
		fmt.Println(body)
	}
	// Output:
	// 0 <nil>
	// {"order":"7"}
	// {"order":"8"}
}
