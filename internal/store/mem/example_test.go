package mem_test

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

// A view may do what it was granted. What else it tries is refused, and remembered.
func Example() {
	ctx := context.Background()
	db := mem.New(mem.Schema{Name: "orders", Hash: "pk"})
	reader := db.As(mem.Grant{Table: "orders", Actions: []string{"GetItem"}})
	table := store.NewTable(reader, "orders")

	_, err := table.PutItem(ctx, &dynamodb.PutItemInput{Item: store.Item{"pk": store.S("1")}})
	fmt.Println(err != nil, reader.Denied())
	_, err = table.GetItem(ctx, &dynamodb.GetItemInput{Key: store.Item{"pk": store.S("1")}})
	fmt.Println(err, reader.Used(), len(db.Items("orders")))
	// Output:
	// true [{orders  [PutItem]}]
	// <nil> [{orders  [GetItem]}] 0
}
