package kmsmem_test

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/fieldcrypt"
	"github.com/expenzez/aws-backend/internal/fieldcrypt/kmsmem"
)

var _ fieldcrypt.KMS = (*kmsmem.Key)(nil)

const arn = "arn:aws:kms:eu-west-2:111122223333:key/1"

func context3(env string) map[string]string {
	return map[string]string{"app": "expenzez", "env": env, "epoch": "1"}
}

func newKey() *kmsmem.Key { return kmsmem.New(arn, map[string]string{"app": "expenzez"}) }

func TestADataKeyComesBack(t *testing.T) {
	t.Parallel()
	out, err := newKey().GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: aws.String(arn), KeySpec: types.DataKeySpecAes256, EncryptionContext: context3("dev")})
	require.NoError(t, err)
	require.Len(t, out.Plaintext, 32)
	require.NotContains(t, string(out.CiphertextBlob), string(out.Plaintext))
	back, err := newKey().Decrypt(t.Context(), &kms.DecryptInput{KeyId: aws.String(arn), CiphertextBlob: out.CiphertextBlob, EncryptionContext: context3("dev")})
	require.NoError(t, err)
	require.Equal(t, out.Plaintext, back.Plaintext)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	made, err := newKey().GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: aws.String(arn), KeySpec: types.DataKeySpecAes256, EncryptionContext: context3("dev")})
	require.NoError(t, err)
	down := errors.New("down")
	cases := map[string]struct {
		key     *kmsmem.Key
		id      string
		blob    []byte
		context map[string]string
		want    string
	}{
		"no_context":    {newKey(), arn, made.CiphertextBlob, nil, "AccessDeniedException"},
		"other_app":     {newKey(), arn, made.CiphertextBlob, map[string]string{"app": "x"}, "AccessDeniedException"},
		"other_context": {newKey(), arn, made.CiphertextBlob, context3("prod"), "InvalidCiphertextException"},
		"less_context":  {newKey(), arn, made.CiphertextBlob, map[string]string{"app": "expenzez"}, "InvalidCiphertextException"},
		"no_such_key":   {newKey(), arn + "2", made.CiphertextBlob, context3("dev"), "NotFoundException"},
		"no_key":        {newKey(), "", made.CiphertextBlob, context3("dev"), "NotFoundException"},
		"another_key":   {kmsmem.New(arn+"2", nil), arn + "2", made.CiphertextBlob, context3("dev"), "InvalidCiphertextException"},
		"changed":       {newKey(), arn, append(made.CiphertextBlob[:40:40], 0), context3("dev"), "InvalidCiphertextException"},
		"empty":         {newKey(), arn, nil, context3("dev"), "InvalidCiphertextException"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := c.key.Decrypt(t.Context(), &kms.DecryptInput{KeyId: &c.id, CiphertextBlob: c.blob, EncryptionContext: c.context})
			require.ErrorContains(t, err, c.want)
			require.Nil(t, out)
			require.Equal(t, []string{"Decrypt"}, c.key.Calls())
		})
	}
	k := newKey()
	k.Disable(true)
	_, err = k.Decrypt(t.Context(), &kms.DecryptInput{KeyId: aws.String(arn), CiphertextBlob: made.CiphertextBlob, EncryptionContext: context3("dev")})
	require.ErrorContains(t, err, "DisabledException")
	k.Disable(false)
	k.Fail("Decrypt", down)
	_, err = k.Decrypt(t.Context(), &kms.DecryptInput{KeyId: aws.String(arn), CiphertextBlob: made.CiphertextBlob, EncryptionContext: context3("dev")})
	require.ErrorIs(t, err, down)
	_, err = k.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: aws.String(arn), KeySpec: types.DataKeySpecAes128, EncryptionContext: context3("dev")})
	require.ErrorContains(t, err, "ValidationException")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = k.GenerateDataKey(ended, &kms.GenerateDataKeyInput{KeyId: aws.String(arn), KeySpec: types.DataKeySpecAes256, EncryptionContext: context3("dev")})
	require.ErrorIs(t, err, context.Canceled)
}
