package rest_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/idempotency"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

// shopkeeper makes things elsewhere, once for each key.
type shopkeeper struct {
	*world
	client resttest.Client
	faults *fault.DB
	policy idempotency.Policy
	effect idempotency.Effect
}

func newShopkeeper(t testing.TB) *shopkeeper {
	t.Helper()
	s := &shopkeeper{effect: func(context.Context, string) (idempotency.Answer, error) {
		return idempotency.Answer{Status: 201, Body: []byte(`{"name":"made"}`)}, nil
	}}
	s.world, s.client = newWorld(t)
	s.faults = fault.NewDB(mem.New(mem.Schema{Name: "idempotency", Hash: "pk"}), nil)
	leases := idempotency.NewLeases(store.NewTable(s.faults, "idempotency"), nil, idempotency.Options{})
	s.handler = func(ctx context.Context, r *rest.Request) (rest.Response, error) {
		answer, err := leases.Run(ctx, idempotency.Request{User: r.Subject, Route: "make", Key: r.IdempotencyKey,
			Query: r.QueryParameters(), Payload: r.Body(), Now: r.Now}, s.policy, s.effect)
		if err != nil {
			return rest.Response{}, err
		}
		return rest.Response{Status: answer.Status, Raw: answer.Body, Headers: answer.Headers()}, nil
	}
	return s
}

// make sends the request as a page of ours, with the log of its own.
func (s *shopkeeper) make(t testing.TB, change func(*resttest.Request)) resttest.Reply {
	t.Helper()
	s.log.Reset()
	return s.client.Do(t, "make", with(making, func(r *resttest.Request) {
		r.Headers["Origin"] = "https://app.example.com"
		if change != nil {
			change(r)
		}
	}))
}

// What the records of requests say comes out as a problem, with its headers, its code and nothing that is ours.
func TestIdempotencyIsRendered(t *testing.T) {
	dies := func(context.Context, string) (idempotency.Answer, error) { panic("hunter2") }
	fails := func(err error) idempotency.Effect {
		return func(context.Context, string) (idempotency.Answer, error) { return idempotency.Answer{}, err }
	}
	soldOut := apperr.New(apperr.Conflict, "sold_out", "There is none left.").
		With(apperr.Field{Pointer: "/name", Code: "sold_out"}).Because(errors.New("hunter2"))
	cases := map[string]struct {
		before     func(testing.TB, *shopkeeper)
		change     func(*resttest.Request)
		status     int
		code       string
		retryAfter string
		retryable  bool
		replayed   string
	}{
		"missing":     {nil, func(r *resttest.Request) { delete(r.Headers, "Idempotency-Key") }, 400, "idempotency_key_required", "", false, ""},
		"only_spaces": {nil, func(r *resttest.Request) { r.Headers["Idempotency-Key"] = "  " }, 400, "idempotency_key_required", "", false, ""},
		"not_a_key":   {nil, func(r *resttest.Request) { r.Headers["Idempotency-Key"] = `"12345678` }, 400, "idempotency_key_invalid", "", false, ""},
		"another_payload": {func(t testing.TB, s *shopkeeper) { require.Equal(t, 201, s.make(t, nil).Status) },
			func(r *resttest.Request) { r.Body = map[string]string{"name": "y"} }, 422, "idempotency_key_reused", "", false, ""},
		"still_running": {func(t testing.TB, s *shopkeeper) {
			s.effect = dies
			s.make(t, nil)
			time.Sleep(9500 * time.Millisecond)
		},
			nil, 409, "request_in_progress", "3", true, ""},
		"just_begun": {func(t testing.TB, s *shopkeeper) { s.effect = dies; s.make(t, nil) }, nil, 409, "request_in_progress", "5", true, ""},
		"lost":       {func(_ testing.TB, s *shopkeeper) { s.effect = fails(errors.New("hunter2")) }, nil, 409, "outcome_unknown", "", false, ""},
		"lost_before": {func(t testing.TB, s *shopkeeper) { s.effect = dies; s.make(t, nil); time.Sleep(time.Minute) },
			nil, 409, "outcome_unknown", "", false, ""},
		"refused": {func(_ testing.TB, s *shopkeeper) { s.effect = fails(soldOut) }, nil, 409, "sold_out", "", false, ""},
		"refused_again": {func(t testing.TB, s *shopkeeper) {
			s.effect = fails(soldOut)
			s.make(t, nil).Refused(t, 409, "sold_out")
			s.effect = dies
		}, nil, 409, "sold_out", "", false, "true"},
		"nothing_happened": {func(_ testing.TB, s *shopkeeper) {
			s.effect = fails(idempotency.NothingHappened(apperr.New(apperr.Unavailable, "", "").After(2 * time.Second).Because(errors.New("hunter2"))))
		}, nil, 503, "unavailable", "2", true, ""},
		"no_table": {func(_ testing.TB, s *shopkeeper) { s.faults.Follow(fault.From(0, fault.Fault{Kind: fault.Unsent})) },
			nil, 503, "unavailable", "1", true, ""},
		"retry_breaks": {func(_ testing.TB, s *shopkeeper) {
			s.policy, s.effect = idempotency.Retry, fails(errors.New("hunter2"))
		},
			nil, 500, "internal", "", false, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newShopkeeper(t)
				if c.before != nil {
					c.before(t, s)
				}
				reply := s.make(t, c.change)
				p := reply.Refused(t, c.status, c.code)
				require.Equal(t, apperr.MediaType, reply.Headers["Content-Type"])
				require.Equal(t, c.retryAfter, reply.Headers["Retry-After"])
				require.Equal(t, c.retryable, p.Retryable)
				require.Equal(t, c.replayed, reply.Headers["Idempotency-Replayed"])
				require.NotEmpty(t, reply.Headers["RateLimit"], "fresh, also on a replay")
				require.Equal(t, http.StatusText(c.status) != "", p.Title != "")
				for _, internal := range []string{"hunter2", "IDEM#", "ada", "12345678", "idempotency:", "owner", "refused:"} {
					require.NotContains(t, reply.Body, internal)
				}
				if c.code == "sold_out" {
					require.Equal(t, "There is none left.", p.Detail)
					require.Equal(t, []apperr.Field{{Pointer: "/name", Code: "sold_out"}}, p.Errors)
				}
				require.Equal(t, c.code, s.line(t)["code"])
			})
		})
	}
}

func TestAReplayIsRendered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShopkeeper(t)
		first := s.make(t, nil)
		require.Equal(t, 201, first.Status)
		require.NotContains(t, first.Headers, "Idempotency-Replayed")
		again := s.make(t, func(r *resttest.Request) { r.Headers["Idempotency-Key"] = `"12345678"` })
		require.Equal(t, 201, again.Status)
		require.Equal(t, first.Body, again.Body)
		require.Equal(t, "true", again.Headers["Idempotency-Replayed"])
		require.Contains(t, again.Headers["Access-Control-Expose-Headers"], "Idempotency-Replayed")
	})
}
