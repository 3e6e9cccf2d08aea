package transactions_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/store/storetest"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/lambda/transactions"
)

// A person imports two rows, one of which is wrong. Somebody else sees nothing of it.
func Example() {
	ctx, db := context.Background(), mem.New(storetest.Schemas(catalog.Backend().Tables)...)
	users := "users"
	for _, who := range []string{ada, bob} {
		if _, err := db.PutItem(ctx, &dynamodb.PutItemInput{TableName: &users, Item: store.Item{"pk": store.S("USER#" + who), "status": store.S("active")}}); err != nil {
			fmt.Println(err)
		}
	}
	h, err := transactions.New(transactions.Deps{Values: values(generous), Tables: transactions.Bind(db, values(generous)), Tx: db,
		Log: telemetry.New(io.Discard, telemetry.Options{}), Now: func() time.Time { return start }})
	if err != nil {
		fmt.Println(err)
	}
	ask := func(who, method, path, body string) {
		event, err := json.Marshal(map[string]any{"resource": path, "httpMethod": method, "body": body,
			"multiValueHeaders": map[string][]string{"Content-Type": {"application/json"}, "Idempotency-Key": {"november-2026"}},
			"requestContext":    map[string]any{"authorizer": map[string]string{"sub": who, "sid": "s", "iat": "1800000000", "exp": "1800000900"}}})
		if err != nil {
			fmt.Println(err)
		}
		out, err := h.Invoke(ctx, event)
		var answer struct {
			Status int    `json:"statusCode"`
			Body   string `json:"body"`
		}
		if json.Unmarshal(out, &answer) != nil || err != nil {
			fmt.Println(err)
		}
		fmt.Println(answer.Status, answer.Body)
	}
	ask(ada, "POST", "/v1/transactions/import", `{"rows":[
		{"amount":"-12.50","currency":"GBP","category":"groceries","date":"2026-11-24","reference":"bank-1"},
		{"amount":"-12.505","currency":"GBP","category":"groceries","date":"2026-11-24"}]}`)
	ask(bob, "GET", "/v1/transactions", "")
	// Output:
	// 200 {"rows":[{"status":"created","id":"411bd75e-53fa-8ffe-92a8-8a591411c216"},{"status":"invalid","errors":[{"pointer":"/rows/1/amount","code":"decimals"}]}]}
	// 200 {"items":[]}
}
