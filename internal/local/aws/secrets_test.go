package aws_test

import (
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func createSecret(t *testing.T, c *secretsmanager.Client, value *string) (name *string, version string) {
	t.Helper()
	out, err := c.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: sdk.String(unique("/expenzez/dev/secret")), SecretString: value})
	require.NoError(t, err)
	return out.Name, sdk.ToString(out.VersionId)
}

func TestSecretFollowsItsLabel(t *testing.T) {
	t.Parallel()
	c := start(t).secrets(t)
	name, first := createSecret(t, c, sdk.String("one"))
	second, err := c.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: name, SecretString: sdk.String("two"), VersionStages: []string{"AWSPENDING"}})
	require.NoError(t, err)
	read := func(stage *string) string {
		out, err := c.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: name, VersionStage: stage})
		require.NoError(t, err)
		return *out.SecretString
	}
	assert.Equal(t, "one", read(nil))
	assert.Equal(t, "two", read(sdk.String("AWSPENDING")))
	_, err = c.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: name, VersionStage: sdk.String("AWSCURRENT"), MoveToVersionId: second.VersionId, RemoveFromVersionId: &first,
	})
	require.NoError(t, err)
	assert.Equal(t, "two", read(nil), "a read without a label follows AWSCURRENT")
	assert.Equal(t, "one", read(sdk.String("AWSPREVIOUS")))
	out, err := c.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: name, VersionId: &first})
	require.NoError(t, err)
	assert.Equal(t, "one", *out.SecretString, "a read by version gets that version")
}

func TestSecretThatIsNotThere(t *testing.T) {
	t.Parallel()
	c := start(t).secrets(t)
	empty, _ := createSecret(t, c, nil)
	full, _ := createSecret(t, c, sdk.String("value"))
	for name, r := range map[string]struct {
		input secretsmanager.GetSecretValueInput
		want  string
	}{
		"no value":      {secretsmanager.GetSecretValueInput{SecretId: empty}, "can't find the specified secret value for staging label: AWSCURRENT"},
		"no such label": {secretsmanager.GetSecretValueInput{SecretId: full, VersionStage: sdk.String("NONE")}, "can't find the specified secret value for staging label: NONE"},
		"no secret":     {secretsmanager.GetSecretValueInput{SecretId: sdk.String("none")}, "can't find the specified secret."},
	} {
		_, err := c.GetSecretValue(t.Context(), &r.input)
		requireCode(t, err, "ResourceNotFoundException", r.want)
		assert.Error(t, err, name)
	}
}

func TestBatchOfSecrets(t *testing.T) {
	t.Parallel()
	c := start(t).secrets(t)
	empty, _ := createSecret(t, c, nil)
	full, _ := createSecret(t, c, sdk.String("value"))
	gone, _ := createSecret(t, c, sdk.String("value"))
	_, err := c.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: gone})
	require.NoError(t, err)
	out, err := c.BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{*empty, *full, "none", *gone}})
	require.NoError(t, err)
	require.Len(t, out.SecretValues, 1)
	assert.Equal(t, *full, *out.SecretValues[0].Name)
	assert.Equal(t, "value", *out.SecretValues[0].SecretString)
	codes := map[string]string{}
	for _, e := range out.Errors {
		codes[*e.SecretId] = *e.ErrorCode
	}
	assert.Equal(t, map[string]string{*empty: "ResourceNotFoundException", "none": "ResourceNotFoundException", *gone: "InvalidRequestException"}, codes)
}

func TestDeletedSecretIsRefused(t *testing.T) {
	t.Parallel()
	c := start(t).secrets(t)
	name, _ := createSecret(t, c, sdk.String("value"))
	_, err := c.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: name})
	require.NoError(t, err)
	const want = "You can't perform this operation on the secret because it was marked for deletion."
	_, err = c.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: name})
	requireCode(t, err, "InvalidRequestException", want)
	_, err = c.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: name, SecretString: sdk.String("x")})
	requireCode(t, err, "InvalidRequestException", want)
	_, err = c.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{SecretId: name, SecretString: sdk.String("x")})
	requireCode(t, err, "InvalidRequestException", want)
	_, err = c.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: name})
	require.NoError(t, err)
	_, err = c.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: name, SecretString: sdk.String("x")})
	require.NoError(t, err)
}
