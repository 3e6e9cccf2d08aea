package ledger_test

import (
	"fmt"

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/lambda/transactions/ledger"
)

// Where a transaction counts, and what it adds.
func Example() {
	e, err := ledger.EntryOf(store.Item{"amount": store.N(-1250), "currency": store.S("GBP"), "category": store.S("food"), "date": store.S("2026-11-24")})
	fmt.Println(e.Month, e.Currency, e.Category, ledger.Spent(e.Minor), ledger.Received(e.Minor), err)
	fmt.Println(store.Read(e.Key("ada")).S("pk"), store.Read(e.Key("ada")).S("sk"))
	// Output:
	// 2026-11 GBP food 1250 0 <nil>
	// USER#ada SUM#2026-11#GBP#food
}
