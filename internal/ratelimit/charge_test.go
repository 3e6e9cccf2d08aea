package ratelimit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/ratelimit"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

func costing(cost int) rest.Count {
	c := api("ada")
	c.Cost = cost
	return c
}

func TestCosts(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	c := newClock()
	l := limiter(t, updater, ratelimit.Options{Now: c.now})
	require.Equal(t, 1, admitted(t, l, 1, costing(2)))
	require.Zero(t, admitted(t, l, 1, costing(2)), "there is room for one")
	require.Equal(t, 1, admitted(t, l, 3, costing(1)))
	c.advance(66 * time.Second)
	require.Zero(t, admitted(t, l, 1, costing(4)), "more than there ever is")
	require.Equal(t, 1, admitted(t, l, 2, costing(3)))
	_, err := l.Count(t.Context(), []rest.Count{costing(-1)})
	require.ErrorContains(t, err, "below 0")
}

func TestAdjust(t *testing.T) {
	t.Parallel()
	type world struct {
		db          *mem.DB
		u           *table
		c           *clock
		here, there *ratelimit.Limiter
	}
	charge := func(t *testing.T, w world, cost int) *ratelimit.Charge {
		t.Helper()
		v, charge, err := w.here.Charge(t.Context(), costing(cost))
		require.NoError(t, err)
		require.True(t, v.Allowed)
		return charge
	}
	down := func(context.Context, *dynamodb.UpdateItemInput) error { return errors.New("down") }
	cases := map[string]func(t *testing.T, w world){
		"less": func(t *testing.T, w world) {
			require.NoError(t, w.here.Adjust(t.Context(), charge(t, w, 3), 1))
			require.Equal(t, 2, admitted(t, w.there, 5, costing(1)))
		},
		"nothing": func(t *testing.T, w world) {
			require.NoError(t, w.here.Adjust(t.Context(), charge(t, w, 3), 0))
			require.Equal(t, 3, admitted(t, w.there, 5, costing(1)))
		},
		"more_than_the_limit": func(t *testing.T, w world) {
			require.NoError(t, w.here.Adjust(t.Context(), charge(t, w, 1), 7))
			require.Zero(t, admitted(t, w.there, 5, costing(1)))
			require.Zero(t, admitted(t, w.here, 5, costing(1)))
		},
		"as_estimated_costs_no_call": func(t *testing.T, w world) {
			charge := charge(t, w, 2)
			before := w.u.calls.Load()
			require.NoError(t, w.here.Adjust(t.Context(), charge, 2))
			require.Equal(t, before, w.u.calls.Load())
		},
		"makes_room_for_who_was_blocked": func(t *testing.T, w world) {
			charge := charge(t, w, 3)
			require.Zero(t, admitted(t, w.here, 1, costing(1)))
			require.Zero(t, admitted(t, w.there, 1, costing(1)), "the item is blocked now")
			require.NoError(t, w.here.Adjust(t.Context(), charge, 1))
			require.Equal(t, 1, admitted(t, w.here, 1, costing(1)))
			require.Equal(t, 1, admitted(t, limiter(t, w.u, ratelimit.Options{Now: w.c.now}), 1, costing(1)))
		},
		"below_0": func(t *testing.T, w world) {
			require.ErrorContains(t, w.here.Adjust(t.Context(), charge(t, w, 2), -1), "below 0")
			require.Equal(t, 1, admitted(t, w.there, 5, costing(1)))
		},
		"twice": func(t *testing.T, w world) {
			charge := charge(t, w, 3)
			require.NoError(t, w.here.Adjust(t.Context(), charge, 2))
			require.ErrorContains(t, w.here.Adjust(t.Context(), charge, 0), "adjusted already")
			require.Equal(t, 1, admitted(t, w.there, 5, costing(1)))
		},
		"a_lost_answer": func(t *testing.T, w world) {
			charge := charge(t, w, 3)
			w.u.after = down
			require.ErrorContains(t, w.here.Adjust(t.Context(), charge, 1), "down")
			w.u.after = nil
			require.Error(t, w.here.Adjust(t.Context(), charge, 1), "it may have been done")
			require.Equal(t, 2, admitted(t, w.there, 5, costing(1)))
		},
		"not_done": func(t *testing.T, w world) {
			charge := charge(t, w, 3)
			w.u.before = down
			require.ErrorContains(t, w.here.Adjust(t.Context(), charge, 1), "down")
			w.u.before = nil
			require.Zero(t, admitted(t, w.there, 5, costing(1)), "the estimate counts")
		},
		"when_the_slot_has_gone": func(t *testing.T, w world) {
			charge := charge(t, w, 3)
			w.c.advance(3 * time.Minute)
			require.Equal(t, 2, admitted(t, w.there, 2, costing(1)), "the second removes the old slot")
			require.Equal(t, int64(2), slotSum(t, w.db.Items(tableName)[0]))
			require.NoError(t, w.here.Adjust(t.Context(), charge, 0))
			require.Equal(t, int64(2), slotSum(t, w.db.Items(tableName)[0]), "never below 0")
			require.Equal(t, 1, admitted(t, w.there, 5, costing(1)))
		},
		"of_what_the_store_does_not_know": func(t *testing.T, w world) {
			w.u.before = down
			open := limiter(t, w.u, ratelimit.Options{Now: w.c.now, Open: []service.Limit{service.LimitAPI}})
			v, charge, err := open.Charge(t.Context(), costing(3))
			require.NoError(t, err)
			require.True(t, v.Allowed)
			w.u.before = nil
			before := w.u.calls.Load()
			require.NoError(t, open.Adjust(t.Context(), charge, 1))
			require.Equal(t, before, w.u.calls.Load())
			w.u.before = down
			require.Equal(t, 2, admitted(t, open, 5, costing(1)))
		},
		"a_refusal_is_not_charged": func(t *testing.T, w world) {
			charge(t, w, 3)
			for range 2 { // by the store, then by memory
				v, charge, err := w.there.Charge(t.Context(), costing(1))
				require.NoError(t, err)
				require.False(t, v.Allowed)
				require.Nil(t, charge)
			}
		},
		"nor_is_a_failure": func(t *testing.T, w world) {
			w.u.before = down
			_, charge, err := w.here.Charge(t.Context(), costing(1))
			require.ErrorContains(t, err, "down")
			require.Nil(t, charge)
		},
		"nor_a_class_without_numbers": func(t *testing.T, w world) {
			_, charge, err := w.here.Charge(t.Context(), rest.Count{Class: "none", Subject: "ada"})
			require.ErrorContains(t, err, "no numbers")
			require.Nil(t, charge)
		},
	}
	for name, check := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, updater := memory()
			w := world{db: db, u: &table{Updater: updater}, c: newClock()}
			w.here, w.there = limiter(t, w.u, ratelimit.Options{Now: w.c.now}), limiter(t, w.u, ratelimit.Options{Now: w.c.now})
			check(t, w)
		})
	}
}
