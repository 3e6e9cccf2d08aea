package ratelimit

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/service"
)

// Ten slots are never less than the window, also of windows that ten does not divide.
func TestSlotsCoverTheWindow(t *testing.T) {
	t.Parallel()
	for _, per := range []time.Duration{time.Second, time.Second + 1, 7 * time.Second, time.Minute, 24*time.Hour - 1} {
		p := newPolicy(service.LimitAPI, environ.Limit{Max: 1, Per: per})
		require.GreaterOrEqual(t, slots*p.slot, per)
		require.Less(t, slots*p.slot, per+slots)
	}
}

// A sandbox that lives for long remembers of a caller what counts, no more.
func TestMemoryForgetsSlots(t *testing.T) {
	t.Parallel()
	p := newPolicy(service.LimitAPI, environ.Limit{Max: 1000, Per: time.Minute})
	m := memory{}
	for k := range int64(100) {
		c := check{policy: p, key: "ada", k: k}
		m.learn(c, result{allowed: true, counted: 1}, nil)
		require.True(t, m.count(c).allowed)
		require.LessOrEqual(t, len(m.callers["ada"].admitted), slots+1)
		require.Equal(t, 2*min(k+1, slots+1), m.callers["ada"].admitted.total(k), fmt.Sprint(k))
	}
}
