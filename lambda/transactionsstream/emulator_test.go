package transactionsstream_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/local/localtest"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/storetest"
)

// newCloud is the local AWS API with the declared tables, and the configuration of its operator.
func newCloud(t *testing.T) aws.Config {
	t.Helper()
	config := localtest.Start(t, localtest.Moto(t)).Operator()
	for _, schema := range storetest.Schemas(catalog.Backend().Tables) {
		_, err := dynamodb.NewFromConfig(config).CreateTable(t.Context(), storetest.CreateTable(schema))
		require.NoError(t, err)
	}
	return config
}

// The same through the SDK's real client, on the local AWS API, with connections that fail below it.
func TestOnTheLocalCloud(t *testing.T) {
	t.Parallel()
	config := newCloud(t)
	options := store.Options{AttemptTimeout: 10 * time.Second}
	broken := config
	wire := fault.NewTransport(awshttp.NewBuildableClient().GetTransport(), nil)
	broken.HTTPClient = wire
	w := newWorldOn(t, store.Open(config, options), store.Open(broken, options))
	w.budget(t, ada, "food", "GBP", "10")
	ids := []string{}
	for i := range 4 {
		ids = append(ids, w.create(t, ada, fmt.Sprintf("-%d.50", i), "GBP", "food", "2027-01-10"))
		w.create(t, bob, "-1", "EUR", "food", "2027-01-10")
	}
	require.Equal(t, 200, w.do(t, "importTransactions", ada, "", body{"rows": []body{
		{"amount": "-999999999999999.99", "currency": "GBP", "category": "food", "date": "2027-01-01"},
		{"amount": "-999999999999999.99", "currency": "GBP", "category": "food", "date": "2027-01-01"}}}).Status)
	require.Equal(t, 200, w.do(t, "changeTransaction", ada, ids[0], body{"version": 1, "amount": "7", "category": "rent"}).Status)
	require.Equal(t, 204, w.do(t, "deleteTransaction", ada, ids[1], nil).Status)
	// Each kind of failure at each of the first calls, and a sandbox that is gone after it; then everything again.
	for _, kind := range fault.Kinds() {
		for n := range 4 {
			s := w.shards[ada]
			s.at = min(s.at, n)
			wire.Follow(fault.From(n, fault.Fault{Kind: kind}))
			before := s.at
			w.deliver(t, ada, 2)
			wire.Follow(fault.At(n, fault.Fault{Kind: kind}))
			w.deliver(t, ada, 3)
			wire.Follow(nil)
			require.GreaterOrEqual(t, s.at, before)
		}
	}
	w.drain(t)
	w.exact(t)
	w.shards[ada].at = 0
	w.drain(t)
	w.exact(t)
	require.Equal(t, []string{"a food GBP 2027-01 80", "a food GBP 2027-01 100"}, w.told())
	require.Len(t, w.sender.Sent(), 2)
	require.Contains(t, w.do(t, "listSummaries", ada, "", nil).Body, `"count":1,"spent":"0","received":"700"`)
}
