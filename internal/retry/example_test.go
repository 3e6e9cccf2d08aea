package retry_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/expenzez/aws-backend/internal/retry"
)

func ExampleRetrier_Do() {
	busy := errors.New("busy")
	r := retry.New(retry.Policy{Random: func() float64 { return 0 }})
	err := r.Do(context.Background(), func(_ context.Context, n int) error {
		fmt.Println("attempt", n)
		if n < 3 {
			return busy
		}
		return nil
	}, func(err error) retry.Verdict { return retry.Verdict{Again: errors.Is(err, busy)} })
	fmt.Println(err)
	// Output:
	// attempt 1
	// attempt 2
	// attempt 3
	// <nil>
}
