package ratelimit_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/local/localtest"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/store/storetest"
)

var (
	testContext = context.Background()
	emulator    string // the URL of the store
)

func TestMain(m *testing.M) { localtest.Main(m, &emulator, makeTables) }

// makeTables makes the tables on the emulator. All tests share them: each has users and classes of its own.
func makeTables() error {
	db := dial(emulator, nil)
	for _, name := range []string{tableName, "revoked-tokens"} {
		_, err := db.CreateTable(testContext, storetest.CreateTable(mem.Schema{Name: name, Hash: "pk"}))
		if err != nil {
			return err
		}
	}
	return nil
}

// unique is a name of a test's own on the emulator, also when it runs again.
func unique(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("%s-%d", t.Name(), runs.Add(1))
}

var runs atomic.Int64

// dial is a client of the emulator, through a transport on which calls fail by plan.
func dial(url string, plan fault.Plan) *dynamodb.Client {
	return store.Open(aws.Config{Region: "eu-west-2", BaseEndpoint: aws.String(url), Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		HTTPClient: fault.NewTransport(localtest.OneByOne(nil), plan)}, store.Options{AttemptTimeout: time.Minute, Random: func() float64 { return 0 }})
}

// One request after another is decided alike by memory and emulator: what tests on memory show holds there.
func TestTheEmulatorDecidesAsMemoryDoes(t *testing.T) {
	t.Parallel()
	memoryDB, updater := memory()
	emulatorDB := dial(emulator, nil)
	numbers := environ.Limit{Max: 3, Per: window}
	here := newCrowd(fleetOf(t, updater, numbers, nil, 0, 0), memoryDB, 3)
	there := newCrowd(fleetOf(t, store.NewTable(emulatorDB, tableName), numbers, nil, 0, 0), emulatorDB, 3)
	here.user = unique(t)
	there.user = here.user
	for i, slots := range []time.Duration{0, 0, 1, 0, 0, 10, 12, 0, 0, 26, 0, 22, 60, 0} {
		for _, c := range []*crowd{here, there} {
			c.advance(slots * window / 20)
			if i%4 == 3 {
				c.revoke(t, fmt.Sprint("s", i))
			}
			c.ask(t, 1, false)
			c.ask(t, 1, false)
		}
		require.Equal(t, here.admitted, there.admitted, "request %d", i)
	}
}
