package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/store"
)

// SecretWriter is the calls of Secrets Manager that provisioning needs. No function that answers requests has them.
type SecretWriter interface {
	secret.API
	PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
}

// Provision gives a fresh environment its first signing key: the public key is published, then the private one becomes
// the secret's value. Where the secret has a value already, that stays, and its public key is published if it is not.
// It may be repeated at any point; made says whether this call made the key.
func Provision(ctx context.Context, secrets SecretWriter, secretID string, keys store.Putter, now time.Time) (made bool, err error) {
	out, err := secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &secretID})
	switch {
	case err == nil:
		return false, republish(ctx, keys, secret.NewValue(aws.ToString(out.SecretString)), now)
	case !secret.IsMissing(err):
		return false, fmt.Errorf("token: provision: read the secret: %w", err)
	}
	value, public, err := NewKey(now)
	if err != nil {
		return false, err
	}
	if _, err := publish(ctx, keys, public); err != nil {
		return false, err
	}
	text := value.Reveal()
	if _, err := secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &secretID, SecretString: &text}); err != nil {
		return false, fmt.Errorf("token: provision: write the secret: %w", err)
	}
	return true, nil
}

func republish(ctx context.Context, keys store.Putter, value secret.Value, now time.Time) error {
	id, key, err := readSecret(value)
	if err != nil {
		return err
	}
	_, err = publish(ctx, keys, PublicKey{ID: id, Key: &key.PublicKey, NotBefore: now.Truncate(time.Second)})
	return err
}

// publish puts a key that is not there yet, and returns the one that is there then: an id never gets another key, since it
// is the key's thumbprint, and the times of a key that was published stay.
func publish(ctx context.Context, keys store.Putter, key PublicKey) (PublicKey, error) {
	item, err := key.Item()
	if err != nil {
		return PublicKey{}, err
	}
	_, err = keys.PutItem(ctx, &dynamodb.PutItemInput{Item: item, ConditionExpression: ptr("attribute_not_exists(pk)")})
	var exists *store.ConditionFailedError
	switch {
	case errors.As(err, &exists):
		return readItem(exists.Old)
	case err != nil:
		return PublicKey{}, fmt.Errorf("token: publish the key: %w", err)
	}
	return key, nil
}
