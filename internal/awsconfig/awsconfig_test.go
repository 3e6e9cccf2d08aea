package awsconfig

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"
)

var lambda = map[string]string{"AWS_REGION": "eu-west-2", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_SESSION_TOKEN": "token"}

func lookup(m map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := m[name]; return v, ok }
}

func TestLoadNamesEveryMissingVariable(t *testing.T) {
	t.Parallel()
	_, err := Load(lookup(nil))
	for _, name := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		require.ErrorContains(t, err, name+" is missing")
		m := maps.Clone(lambda)
		m[name] = ""
		_, one := Load(lookup(m))
		require.ErrorContains(t, one, name+" is missing")
	}
}

func TestLoadTakesWhatLambdaSets(t *testing.T) {
	t.Parallel()
	cfg, err := Load(lookup(lambda))
	require.NoError(t, err)
	require.Equal(t, "eu-west-2", cfg.Region)
	require.Nil(t, cfg.BaseEndpoint)
	got, err := cfg.Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"id", "key", "token"}, []string{got.AccessKeyID, got.SecretAccessKey, got.SessionToken})
}

// A client of the configuration goes to AWS_ENDPOINT_URL, signs as the role, and tries a throttled call three times.
func TestAThrottledCallIsTriedThreeTimes(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Security-Token") == "token" && strings.Contains(r.Header.Get("Authorization"), "Credential=id/") {
			calls.Add(1)
		}
		w.Header().Set("X-Amzn-ErrorType", "ThrottlingException")
		w.WriteHeader(http.StatusBadRequest)
	}))
	t.Cleanup(server.Close)
	m := maps.Clone(lambda)
	m["AWS_ENDPOINT_URL"] = server.URL
	cfg, err := Load(lookup(m))
	require.NoError(t, err)
	_, err = secretsmanager.NewFromConfig(cfg).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("x")})
	require.Error(t, err)
	require.EqualValues(t, 3, calls.Load())
}
