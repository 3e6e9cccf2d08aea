package secret_test

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/secret/secretmem"
)

// Requests share what one call got. When the value has got old, the request that finds it so renews it at its end, and
// the one after has the version that a rotation put in its place.
func Example() {
	ctx, clock, vault := context.Background(), fault.NewClock(time.Unix(1_800_000_000, 0)), secretmem.New()
	_, err := vault.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("push"), SecretString: aws.String("old key")})
	if err != nil {
		fmt.Println(err)
		return
	}
	secrets := secret.NewReader(vault, secret.Options{Now: clock.Now})
	request := func() {
		defer secrets.Join(ctx)
		key, err := secrets.Get(ctx, "push")
		fmt.Println(key, key.Reveal(), err)
	}
	request()
	request()
	_, err = vault.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("push"), SecretString: aws.String("new key")})
	if err != nil {
		fmt.Println(err)
		return
	}
	clock.Jump(10 * time.Minute)
	request()
	request()
	current, previous, err := secrets.Both(ctx, "push")
	fmt.Println(current.Value.Reveal(), previous.Value.Reveal(), err)
	// Output:
	// [redacted] old key <nil>
	// [redacted] old key <nil>
	// [redacted] old key <nil>
	// [redacted] new key <nil>
	// new key old key <nil>
}
