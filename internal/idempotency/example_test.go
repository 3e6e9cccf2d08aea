package idempotency_test

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/idempotency"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

// A client sends a payment twice, because it did not hear the first answer.
func Example() {
	db := mem.New(mem.Schema{Name: "idempotency", Hash: "pk"}, mem.Schema{Name: "payments", Hash: "pk"})
	records := idempotency.New(store.NewTable(db, "idempotency"), nil)
	payments := store.NewTable(db, "payments")

	for _, id := range []string{"p1", "p2"} {
		req := idempotency.Request{User: "ada", Route: "createPayment", Key: "tap-00000001", Payload: []byte(`{"amount":"5.00"}`), Now: time.Now()}
		answer := idempotency.Answer{Status: 201, Body: []byte(`{"id":"` + id + `"}`)}
		answer, err := records.Once(context.Background(), db, req, answer, payments.PutWrite(types.Put{Item: store.Item{"pk": store.S(id)}}))
		fmt.Println(answer.Status, string(answer.Body), answer.Replayed, err)
	}
	fmt.Println(len(db.Items("payments")), "payment")
	// Output:
	// 201 {"id":"p1"} false <nil>
	// 201 {"id":"p1"} true <nil>
	// 1 payment
}

// The payment is made by somebody else, who is told the same key each time.
func ExampleLeases_Run() {
	db := mem.New(mem.Schema{Name: "idempotency", Hash: "pk"})
	leases := idempotency.NewLeases(store.NewTable(db, "idempotency"), nil, idempotency.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	for range 2 {
		req := idempotency.Request{User: "ada", Route: "charge", Key: "tap-00000001", Payload: []byte(`{"amount":"5.00"}`), Now: time.Now()}
		answer, err := leases.Run(ctx, req, idempotency.Unknown, func(_ context.Context, downstreamKey string) (idempotency.Answer, error) {
			fmt.Println("charged under a key of", len(downstreamKey), "characters")
			return idempotency.Answer{Status: 201, Body: []byte(`{"charge":"c1"}`)}, nil
		})
		fmt.Println(answer.Status, string(answer.Body), answer.Replayed, err)
	}
	// Output:
	// charged under a key of 43 characters
	// 201 {"charge":"c1"} false <nil>
	// 201 {"charge":"c1"} true <nil>
}
