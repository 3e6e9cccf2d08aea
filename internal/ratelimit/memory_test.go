package ratelimit

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/service"
)

// Ten slots are exactly the window.
func TestSlotsCoverTheWindow(t *testing.T) {
	t.Parallel()
	for _, per := range []time.Duration{time.Second, 7 * time.Second, time.Minute, 24*time.Hour - time.Second, longest} {
		require.NoError(t, usable(environ.Limit{Max: 1, Per: per}))
		p := newPolicy(service.LimitAPI, "list", environ.Limit{Max: 1, Per: per})
		require.Equal(t, per, slots*p.slot)
		_, _, slot, ok := counterOf(p.blockName())
		require.True(t, ok)
		require.Equal(t, p.slot, slot, "whoever reads the item knows the width of a slot")
	}
}

// A sandbox that lives for long remembers of a caller what counts, no more.
func TestMemoryForgetsSlots(t *testing.T) {
	t.Parallel()
	p := newPolicy(service.LimitAPI, "list", environ.Limit{Max: 1000, Per: time.Minute})
	m := memory{}
	for k := range int64(100) {
		c := check{policy: p, cost: 1, k: k, own: 1000}
		m.learn(group{key: "ada", checks: []check{c}}, item{}, answer{results: []result{{allowed: true, counted: 1}}})
		require.True(t, m.count("ada", c).allowed)
		known := m.subjects["ada"].callers[p.name].admitted
		require.LessOrEqual(t, len(known), slots+1)
		require.Equal(t, 2*min(k+1, slots+1), known.total(k), fmt.Sprint(k))
	}
}
