package transactionsstream_test

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/store/storetest"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/lambda/transactions/ledger"
	"github.com/expenzez/aws-backend/lambda/transactionsstream"
)

// A transaction comes twice. It is added once, and its budget's events are sent once.
func Example() {
	ctx, db, queue := context.Background(), mem.New(storetest.Schemas(catalog.Backend().Tables)...), &transactionsstream.Memory{}
	table := "budgets"
	budget := ledger.Budget{UID: "b1", Category: "food", Currency: "GBP", Limit: 5000, Version: 1}
	if _, err := db.PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: budget.Item("ada")}); err != nil {
		fmt.Println(err)
	}
	handler, err := transactionsstream.New(transactionsstream.Deps{Tables: transactionsstream.Bind(db, values()), Tx: db, Sender: queue,
		Log: telemetry.New(io.Discard, telemetry.Options{}), Now: func() time.Time { return start }})
	if err != nil {
		fmt.Println(err)
	}
	key := store.Item{"pk": store.S("USER#ada"), "sk": store.S("TX#1")}
	item := store.Item{"amount": store.N(-4200), "currency": store.S("GBP"), "category": store.S("food"), "date": store.S("2027-01-10")}
	record := events.DynamoDBEventRecord{EventID: "e1", EventName: "INSERT", Change: events.DynamoDBStreamRecord{SequenceNumber: "1", Keys: image(key), NewImage: image(item)}}
	for range 2 {
		answer, err := handler.Invoke(ctx, example(record))
		fmt.Println(string(answer), err)
	}
	for _, s := range db.Items("monthly-summaries") {
		if sum, err := ledger.SummaryOf(s); err == nil {
			fmt.Println(sum.Month, sum.Currency, sum.Category, sum.Count, sum.Spent, sum.Received)
		}
	}
	for _, e := range queue.Sent() {
		fmt.Println(e.Kind, e.Data.Threshold, e.Data.Spent, e.Data.Limit)
	}
	// Output:
	// {"batchItemFailures":[]} <nil>
	// {"batchItemFailures":[]} <nil>
	// 2027-01 GBP food 1 4200 0
	// budget 80 4200 5000
}
