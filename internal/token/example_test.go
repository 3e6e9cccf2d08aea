package token_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/token"
)

func Example() {
	ctx, clock := context.Background(), fault.NewClock(time.Unix(1_800_000_000, 0))
	secrets := &safe{versions: map[string]string{}, labels: map[string]string{}}
	table := store.NewTable(mem.New(mem.Schema{Name: "signing-keys", Hash: "pk", Range: "sk"}), "signing-keys")

	// The operator, once.
	if _, err := token.Provision(ctx, secrets, "jwt", table, clock.Now()); err != nil {
		fmt.Println(err)
		return
	}
	// Who signs in, and who answers requests.
	reader := secret.NewReader(secrets, secret.Options{Now: clock.Now})
	signer := token.NewSigner("https://api.example.com", func(ctx context.Context) (secret.Value, error) { return reader.Get(ctx, "jwt") }, clock.Now)
	verifier := token.NewVerifier("https://api.example.com", token.NewKeys(table, token.KeysOptions{Now: clock.Now}), clock.Now)
	raw, _, err := signer.Sign(ctx, "user-1", "session-1")
	if err != nil {
		fmt.Println(err)
		return
	}
	claims, err := verifier.Verify(ctx, raw)
	fmt.Println(claims.Subject, err)

	// Now and then.
	rotation := token.Rotation{Secrets: secrets, SecretID: "jwt", Keys: table, Now: clock.Now}
	var early *token.EarlyError
	fmt.Println("too early:", errors.As(rotation.Rotate(ctx, "00000000-0000-4000-8000-000000000001"), &early))
	clock.Jump(token.Lead + time.Second)
	fmt.Println("rotated:", rotation.Rotate(ctx, "00000000-0000-4000-8000-000000000001"))
	_, err = verifier.Verify(ctx, raw)
	fmt.Println("still valid:", err)
	clock.Jump(token.Lifetime)
	_, err = verifier.Verify(ctx, raw)
	fmt.Println(errors.Is(err, token.ErrInvalid))
	// Output:
	// user-1 <nil>
	// too early: true
	// rotated: <nil>
	// still valid: <nil>
	// true
}
