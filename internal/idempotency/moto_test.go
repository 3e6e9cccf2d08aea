package idempotency_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/idempotency"
	"github.com/expenzez/aws-backend/internal/local/moto"
	"github.com/expenzez/aws-backend/internal/store"
)

// The life of a key through the real client: effect, replay, another payload, a refused write, expiry.
func TestOnTheEmulator(t *testing.T) {
	t.Parallel()
	server, err := moto.Start(t.Context(), moto.Options{Account: "111122223333"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	db := store.Open(aws.Config{Region: "eu-central-1", BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}, store.Options{AttemptTimeout: time.Minute})
	for _, name := range []string{"idempotency", "things"} {
		_, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{TableName: &name, BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
			KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}}})
		require.NoError(t, err)
	}
	things := store.NewTable(db, "things")
	w := &world{tx: db, things: things, records: idempotency.New(store.NewTable(db, "idempotency"), &vault{})}

	w.made(t, "1")
	again, err := w.once(t.Context(), request(), "2")
	require.NoError(t, err)
	require.Equal(t, idempotency.Answer{Status: 201, Body: []byte(`{"id":"1"}`), Replayed: true}, again)

	other := request()
	other.Payload = []byte(`{}`)
	_, err = w.once(t.Context(), other, "2")
	require.ErrorIs(t, err, idempotency.ErrReused)

	other.Key = "key-0002"
	_, err = w.once(t.Context(), other, "1")
	var canceled *store.CancelledError
	require.ErrorAs(t, err, &canceled)
	_, refused := canceled.Refused(0)
	require.True(t, refused)

	next := request()
	next.Now = now.Add(idempotency.Retention)
	answer, err := w.once(t.Context(), next, "3")
	require.NoError(t, err)
	require.False(t, answer.Replayed)
	for id, want := range map[string]bool{"1": true, "2": false, "3": true} {
		out, err := things.GetItem(t.Context(), &dynamodb.GetItemInput{Key: store.Item{"pk": store.S(id)}})
		require.NoError(t, err)
		require.Equal(t, want, out.Item != nil, id)
	}
}
