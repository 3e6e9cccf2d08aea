package meter_test

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/lambda/transactions/meter"
)

// An item in one index is two writes; moved there it is a write of the item, and two of the index.
func Example() {
	db := meter.New([]mem.Schema{{Name: "notes", Hash: "pk", Indexes: []mem.Index{{Name: "by-day", Hash: "pk", Range: "day"}}}})
	table := "notes"
	for _, day := range []string{"1", "2", "2"} {
		_, err := db.PutItem(context.Background(), &dynamodb.PutItemInput{TableName: &table, Item: store.Item{"pk": store.S("a"), "day": store.S(day)}})
		read, write := db.Reset()
		fmt.Println(read, write, err)
	}
	// Output:
	// 0 2 <nil>
	// 0 3 <nil>
	// 0 1 <nil>
}
