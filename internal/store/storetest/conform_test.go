package storetest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/golden"
	"github.com/expenzez/aws-backend/internal/local/localtest"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/store/storetest"
)

var emulator string // URL of the one moto of this package's tests

func TestMain(m *testing.M) { localtest.Main(m, &emulator) }

func query(key string, values store.Item) *dynamodb.QueryInput {
	return &dynamodb.QueryInput{KeyConditionExpression: &key, ExpressionAttributeValues: values}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Conform(t, mem.New(storetest.Tables()...))
}

// The cases see what they look at: a store without indexes fails those of indexes, one without tables nearly all.
func TestDifferencesOfABrokenStore(t *testing.T) {
	t.Parallel()
	require.Empty(t, storetest.Differences(t.Context(), mem.New(storetest.Tables()...)))
	without := storetest.Tables()
	without[0].Indexes = nil
	require.Contains(t, storetest.Differences(t.Context(), mem.New(without...)), "query of an index backward\n  got  ValidationException\n  want 3/3 a1 b2 b10")
	require.Greater(t, len(storetest.Differences(t.Context(), mem.New())), 200)
}

// Where moto differs from DynamoDB is written down case by case: one that it mends or breaks shows.
func TestMoto(t *testing.T) {
	t.Parallel()
	client := dynamodb.NewFromConfig(aws.Config{Region: "eu-west-2", BaseEndpoint: &emulator, Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "none", "")},
		func(o *dynamodb.Options) {
			o.Retryer, o.HTTPClient = aws.NopRetryer{}, &http.Client{Transport: oneCall()}
		})
	for _, table := range storetest.Tables() {
		_, err := client.CreateTable(t.Context(), storetest.CreateTable(table))
		require.NoError(t, err)
	}
	golden.Compare(t, "testdata/moto-5.2.1.txt", []byte(strings.Join(storetest.Differences(t.Context(), client), "\n")+"\n"))
}
