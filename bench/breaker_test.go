package bench

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/expenzez/aws-backend/internal/breaker"
)

// A call through a healthy circuit. The library alone counts failures only, and by a clock that stops with the sandbox.
func BenchmarkBreaker(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		c := breaker.New("x", breaker.Options{})
		call := func(context.Context) (int, error) { return 1, nil }
		b.ReportAllocs()
		for b.Loop() {
			if _, err := breaker.Do(b.Context(), c, call); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("gobreaker", func(b *testing.B) {
		c := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{Interval: 10 * time.Second, BucketPeriod: time.Second})
		call := func() (int, error) { return 1, nil }
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Execute(call); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A call that an open circuit rejects: what a request costs while the dependency is down.
func BenchmarkBreakerOpen(b *testing.B) {
	down := &breaker.StatusError{Status: 503}
	b.Run("ours", func(b *testing.B) {
		c := breaker.New("x", breaker.Options{Random: func() float64 { return 1 }})
		call := func(context.Context) (int, error) { return 0, down }
		for range 5 {
			_, _ = breaker.Do(b.Context(), c, call)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := breaker.Do(b.Context(), c, call); !errors.Is(err, breaker.ErrOpen) {
				b.Fatal(err)
			}
		}
	})
	b.Run("gobreaker", func(b *testing.B) {
		c := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{})
		call := func() (int, error) { return 0, down }
		for range 6 {
			_, _ = c.Execute(call)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Execute(call); !errors.Is(err, gobreaker.ErrOpenState) {
				b.Fatal(err)
			}
		}
	})
}
