package storetest_test

import (
	"fmt"

	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/storetest"
)

// What a function's tables let it do is compared with what is declared for it.
func Example() {
	var tables struct {
		Users        store.Getter
		Transactions interface {
			store.Putter
			store.BatchWriter
		}
	}
	fmt.Println(storetest.Access(tables))
	fmt.Println(storetest.Declared([]service.Access{{Table: "users", Actions: []string{"GetItem"}}, {Table: "transactions", Actions: []string{"PutItem", "BatchWriteItem"}}}))
	// Output:
	// [transactions: BatchWriteItem transactions: PutItem users: GetItem]
	// [transactions: BatchWriteItem transactions: PutItem users: GetItem]
}
