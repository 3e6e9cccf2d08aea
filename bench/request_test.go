package bench

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/ratelimit"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

// newTransaction is what createTransaction takes and what it answers.
type newTransaction struct {
	Amount      string `json:"amount"`
	Currency    string `json:"currency"`
	Category    string `json:"category"`
	Date        string `json:"date"`
	Description string `json:"description,omitempty"`
}

type transaction struct {
	ID string `json:"id"`
	newTransaction
	Version   int    `json:"version"`
	CreatedAt string `json:"createdAt"`
	UpdatedAt string `json:"updatedAt"`
}

func created(in newTransaction) transaction {
	return transaction{"01J2ZK3V9QX4T7B8N6M5R1C0DE", in, 1, "2027-01-15T08:00:00Z", "2027-01-15T08:00:00Z"}
}

// BenchmarkRequest is a warm request without its network: ours routes it, counts its caller and looks for revocations
// (package ratelimit; the store's answer is ready), checks and decodes its body, encodes the answer and writes the line with
// metrics. bare decodes, encodes and logs with what Go and aws-lambda-go have, and checks nothing.
func BenchmarkRequest(b *testing.B) {
	now := time.Now()
	event := resttest.Event(b, "POST", "/v1/transactions", resttest.Request{
		User:    &resttest.User{Subject: "0b6e2f6e-0000-4000-8000-00000000000a", Session: "c2Vzc2lvbi1vZi1hZGE", IssuedAt: now, Expires: now.Add(15 * time.Minute)},
		Headers: map[string]string{"Idempotency-Key": `"8e03978e-40d5-43e8-bc93-6894a57f9324"`, "Origin": "https://app.example.com"},
		Body:    newTransaction{"-1249.50", "EUR", "groceries", "2027-01-15", "Weekly shop, and a cake"},
	})
	b.Run("ours", func(b *testing.B) {
		f, _ := catalog.Transactions().Function("transactions-api")
		handlers := map[string]rest.Handler{}
		for _, r := range f.Routes {
			handlers[r.ID] = func(_ context.Context, r *rest.Request) (rest.Response, error) {
				var in newTransaction
				if err := r.Decode(&in); err != nil {
					return rest.Response{}, err
				}
				return rest.Response{Body: created(in)}, nil
			}
		}
		tables := mem.New(mem.Schema{Name: "rate-limits", Hash: "pk"}, mem.Schema{Name: "revoked-tokens", Hash: "pk"})
		limiter, err := ratelimit.New(&same{Updater: store.NewTable(tables, "rate-limits")}, f,
			map[service.Limit]environ.Limit{service.LimitAPI: {Max: 120, Per: time.Minute}}, ratelimit.Options{Now: func() time.Time { return now }})
		require.NoError(b, err)
		api, err := rest.New(f, handlers, rest.Deps{Limiter: limiter, Revoked: store.NewTable(tables, "revoked-tokens"),
			Origins: []string{"https://app.example.com"}, Log: telemetry.New(io.Discard, telemetry.Options{Function: f.Key}), Now: func() time.Time { return now }})
		require.NoError(b, err)
		answer(b, func() ([]byte, error) { return api.Invoke(b.Context(), event) })
	})
	b.Run("bare", func(b *testing.B) {
		log := slog.New(slog.NewJSONHandler(io.Discard, nil))
		answer(b, func() ([]byte, error) {
			var ev events.APIGatewayProxyRequest
			var in newTransaction
			if err := json.Unmarshal(event, &ev); err != nil {
				return nil, err
			}
			if err := json.Unmarshal([]byte(ev.Body), &in); err != nil {
				return nil, err
			}
			body, err := json.Marshal(created(in))
			if err != nil {
				return nil, err
			}
			log.Info("request", "request_id", ev.RequestContext.RequestID, "method", ev.HTTPMethod, "route", ev.Resource, "status", 201)
			return json.Marshal(events.APIGatewayProxyResponse{StatusCode: 201, Headers: map[string]string{"Content-Type": "application/json"}, Body: string(body)})
		})
	})
}

// answer measures who answers 201 with the transaction.
func answer(b *testing.B, invoke func() ([]byte, error)) {
	var reply resttest.Reply
	var got transaction
	out, err := invoke()
	require.NoError(b, err)
	require.NoError(b, json.Unmarshal(out, &reply))
	require.Equal(b, 201, reply.Status, reply.Body)
	require.NoError(b, json.Unmarshal([]byte(reply.Body), &got))
	require.Equal(b, "-1249.50", got.Amount)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := invoke(); err != nil {
			b.Fatal(err)
		}
	}
}
