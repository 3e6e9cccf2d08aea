package ratelimit_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/local/moto"
	"github.com/expenzez/aws-backend/internal/store"
)

var (
	testContext = context.Background()
	emulator    string // the URL of the store
)

func TestMain(m *testing.M) { os.Exit(withEmulator(m)) }

func withEmulator(m *testing.M) int {
	server, err := moto.Start(testContext, moto.Options{Account: "111122223333"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	emulator = server.URL
	return m.Run()
}

// onEmulator is an empty table of its own on the emulator, through the real client.
func onEmulator(t *testing.T, name string) store.Table {
	t.Helper()
	db := store.Open(aws.Config{Region: "eu-central-1", BaseEndpoint: aws.String(emulator),
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}, store.Options{AttemptTimeout: time.Minute})
	_, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}}})
	require.NoError(t, err)
	return store.NewTable(db, name)
}

// oneByOne lets one update at a time through, as DynamoDB does for one item. moto reads, decides and writes in steps
// between which others get in.
type oneByOne struct {
	store.Updater
	mu sync.Mutex
}

func (o *oneByOne) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput) (*dynamodb.UpdateItemOutput, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.Updater.UpdateItem(ctx, in)
}

// The promise on the emulator, through the client and its expressions: bursts over several windows, with an idle one.
func TestTheEmulatorAdmitsTheLimit(t *testing.T) {
	t.Parallel()
	f := newFleet(t, &oneByOne{Updater: onEmulator(t, "bursts").With(store.Once)}, 5, -200*time.Millisecond, 0, 200*time.Millisecond)
	w := witness{limit: 5, window: window - 400*time.Millisecond}
	for i, after := range []time.Duration{0, time.Second, 3 * time.Second, window, time.Second, 2 * window, window + 1400*time.Millisecond} {
		f.advance(after)
		passed := f.burst(t, 24)
		w.admit(t, f.now(), passed)
		if i == 0 || after >= 2*window {
			require.Equal(t, 5, passed, "burst %d", i)
		}
	}
}

// One request after another is decided alike by memory and emulator: what tests on memory show holds there.
func TestTheEmulatorDecidesAsMemoryDoes(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	here, there := newFleet(t, updater, 3, 0, 0), newFleet(t, onEmulator(t, "sequence"), 3, 0, 0)
	for i, after := range []time.Duration{0, 0, 500 * time.Millisecond, 0, 0, 5 * time.Second, 6 * time.Second, 0, 0, 0, 13 * time.Second, 0, 11 * time.Second, 30 * time.Second, 0, 0, 0} {
		here.advance(after)
		there.advance(after)
		require.Equal(t, here.burst(t, 1), there.burst(t, 1), "request %d", i)
		require.Equal(t, here.burst(t, 1), there.burst(t, 1), "request %d", i)
	}
}
