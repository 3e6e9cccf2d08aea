package stream_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-lambda-go/events"

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/stream"
)

// Of three changes the first fails. The next one of that item waits for it; that of another item goes on.
func Example() {
	event := events.DynamoDBEvent{}
	for i, name := range []string{"tea", "tea", "rent"} {
		event.Records = append(event.Records, events.DynamoDBEventRecord{EventID: fmt.Sprint("id-", i), EventName: "INSERT",
			Change: events.DynamoDBStreamRecord{SequenceNumber: fmt.Sprint("sequence-", i), Keys: map[string]events.DynamoDBAttributeValue{"pk": events.NewStringAttribute(name)}}})
	}
	answer := stream.Handle(context.Background(), event, stream.WithoutExpired(func(_ context.Context, r stream.Record) error {
		if name := store.Read(r.Keys).S("pk"); name == "tea" {
			return errors.New("no room for tea")
		}
		fmt.Println("handled", r.ID)
		return nil
	}))
	fmt.Println(answer.BatchItemFailures)
	// Output:
	// handled id-2
	// [{sequence-0} {sequence-1}]
}
