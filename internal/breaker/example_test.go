package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/breaker"
	"github.com/expenzez/aws-backend/internal/retry"
)

// Breaker inside, retry outside: each attempt counts, and a rejection is not tried again.
func ExampleDo() {
	b := breaker.New("openai", breaker.Options{Code: "ai_unavailable", Timeout: 20 * time.Second, Slow: 8 * time.Second,
		Random: func() float64 { return 0.5 }})
	r := retry.New(retry.Policy{Random: func() float64 { return 0 }})
	chat := func(ctx context.Context) error {
		return r.Do(ctx, func(ctx context.Context, _ int) error {
			_, err := breaker.Do(ctx, b, func(context.Context) (string, error) {
				fmt.Println("called")
				return "", &breaker.StatusError{Status: 503}
			})
			return err
		}, func(err error) retry.Verdict {
			return retry.Verdict{Again: !errors.Is(err, breaker.ErrOpen)}
		})
	}
	fmt.Println(chat(context.Background()))
	fmt.Println(chat(context.Background()))
	e := apperr.From(chat(context.Background()))
	fmt.Println(b.State(), e.Code, e.RetryAfter.Round(time.Second))
	// Output:
	// called
	// called
	// called
	// the dependency answered with status 503
	// called
	// called
	// ai_unavailable: the circuit is open
	// open ai_unavailable 15s
}
