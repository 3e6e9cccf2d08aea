package aws_test

import (
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func createKey(t *testing.T, c *kms.Client) *string {
	t.Helper()
	out, err := c.CreateKey(t.Context(), &kms.CreateKeyInput{})
	require.NoError(t, err)
	return out.KeyMetadata.KeyId
}

func encrypt(t *testing.T, c *kms.Client, key *string, bound map[string]string) []byte {
	t.Helper()
	out, err := c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key, Plaintext: []byte("money"), EncryptionContext: bound})
	require.NoError(t, err)
	return out.CiphertextBlob
}

// uses are one call of each kind that needs the key.
func uses(t *testing.T, c *kms.Client, key *string, sealed []byte) map[string]error {
	t.Helper()
	ctx, errs := t.Context(), map[string]error{}
	_, errs["Encrypt"] = c.Encrypt(ctx, &kms.EncryptInput{KeyId: key, Plaintext: []byte("x")})
	_, errs["Decrypt"] = c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed})
	_, errs["GenerateDataKey"] = c.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: key, KeySpec: types.DataKeySpecAes256})
	_, errs["GenerateDataKeyWithoutPlaintext"] = c.GenerateDataKeyWithoutPlaintext(ctx, &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: key, KeySpec: types.DataKeySpecAes256})
	_, errs["ReEncrypt"] = c.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: sealed, DestinationKeyId: createKey(t, c)})
	return errs
}

func TestDisabledKeyIsNotUsed(t *testing.T) {
	t.Parallel()
	c := start(t).kms(t)
	key, alias := createKey(t, c), sdk.String("alias/"+unique("key"))
	sealed := encrypt(t, c, key, nil)
	_, err := c.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: alias, TargetKeyId: key})
	require.NoError(t, err)
	_, err = c.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key})
	require.NoError(t, err)
	for _, name := range []*string{key, alias} {
		for use, err := range uses(t, c, name, sealed) {
			requireCode(t, err, "DisabledException", "is disabled.")
			assert.ErrorContains(t, err, "arn:aws:kms:"+region+":"+account+":key/"+*key, use)
		}
	}
	_, err = c.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: key})
	require.NoError(t, err)
	for use, err := range uses(t, c, alias, sealed) {
		require.NoError(t, err, use)
	}
}

func TestKeyPendingDeletionIsNotUsed(t *testing.T) {
	t.Parallel()
	c := start(t).kms(t)
	key := createKey(t, c)
	sealed := encrypt(t, c, key, nil)
	_, err := c.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: key, PendingWindowInDays: sdk.Int32(7)})
	require.NoError(t, err)
	for use, err := range uses(t, c, key, sealed) {
		requireCode(t, err, "KMSInvalidStateException", "is pending deletion.")
		assert.ErrorContains(t, err, *key, use)
	}
	_, err = c.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: key})
	requireCode(t, err, "KMSInvalidStateException", "is pending deletion.")
	_, err = c.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key})
	requireCode(t, err, "KMSInvalidStateException", "is pending deletion.")
	_, err = c.CancelKeyDeletion(t.Context(), &kms.CancelKeyDeletionInput{KeyId: key})
	require.NoError(t, err)
	_, err = c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: sealed})
	requireCode(t, err, "DisabledException", "is disabled.")
}

func TestEncryptionContextIsBound(t *testing.T) {
	t.Parallel()
	c := start(t).kms(t)
	key := createKey(t, c)
	sealed := encrypt(t, c, key, map[string]string{"user": "1", "table": "t"})
	open := func(bound map[string]string) error {
		out, err := c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: sealed, EncryptionContext: bound})
		if err == nil {
			assert.Equal(t, "money", string(out.Plaintext))
		}
		return err
	}
	require.NoError(t, open(map[string]string{"table": "t", "user": "1"}))
	for name, bound := range map[string]map[string]string{
		"none": nil, "another value": {"user": "2", "table": "t"}, "a pair less": {"user": "1"},
		"strung together otherwise": {"tablet": "", "user": "1"}, "a pair more": {"user": "1", "table": "t", "a": "b"},
	} {
		err := open(bound)
		requireCode(t, err, "InvalidCiphertextException", "")
		assert.Error(t, err, name)
	}
}

func TestDecryptRefusesAnotherKey(t *testing.T) {
	t.Parallel()
	c := start(t).kms(t)
	key, other := createKey(t, c), createKey(t, c)
	sealed := encrypt(t, c, key, nil)
	_, err := c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: sealed, KeyId: other})
	requireCode(t, err, "IncorrectKeyException", "does not identify")
	_, err = c.ReEncrypt(t.Context(), &kms.ReEncryptInput{CiphertextBlob: sealed, SourceKeyId: other, DestinationKeyId: key})
	requireCode(t, err, "IncorrectKeyException", "does not identify")
	_, err = c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: sealed, KeyId: key})
	require.NoError(t, err)
	_, err = c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: []byte("not a ciphertext")})
	requireCode(t, err, "InvalidCiphertextException", "")
	sealed[len(sealed)-1] ^= 1
	_, err = c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: sealed})
	requireCode(t, err, "InvalidCiphertextException", "")
	_, err = c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: sdk.String("alias/none"), Plaintext: []byte("x")})
	requireCode(t, err, "NotFoundException", "")
}
