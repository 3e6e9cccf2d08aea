package bench

import (
	"context"
	"crypto/ecdsa"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/token"
)

const issuer = "https://api.example.com"

// published is a table of public keys that holds one.
type published struct{ item store.Item }

func (p published) Query(context.Context, *dynamodb.QueryInput) (*dynamodb.QueryOutput, error) {
	return &dynamodb.QueryOutput{Items: []store.Item{p.item}}, nil
}

// keys is a signing key with what verifies it.
func keys(b *testing.B) (*token.Signer, *token.Verifier, *ecdsa.PublicKey) {
	private, public, err := token.NewKey(time.Now())
	require.NoError(b, err)
	item, err := public.Item()
	require.NoError(b, err)
	signer := token.NewSigner(issuer, func(context.Context) (secret.Value, error) { return private, nil }, time.Now)
	return signer, token.NewVerifier(issuer, token.NewKeys(published{item}, token.KeysOptions{}), time.Now), public.Key
}

func BenchmarkVerify(b *testing.B) {
	signer, verifier, public := keys(b)
	raw, _, err := signer.Sign(b.Context(), "user", "session")
	require.NoError(b, err)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := verifier.Verify(b.Context(), raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("golang-jwt", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := jwt.ParseWithClaims(raw, &jwt.RegisteredClaims{}, func(*jwt.Token) (any, error) { return public, nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}
