package token_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/local/localtest"
	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/store/storetest"
	"github.com/expenzez/aws-backend/internal/token"
)

var emulator string // URL of the one moto of this package's tests

func TestMain(m *testing.M) { localtest.Main(m, &emulator) }

// The whole rotation through the SDK's real clients, with a connection that fails in each way, each at another call, until
// the process gives up, and another process that goes on. Every call in every way is tried in memory.
func TestRotationOnTheEmulator(t *testing.T) {
	t.Parallel()
	cloud := localtest.Start(t, emulator)
	transport := fault.NewTransport(nil, nil)
	cfg := cloud.Operator()
	cfg.HTTPClient = transport
	secrets := secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) { o.Retryer = aws.NopRetryer{} })
	db := store.Open(cfg, store.Options{Random: func() float64 { return 0 }})
	table := fmt.Sprintf("keys-%d", time.Now().UnixNano())
	_, err := db.CreateTable(t.Context(), storetest.CreateTable(mem.Schema{Name: table, Hash: "pk", Range: "sk"}))
	require.NoError(t, err)
	made, err := secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &table})
	require.NoError(t, err)
	keys := store.NewTable(db, table)
	_, err = token.Provision(t.Context(), secrets, *made.ARN, keys, start)
	require.NoError(t, err)

	clock := fault.NewClock(start)
	rotation := token.Rotation{Secrets: secrets, SecretID: *made.ARN, Keys: keys, Now: clock.Now}
	verifier := token.NewVerifier(issuer, token.NewKeys(keys, token.KeysOptions{Now: clock.Now}), clock.Now)
	sign := func() string {
		reader := secret.NewReader(secrets, secret.Options{Now: clock.Now})
		raw, _, err := token.NewSigner(issuer, func(ctx context.Context) (secret.Value, error) { return reader.Get(ctx, *made.ARN) }, clock.Now).Sign(t.Context(), "user-1", "session-1")
		require.NoError(t, err)
		return raw
	}
	for i, kind := range fault.Kinds() {
		at := 1 + 2*i // of ten calls before the pause
		version := fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
		old := sign()
		transport.Follow(fault.From(at, fault.Fault{Kind: kind}))
		err := rotation.Rotate(t.Context(), version)
		transport.Follow(nil)
		require.Error(t, err)
		var early *token.EarlyError
		if !errors.As(err, &early) {
			require.ErrorAs(t, rotation.Rotate(t.Context(), version), &early)
		}
		clock.Jump(token.Lead + time.Second)
		_, err = verifier.Verify(t.Context(), old)
		require.NoError(t, err)
		transport.Follow(fault.From(at, fault.Fault{Kind: kind}))
		_ = rotation.Rotate(t.Context(), version)
		transport.Follow(nil)
		require.NoError(t, rotation.Rotate(t.Context(), version))
		for _, raw := range []string{old, sign()} {
			_, err = verifier.Verify(t.Context(), raw)
			require.NoError(t, err)
		}
		clock.Jump(time.Minute)
	}
	clock.Jump(token.Retirement)
	all, err := token.NewKeys(keys, token.KeysOptions{Now: clock.Now}).All(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1, "every key before is retired")
}
