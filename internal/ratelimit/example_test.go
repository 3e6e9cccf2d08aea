package ratelimit_test

import (
	"context"
	"fmt"
	"time"

	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/ratelimit"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

// Two requests a minute, then no more.
func Example() {
	ctx, now := context.Background(), time.Unix(1_800_000_000, 0)
	table := store.NewTable(mem.New(mem.Schema{Name: "rate-limits", Hash: "pk"}), "rate-limits")
	f := service.Function{Routes: []service.Route{{ID: "list", Limit: service.LimitAPI}}}
	limiter, err := ratelimit.New(table, f, map[service.Limit]environ.Limit{service.LimitAPI: {Max: 2, Per: time.Minute}},
		ratelimit.Options{Now: func() time.Time { return now }, Random: func() float64 { return 0 }})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		v, err := limiter.Count(ctx, []rest.Count{{Class: service.LimitAPI, Route: "list", Subject: "user:ada"}})
		fmt.Println(v.Allowed, v.Headers["RateLimit"], v.RetryAfter, err)
	}
	// Output:
	// true "api";r=1;t=66 0s <nil>
	// true "api";r=0;t=66 0s <nil>
	// false "api";r=0;t=66 1m6s <nil>
}

// An answer of a language model is counted by what it may cost, and then by what it did.
func ExampleLimiter_Charge() {
	ctx := context.Background()
	table := store.NewTable(mem.New(mem.Schema{Name: "rate-limits", Hash: "pk"}), "rate-limits")
	f := service.Function{Routes: []service.Route{{ID: "chat", Limit: service.LimitAI}}}
	limiter, err := ratelimit.New(table, f, map[service.Limit]environ.Limit{service.LimitAI: {Max: 1000, Per: time.Hour}}, ratelimit.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		v, charge, err := limiter.Charge(ctx, rest.Count{Class: service.LimitAI, Route: "chat", Subject: "user:ada", Cost: 600})
		fmt.Println(v.Allowed, err)
		if charge != nil {
			fmt.Println(limiter.Adjust(ctx, charge, 150))
		}
	}
	// Output:
	// true <nil>
	// <nil>
	// true <nil>
	// <nil>
	// true <nil>
	// <nil>
}
