package token

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/store"
)

// The times of a rotation, each the least that never refuses a valid token.
const (
	// Published is how old the set of keys may be that is published for clients, and how long clients may keep it.
	Published = 5 * time.Minute

	// Lead is how long a public key is published before its private key signs. Verifiers need readRetry and readBudget:
	// one that read its set just before the key was there does not read again for readRetry, and what a read returns may be
	// readBudget older than the time it is counted from. Clients of the published set need Published twice, once for our
	// set and once for theirs, and readBudget. Leeway is between the clocks of who publishes and who moves on.
	Lead = 2*Published + readBudget + Leeway

	// Retirement is how long a public key stays after its private key was replaced. Signers keep a secret for secretKept
	// while they cannot read it, and sign at most longestRequest after they took it; the last token lives for Lifetime and
	// Leeway; another Leeway is between the clocks of signers and of who replaces the key.
	Retirement = secretKept + longestRequest + Lifetime + 2*Leeway

	secretKept     = time.Hour        // the default of secret.Options.Hard
	longestRequest = 30 * time.Second // an integration of API Gateway ends after 29 s (API Gateway quotas)
)

// Labels of a secret's versions (Secrets Manager User Guide, "What's in a Secrets Manager secret?").
const (
	labelCurrent = "AWSCURRENT"
	labelPending = "AWSPENDING"
)

// SecretRotator is the calls of Secrets Manager that rotation needs.
type SecretRotator interface {
	SecretWriter
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
	UpdateSecretVersionStage(context.Context, *secretsmanager.UpdateSecretVersionStageInput, ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error)
}

// KeyTable is the table of public keys, as rotation needs it.
type KeyTable interface {
	store.Querier
	store.Putter
	store.Updater
}

// EarlyError says that a step may be done, but not yet. Nothing was changed.
type EarlyError struct {
	Until time.Time // by the clock of the rotation
}

func (e *EarlyError) Error() string {
	return "token: rotate: verifiers may not know the new key before " + e.Until.UTC().Format(time.RFC3339)
}

// Rotation replaces the signing key of an environment. Its steps are those that Secrets Manager asks a rotation function
// for, each with the id of the version that is to be made (Secrets Manager User Guide, "Lambda rotation functions"); they
// are done in order:
//
//	Create  a new private key becomes the secret's pending version, which nobody signs with
//	Set     its public key is published, valid from Lead later
//	Test    that key is published and Lead has passed, else an *EarlyError
//	Finish  the pending version becomes the current one; then the keys before it are retired from Retirement later
//
// Each step may be repeated, also by another process and after a crash at any point, and goes on from what is there; a
// step whose predecessor was not done changes nothing and fails. No token that was signed is refused before it expires by
// a verifier that can read the table, however old its set is. One version is rotated to at a time. A rotation that is
// given up ends when its version loses the label AWSPENDING; its public key is retired by the next one that finishes.
//
// Limits: verifiers whose KeysOptions make Retry and Budget longer than Lead, and signers whose secret.Options make Hard
// longer than an hour, break the promise. A set that cannot be renewed accepts a retired key for as long as it is used.
// The labels must not be moved back by hand to a key that is retired: rotate again.
type Rotation struct {
	Secrets  SecretRotator
	SecretID string
	Keys     KeyTable
	Now      func() time.Time // nil: time.Now
}

// Rotate does all steps that can be done now. An *EarlyError is the pause after Set: call again when it is over.
func (r Rotation) Rotate(ctx context.Context, version string) error {
	for _, step := range []func(context.Context, string) error{r.Create, r.Set, r.Test, r.Finish} {
		if err := step(ctx, version); err != nil {
			return err
		}
	}
	return nil
}

// Create makes the private key, once: version is its id in the secret, 32 to 64 characters.
func (r Rotation) Create(ctx context.Context, version string) error {
	l, err := r.labels(ctx)
	if err != nil || version == l.current {
		return err
	}
	if l.pending != "" && l.pending != version && l.pending != l.current {
		return fmt.Errorf("token: rotate: version %s is being rotated to; finish it or take its label AWSPENDING away", l.pending)
	}
	if _, _, err := r.read(ctx, version); !secret.IsMissing(err) {
		return err
	}
	value, _, err := NewKey(r.now())
	if err != nil {
		return err
	}
	text := value.Reveal()
	_, err = r.Secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &r.SecretID, ClientRequestToken: &version, SecretString: &text, VersionStages: []string{labelPending}})
	var exists *types.ResourceExistsException // somebody made the version at the same time: that one counts
	if err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("token: rotate: write the pending secret: %w", err)
	}
	_, _, err = r.read(ctx, version)
	return err
}

// Set publishes the public key of the pending version, once.
func (r Rotation) Set(ctx context.Context, version string) error {
	id, key, done, err := r.pending(ctx, version)
	if err != nil || done {
		return err
	}
	// Up to the next second, which is what is stored.
	published, err := publish(ctx, r.Keys, PublicKey{ID: id, Key: &key.PublicKey, NotBefore: r.now().Add(Lead + time.Second).Truncate(time.Second)})
	if err != nil {
		return err
	}
	if !published.RetireAt.IsZero() {
		return errRetired
	}
	return nil
}

// Test tells whether the pending version may sign now.
func (r Rotation) Test(ctx context.Context, version string) error {
	id, _, done, err := r.pending(ctx, version)
	if err != nil || done {
		return err
	}
	keys, err := query(ctx, r.Keys)
	if err != nil {
		return err
	}
	switch key, ok := keys[id]; {
	case !ok:
		return errors.New("token: rotate: the pending key is not published")
	case !key.RetireAt.IsZero():
		return errRetired
	case r.now().Before(key.NotBefore):
		return &EarlyError{Until: key.NotBefore}
	}
	return nil
}

var errRetired = errors.New("token: rotate: the pending key is retired; rotate to another version")

// Finish makes the pending version current, if Test agrees, and retires the other keys.
func (r Rotation) Finish(ctx context.Context, version string) error {
	if err := r.Test(ctx, version); err != nil {
		return err
	}
	if err := r.move(ctx, version); err != nil {
		return err
	}
	return r.retire(ctx, version)
}

// move moves the label AWSCURRENT. An error counts only while it is not where it should be: the answer may have been lost.
func (r Rotation) move(ctx context.Context, version string) error {
	l, err := r.labels(ctx)
	if err != nil || l.current == version {
		return err
	}
	_, err = r.Secrets.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &r.SecretID, VersionStage: aws.String(labelCurrent), MoveToVersionId: &version, RemoveFromVersionId: &l.current})
	if err == nil {
		return nil
	}
	if l, again := r.labels(ctx); again == nil && l.current == version {
		return nil
	}
	return fmt.Errorf("token: rotate: make the version current: %w", err)
}

// retire ends the keys that do not sign any more. The keys are read before the labels: whatever key is seen, the version
// that it came with is seen too.
func (r Rotation) retire(ctx context.Context, version string) error {
	keys, err := query(ctx, r.Keys)
	if err != nil {
		return err
	}
	l, err := r.labels(ctx)
	if err != nil {
		return err
	}
	if l.current != version {
		return nil // replaced already, by a rotation that retires this key too
	}
	id, _, err := r.read(ctx, version)
	if err != nil {
		return err
	}
	alive := []string{id}
	if l.pending != "" && l.pending != version {
		next, _, err := r.read(ctx, l.pending)
		if err != nil && !secret.IsMissing(err) {
			return err
		}
		alive = append(alive, next)
	}
	at := r.now().Add(Retirement + time.Second).Truncate(time.Second)
	for id, key := range keys {
		if slices.Contains(alive, id) || !key.RetireAt.IsZero() {
			continue
		}
		_, err := r.Keys.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			Key: store.Item{"pk": store.S(partition), "sk": store.S(id)}, UpdateExpression: ptr("SET retireAt = :at"),
			ConditionExpression:       ptr("attribute_exists(pk) AND attribute_not_exists(retireAt)"),
			ExpressionAttributeValues: store.Item{":at": store.N(at.Unix())}})
		if err != nil && !errors.Is(err, store.ErrConditionFailed) {
			return fmt.Errorf("token: rotate: retire a key: %w", err)
		}
	}
	return nil
}

// labels says which versions have the labels that count.
type labels struct{ current, pending string }

func (r Rotation) labels(ctx context.Context) (labels, error) {
	out, err := r.Secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &r.SecretID})
	if err != nil {
		return labels{}, fmt.Errorf("token: rotate: describe the secret: %w", err)
	}
	var l labels
	for version, all := range out.VersionIdsToStages {
		if slices.Contains(all, labelCurrent) {
			l.current = version
		}
		if slices.Contains(all, labelPending) {
			l.pending = version
		}
	}
	if l.current == "" {
		return labels{}, errors.New("token: rotate: the secret has no value; provision the environment first")
	}
	return l, nil
}

// pending reads the key of a version that is to become current; done says that it is.
func (r Rotation) pending(ctx context.Context, version string) (id string, key *ecdsa.PrivateKey, done bool, err error) {
	l, err := r.labels(ctx)
	switch {
	case err != nil:
		return "", nil, false, err
	case version == l.current:
		return "", nil, true, nil
	case version != l.pending:
		return "", nil, false, fmt.Errorf("token: rotate: version %s is not the pending one", version)
	}
	id, key, err = r.read(ctx, version)
	return id, key, false, err
}

// read reads a version by its id: a read without one may be of another.
func (r Rotation) read(ctx context.Context, version string) (string, *ecdsa.PrivateKey, error) {
	out, err := r.Secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &r.SecretID, VersionId: &version})
	if err != nil {
		return "", nil, fmt.Errorf("token: rotate: read a version of the secret: %w", err)
	}
	return readSecret(secret.NewValue(aws.ToString(out.SecretString)))
}

func (r Rotation) now() time.Time {
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}
