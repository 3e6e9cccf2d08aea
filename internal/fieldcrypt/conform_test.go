package fieldcrypt_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/fieldcrypt"
	"github.com/expenzez/aws-backend/internal/fieldcrypt/kmsmem"
	"github.com/expenzez/aws-backend/internal/local/localtest"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

var emulator string // URL of the one moto of this package's tests

func TestMain(m *testing.M) { localtest.Main(m, &emulator) }

// site is a key and a table somewhere. Each case has a purpose of its own there, and so keysets of its own.
type site struct {
	key   string
	table *store.Table // that does not fail
	// dial is the same key and table for a sandbox whose calls, to both, fail by plan.
	dial func(plan fault.Plan) (fieldcrypt.KMS, fieldcrypt.Keysets)
}

func (s site) sandbox(purpose string, plan fault.Plan, change ...func(*fieldcrypt.Config)) *fieldcrypt.Cipher {
	key, table := s.dial(plan)
	c := fieldcrypt.Config{Key: s.key, Environment: "dev", Purpose: purpose}
	for _, f := range change {
		f(&c)
	}
	return fieldcrypt.New(key, table, c)
}

// made is the item of a purpose's first keysets, nil without one.
func (s site) made(t *testing.T, purpose string) store.Item {
	t.Helper()
	out, err := s.table.GetItem(t.Context(), &dynamodb.GetItemInput{Key: store.Item{"pk": store.S("KEYSET#" + purpose + "#1")}, ConsistentRead: aws.Bool(true)})
	require.NoError(t, err)
	return out.Item
}

// shared makes one plan out of one that several take part in: it counts the calls of all.
func shared(plan fault.Plan) fault.Plan {
	var mu sync.Mutex
	n := -1
	return func(_ int, operation string) fault.Fault {
		if plan == nil {
			return fault.Fault{}
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		return plan(n, operation)
	}
}

// of lets the calls of these operations fail.
func of(f fault.Fault, operations ...string) fault.Plan {
	return func(_ int, operation string) fault.Fault {
		for _, o := range operations {
			if o == operation {
				return f
			}
		}
		return fault.Fault{}
	}
}

var kmsCalls, tableCalls = []string{"GenerateDataKey", "Decrypt"}, []string{"GetItem", "PutItem"}

// faultyKMS is a key whose calls fail by plan, as the SDK's do when it does not try again.
type faultyKMS struct {
	next fieldcrypt.KMS
	plan fault.Plan
}

func (f faultyKMS) GenerateDataKey(ctx context.Context, in *kms.GenerateDataKeyInput, o ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error) {
	return faultyCall(ctx, f.plan(0, "GenerateDataKey"), func() (*kms.GenerateDataKeyOutput, error) { return f.next.GenerateDataKey(ctx, in, o...) })
}

func (f faultyKMS) Decrypt(ctx context.Context, in *kms.DecryptInput, o ...func(*kms.Options)) (*kms.DecryptOutput, error) {
	return faultyCall(ctx, f.plan(0, "Decrypt"), func() (*kms.DecryptOutput, error) { return f.next.Decrypt(ctx, in, o...) })
}

func faultyCall[Out any](ctx context.Context, f fault.Fault, do func() (*Out, error)) (*Out, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(f.Delay):
	}
	switch f.Kind {
	case fault.Unsent:
		return nil, syscall.ECONNREFUSED
	case fault.Throttled:
		return nil, &smithy.GenericAPIError{Code: "ThrottlingException"}
	case fault.Broken:
		return nil, &smithy.GenericAPIError{Code: "InternalServerError"}
	default:
	}
	out, err := do()
	if f.Kind == fault.Lost || f.Kind == fault.Truncated {
		return nil, syscall.ECONNRESET
	}
	return out, err
}

func memory() site {
	db := mem.New(mem.Schema{Name: "users", Hash: "pk"})
	view := db.As(mem.Grant{Table: "users", Actions: []string{"GetItem", "PutItem"}})
	key := kmsmem.New(keyARN, map[string]string{"app": "expenzez", "env": "dev"})
	table := store.NewTable(view, "users")
	return site{keyARN, &table, func(plan fault.Plan) (fieldcrypt.KMS, fieldcrypt.Keysets) {
		plan = shared(plan)
		return faultyKMS{key, plan}, store.NewTable(fault.NewDB(view, plan), "users")
	}}
}

// onEmulator is the real clients over HTTP, which try again by themselves, at an address with an operator's credentials.
func onEmulator(t *testing.T, url, id, secret string) site {
	t.Helper()
	name := strings.ReplaceAll(t.Name(), "/", "-")
	config := func(transport aws.HTTPClient) aws.Config {
		return aws.Config{Region: "eu-west-2", BaseEndpoint: &url, HTTPClient: transport, Credentials: credentials.NewStaticCredentialsProvider(id, secret, "")}
	}
	quick := func(o *retry.StandardOptions) {
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
	}
	db, keys := store.Open(config(nil), store.Options{AttemptTimeout: time.Minute}), kms.NewFromConfig(config(nil))
	_, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{TableName: &name, BillingMode: ddbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: ddbtypes.ScalarAttributeTypeS}},
		KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: ddbtypes.KeyTypeHash}}})
	require.NoError(t, err)
	t.Cleanup(func() { // the test may run again on the same moto
		_, err := db.DeleteTable(context.WithoutCancel(t.Context()), &dynamodb.DeleteTableInput{TableName: &name})
		require.NoError(t, err)
	})
	created, err := keys.CreateKey(t.Context(), &kms.CreateKeyInput{})
	require.NoError(t, err)
	table := store.NewTable(db, name)
	return site{*created.KeyMetadata.Arn, &table, func(plan fault.Plan) (fieldcrypt.KMS, fieldcrypt.Keysets) {
		transport := fault.NewTransport(nil, plan)
		return kms.NewFromConfig(config(transport), func(o *kms.Options) { o.Retryer = retry.NewStandard(quick) }),
			store.NewTable(store.Open(config(transport), store.Options{Random: func() float64 { return 0 }}), name)
	}}
}

func TestConformanceOnMemory(t *testing.T) {
	t.Parallel()
	conform(t, memory())
}

func TestConformanceOnTheEmulator(t *testing.T) {
	t.Parallel()
	conform(t, onEmulator(t, emulator, "test", "test"))
}

// The local cloud mends what the emulator gets wrong of keys: it binds the encryption context, and refuses a disabled one.
func TestConformanceOnTheLocalCloud(t *testing.T) {
	t.Parallel()
	cloud := localtest.Start(t, emulator)
	id, secret := cloud.AdminCredentials()
	s := onEmulator(t, cloud.URL, id, secret)
	conform(t, s)
	t.Run("disabled", func(t *testing.T) { disabled(t, s, cloud.URL, id, secret) })
}

// disabled disables the key under a warm sandbox.
func disabled(t *testing.T, s site, url, id, secret string) {
	t.Helper()
	keys := kms.NewFromConfig(aws.Config{Region: "eu-west-2", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider(id, secret, "")})
	created, err := keys.CreateKey(t.Context(), &kms.CreateKeyInput{}) // the cases of conform use the other
	require.NoError(t, err)
	s.key = *created.KeyMetadata.Arn
	clock := fault.NewClock(time.Unix(1_800_000_000, 0))
	c := s.sandbox("disabled", nil, within, func(c *fieldcrypt.Config) { c.Now = clock.Now })
	sealed := seal(t, c, "x")
	_, err = keys.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: created.KeyMetadata.KeyId})
	require.NoError(t, err)
	require.Equal(t, "x", open(t, c, sealed))
	clock.Jump(time.Hour)
	fails(t, c, sealed)
	_, err = keys.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: created.KeyMetadata.KeyId})
	require.NoError(t, err)
	require.Equal(t, "x", open(t, c, sealed))
}

// within gives callers time that no test should need: the emulator shares its machine.
func within(c *fieldcrypt.Config) { c.Budget = time.Minute }

// conform holds a site to what this package promises while calls fail: an epoch has one keyset whatever happens, what was
// sealed opens, what fails gives nothing, and is better once the failures end.
func conform(t *testing.T, s site) {
	t.Run("one_call_fails", func(t *testing.T) { conformOneCall(t, s) })
	t.Run("some_calls_fail", func(t *testing.T) { conformSomeCalls(t, s) })
	t.Run("all_calls_fail", func(t *testing.T) { conformAllCalls(t, s) })
	t.Run("an_answer_that_never_comes", func(t *testing.T) { conformHanging(t, s) })
	t.Run("a_clock_that_jumps", func(t *testing.T) { conformClock(t, s) })
	t.Run("elsewhere", func(t *testing.T) { conformElsewhere(t, s) })
}

// conformOneCall fails each call of a first use in each way, in one of two sandboxes that race.
func conformOneCall(t *testing.T, s site) {
	for call := range 3 {
		for _, kind := range fault.Kinds() {
			purpose := fmt.Sprint(kind, call)
			t.Run(purpose, func(t *testing.T) {
				t.Parallel()
				hit, other := s.sandbox(purpose, fault.At(call, fault.Fault{Kind: kind}), within), s.sandbox(purpose, nil, within)
				var sealed [2][]byte
				var wg sync.WaitGroup
				for i, c := range []*fieldcrypt.Cipher{hit, other} {
					wg.Go(func() {
						for sealed[i] == nil {
							got, err := c.Seal(t.Context(), "users", "u1", "email", []byte("ada@example.com"))
							if err != nil && (i == 1 || got != nil || errors.Is(err, fieldcrypt.ErrSealed)) {
								t.Errorf("sandbox %d: %v", i, err)
								return
							}
							sealed[i] = got
						}
					})
				}
				wg.Wait()
				for _, c := range []*fieldcrypt.Cipher{hit, other, s.sandbox(purpose, nil, within)} {
					for _, b := range sealed {
						require.Equal(t, "ada@example.com", open(t, c, b))
					}
				}
			})
		}
	}
}

// conformSomeCalls lets a quarter of all calls of many sandboxes fail, in all ways. Whatever was made opens for ever.
func conformSomeCalls(t *testing.T, s site) {
	t.Parallel()
	const purpose, sandboxes, rounds = "some", 8, 6
	var ways []fault.Fault
	for _, kind := range fault.Kinds() {
		ways = append(ways, fault.Fault{Kind: kind})
	}
	var mu sync.Mutex
	var sealed, wrapped, fields [][]byte
	indexes := map[string]bool{}
	var wg sync.WaitGroup
	for i := range sandboxes {
		wg.Go(func() {
			for round := range rounds {
				c := s.sandbox(purpose, fault.Sometimes(uint64(i*rounds+round), 0.25, ways...), within)
				value, sealErr := c.Seal(t.Context(), "users", "u1", "email", []byte("x"))
				key, dek, keyErr := c.NewUserKey(t.Context(), "u1")
				index, indexErr := c.BlindIndex(t.Context(), "email", "x")
				mu.Lock()
				if sealErr == nil {
					sealed = append(sealed, value)
				}
				if keyErr == nil {
					field, err := key.Seal("users", "u1", "email", []byte("x"))
					if err != nil {
						t.Error(err)
					}
					wrapped, fields = append(wrapped, dek), append(fields, field)
				}
				if indexErr == nil {
					indexes[index] = true
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Greater(t, len(sealed), sandboxes, "some succeed")
	require.Len(t, indexes, 1, "there is one keyset")
	c := s.sandbox(purpose, nil, within)
	for _, b := range sealed {
		require.Equal(t, "x", open(t, c, b))
	}
	for i, b := range wrapped {
		plain, err := openUserKey(t, c, "u1", b).Open("users", "u1", "email", fields[i])
		require.NoError(t, err)
		require.Equal(t, "x", string(plain))
	}
}

// conformAllCalls lets KMS or the table fail until it is mended. Nothing is sealed, indexed or opened meanwhile.
func conformAllCalls(t *testing.T, s site) {
	for where, operations := range map[string][]string{"key": kmsCalls, "table": tableCalls} {
		for _, kind := range fault.Kinds() {
			purpose := fmt.Sprint(where, kind)
			t.Run(purpose, func(t *testing.T) {
				t.Parallel()
				down := s.sandbox(purpose, of(fault.Fault{Kind: kind}, operations...), within)
				_, err := down.Seal(t.Context(), "users", "u1", "email", []byte("ada@example.com"))
				require.Error(t, err)
				if where == "key" {
					require.Nil(t, s.made(t, purpose))
				}
				up := s.sandbox(purpose, nil, within)
				sealed := seal(t, up, "ada@example.com")
				before := s.made(t, purpose)
				fails(t, s.sandbox(purpose, of(fault.Fault{Kind: kind}, operations...), within), sealed)
				require.Equal(t, before, s.made(t, purpose))
				require.Equal(t, "ada@example.com", open(t, s.sandbox(purpose, nil, within), sealed))
			})
		}
	}
}

// conformHanging ends every call inside its budget, or the caller's.
func conformHanging(t *testing.T, s site) {
	for _, operation := range append(kmsCalls, tableCalls...) {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			purpose := "hangs" + operation
			if operation == "Decrypt" {
				seal(t, s.sandbox(purpose, nil, within), "x")
			}
			hanging := of(fault.Fault{Delay: time.Hour}, operation)
			_, err := s.sandbox(purpose, hanging, func(c *fieldcrypt.Config) { c.Budget = time.Millisecond }).Seal(t.Context(), "users", "u1", "email", []byte("x"))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			_, err = s.sandbox(purpose, hanging, func(c *fieldcrypt.Config) { c.Budget = 10 * time.Millisecond }).Seal(ctx, "users", "u1", "email", []byte("x"))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, "x", open(t, s.sandbox(purpose, nil, within), seal(t, s.sandbox(purpose, nil, within), "x")))
		})
	}
}

// conformClock moves the clock under a warm sandbox, forth and back, while KMS answers and while it does not.
func conformClock(t *testing.T, s site) {
	t.Parallel()
	var down atomic.Bool
	unsent := of(fault.Fault{Kind: fault.Unsent}, kmsCalls...)
	plan := func(n int, operation string) fault.Fault {
		if !down.Load() {
			return fault.Fault{}
		}
		return unsent(n, operation)
	}
	clock := fault.NewClock(time.Unix(1_800_000_000, 0))
	c := s.sandbox("clock", plan, within, func(c *fieldcrypt.Config) { c.Now = clock.Now })
	sealed := seal(t, c, "x")
	steps := []struct {
		jump  time.Duration
		down  bool
		opens bool
	}{
		{time.Minute, true, true}, {time.Hour, true, true}, {11 * time.Hour, true, false}, {0, false, true},
		{-48 * time.Hour, true, true}, {10 * time.Hour, true, true}, {time.Hour, true, false}, {-time.Minute, false, true},
		{300 * time.Hour, true, false}, {0, false, true}, {-300 * time.Hour, false, true},
	}
	for i, step := range steps {
		down.Store(step.down)
		clock.Jump(step.jump)
		plain, err := c.Open(t.Context(), "users", "u1", "email", sealed)
		if step.opens {
			require.NoError(t, err, "step %d", i)
			require.Equal(t, "x", string(plain))
			continue
		}
		require.Error(t, err, "step %d", i)
		require.Nil(t, plain)
	}
	require.Equal(t, "x", open(t, s.sandbox("clock", nil, within), sealed), "it is the same keyset all the time")
}

// conformElsewhere takes keysets to another environment and epoch, where KMS does not unwrap them.
func conformElsewhere(t *testing.T, s site) {
	t.Parallel()
	sealed := seal(t, s.sandbox("elsewhere", nil, within), "x")
	_, err := s.sandbox("elsewhere", nil, within, func(c *fieldcrypt.Config) { c.Environment = "prod" }).Open(t.Context(), "users", "u1", "email", sealed)
	require.Error(t, err)
	require.NotErrorIs(t, err, fieldcrypt.ErrSealed)
	item := s.made(t, "elsewhere")
	item["pk"] = store.S("KEYSET#elsewhere#2")
	_, err = s.table.PutItem(t.Context(), &dynamodb.PutItemInput{Item: item})
	require.NoError(t, err)
	_, err = s.sandbox("elsewhere", nil, within, func(c *fieldcrypt.Config) { c.Epoch = 2 }).Seal(t.Context(), "users", "u1", "email", []byte("x"))
	require.ErrorContains(t, err, "InvalidCiphertextException")
}

// The budget is that of the whole load, and a caller's own deadline comes first.
func TestALoadEndsInItsBudget(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{"GenerateDataKey", "GetItem", "PutItem"} {
		synctest.Test(t, func(t *testing.T) {
			s := memory()
			began := time.Now()
			c := s.sandbox("pii", of(fault.Fault{Delay: time.Hour}, operation))
			_, err := c.Seal(t.Context(), "users", "u1", "email", []byte("x"))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, 3*time.Second, time.Since(began))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err = c.Seal(ctx, "users", "u1", "email", []byte("x"))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, 4*time.Second, time.Since(began))
			synctest.Wait()
			time.Sleep(2 * time.Second) // the load that the caller left ends, too
		})
	}
}
