package secret_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/secret"
)

func lookup(m map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := m[name]; return v, ok }
}

func TestTheEnvironmentStandsInOutsideLambda(t *testing.T) {
	t.Parallel()
	e, err := secret.NewEnvironment(lookup(map[string]string{"SECRET_JWT": "key", "SECRET_EMPTY": ""}))
	require.NoError(t, err)
	r := secret.NewReader(e, secret.Options{})
	cur, prev, err := r.Both(t.Context(), "SECRET_JWT")
	require.NoError(t, err)
	require.Equal(t, "key", cur.Value.Reveal())
	require.NotEmpty(t, cur.ID)
	require.Equal(t, []string{"AWSCURRENT"}, cur.Stages)
	require.Empty(t, prev.ID)
	for _, name := range []string{"SECRET_EMPTY", "SECRET_OTHER", ""} {
		_, err = r.Get(t.Context(), name)
		require.True(t, secret.IsMissing(err), name)
	}
	_, err = e.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("SECRET_JWT"), VersionId: aws.String("1")})
	require.True(t, secret.IsMissing(err), "no other version")
	out, err := e.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("SECRET_JWT")})
	require.NoError(t, err)
	require.Equal(t, "key", *out.SecretString)
}

func TestTheEnvironmentIsRefusedInLambda(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_RUNTIME_API"} {
		for _, value := range []string{"x", ""} {
			e, err := secret.NewEnvironment(lookup(map[string]string{name: value, "SECRET_JWT": hidden}))
			require.ErrorContains(t, err, name+" is set")
			require.Zero(t, e)
			hides(t, name, err.Error())
		}
	}
}
