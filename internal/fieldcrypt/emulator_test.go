package fieldcrypt_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/fieldcrypt"
	"github.com/expenzez/aws-backend/internal/local/moto"
	"github.com/expenzez/aws-backend/internal/store"
)

// The real clients of DynamoDB and KMS, against the emulator: several sandboxes begin at the same time.
func TestOnTheEmulator(t *testing.T) {
	t.Parallel()
	server, err := moto.Start(t.Context(), moto.Options{Account: "111122223333"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	db, keys := store.Open(cfg, store.Options{}), kms.NewFromConfig(cfg)
	_, err = db.CreateTable(t.Context(), &dynamodb.CreateTableInput{TableName: aws.String("users"), BillingMode: ddbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: ddbtypes.ScalarAttributeTypeS}},
		KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: ddbtypes.KeyTypeHash}}})
	require.NoError(t, err)
	made, err := keys.CreateKey(t.Context(), &kms.CreateKeyInput{})
	require.NoError(t, err)
	config := fieldcrypt.Config{Key: *made.KeyMetadata.Arn, Environment: "dev", Purpose: "pii"}

	sealed, failed := make([][]byte, 8), make([]error, 8)
	var wg sync.WaitGroup
	for i := range sealed {
		wg.Go(func() {
			c := fieldcrypt.New(keys, store.NewTable(db, "users"), config)
			sealed[i], failed[i] = c.Seal(t.Context(), "users", "u1", "email", []byte("ada@example.com"))
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(failed...))
	opener := fieldcrypt.New(keys, store.NewTable(db, "users"), config)
	for _, s := range sealed {
		plain, err := opener.Open(t.Context(), "users", "u1", "email", s)
		require.NoError(t, err)
		require.Equal(t, "ada@example.com", string(plain))
	}
	config.Environment = "prod"
	_, err = fieldcrypt.New(keys, store.NewTable(db, "users"), config).Open(t.Context(), "users", "u1", "email", sealed[0])
	require.ErrorContains(t, err, "InvalidCiphertextException", "another encryption context")
}
