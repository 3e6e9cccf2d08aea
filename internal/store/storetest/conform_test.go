package storetest_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/golden"
	"github.com/expenzez/aws-backend/internal/local/moto"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/store/storetest"
)

var emulator string // URL of the one moto of this package's tests

func TestMain(m *testing.M) {
	server, err := moto.Start(context.Background(), moto.Options{Account: "111122223333", Region: "eu-west-2"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	emulator = server.URL
	code := m.Run()
	_ = server.Close()
	os.Exit(code)
}

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
		_, err := client.CreateTable(t.Context(), created(table))
		require.NoError(t, err)
	}
	golden.Compare(t, "testdata/moto-5.2.1.txt", []byte(strings.Join(storetest.Differences(t.Context(), client), "\n")+"\n"))
}

// created is the input that makes a table of the schema.
func created(s mem.Schema) *dynamodb.CreateTableInput {
	in := &dynamodb.CreateTableInput{TableName: &s.Name, BillingMode: types.BillingModePayPerRequest, KeySchema: keySchema(s.Hash, s.Range)}
	names := []string{s.Hash, s.Range}
	for _, i := range s.Indexes {
		names = append(names, i.Hash, i.Range)
		projection := &types.Projection{ProjectionType: types.ProjectionTypeAll, NonKeyAttributes: i.Attributes}
		if i.Projection != "" {
			projection.ProjectionType = i.Projection
		}
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{IndexName: &i.Name, KeySchema: keySchema(i.Hash, i.Range), Projection: projection})
	}
	defined := map[string]bool{"": true}
	for _, name := range names {
		if defined[name] {
			continue
		}
		defined[name] = true
		kind := types.ScalarAttributeTypeS
		if set, ok := s.Types[name]; ok {
			kind = set
		}
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: aws.String(name), AttributeType: kind})
	}
	return in
}

func keySchema(hash, sort string) []types.KeySchemaElement {
	all := []types.KeySchemaElement{{AttributeName: &hash, KeyType: types.KeyTypeHash}}
	if sort != "" {
		all = append(all, types.KeySchemaElement{AttributeName: &sort, KeyType: types.KeyTypeRange})
	}
	return all
}
