package money_test

import (
	"fmt"

	"github.com/expenzez/aws-backend/internal/money"
)

// An amount is a decimal on the wire and a whole number inside, so that sums are exact.
func Example() {
	lunch, _ := money.Parse("-12.5", "EUR")
	coffee, _ := money.Parse("-0.29", "EUR")
	sum, _ := money.Format(lunch+coffee, "EUR")
	fmt.Println(lunch, coffee, sum)

	yen, _ := money.Parse("1200", "JPY")
	fmt.Println(yen)
	_, err := money.Parse("0.001", "EUR")
	fmt.Println(err)
	// Output:
	// -1250 -29 -12.79
	// 1200
	// the amount has more decimals than its currency
}
