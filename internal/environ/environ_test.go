package environ_test

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/service"
)

func function(t *testing.T, serviceKey, key string) service.Function {
	t.Helper()
	for _, s := range catalog.Backend().Services {
		if f, ok := s.Function(key); ok && s.Key == serviceKey {
			return f
		}
	}
	t.Fatalf("no function %s", key)
	return service.Function{}
}

var complete = map[string]string{
	"EXPENZEZ_ENVIRONMENT": "dev", "TOKEN_ISSUER": "https://api.example.com", "ALLOWED_ORIGINS": "https://a.example,https://b.example",
	"KEY_ARN_PII": "arn:key", "LIMIT_API": "120/60", "LIMIT_AUTH": "5/300", "LIMIT_AUTH_IP": "100/300", "SECRET_ARN_JWT": "arn:jwt",
	"TABLE_LOGIN_ATTEMPTS": "t-login", "TABLE_RATE_LIMITS": "t-limits", "TABLE_REVOKED_TOKENS": "t-revoked", "TABLE_SECURITY_EVENTS": "t-events",
	"TABLE_SESSIONS": "t-sessions", "TABLE_SIGNING_KEYS": "t-keys", "TABLE_USERS": "t-users",
	"USER_POOL_ID": "pool", "USER_POOL_CLIENT_ID": "client",
}

func lookup(m map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := m[name]; return v, ok }
}

func TestReadTakesWhatIsDeclared(t *testing.T) {
	t.Parallel()
	v, err := environ.Read(function(t, "auth", "auth-api"), lookup(complete))
	require.NoError(t, err)
	require.Equal(t, "dev", v.Environment)
	require.Equal(t, "https://api.example.com", v.Issuer)
	require.Equal(t, []string{"https://a.example", "https://b.example"}, v.Origins)
	require.Equal(t, "t-users", v.Table("users"))
	require.Equal(t, "arn:jwt", v.Secret("jwt"))
	require.Equal(t, "arn:key", v.Key("pii"))
	require.Equal(t, "pool", v.UserPool)
	require.Equal(t, "client", v.UserPoolClient)
	require.Equal(t, map[service.Limit]environ.Limit{
		"api": {Max: 120, Per: time.Minute}, "auth": {Max: 5, Per: 5 * time.Minute}, "auth-ip": {Max: 100, Per: 5 * time.Minute}}, v.Limits)
	require.Zero(t, v.LimiterBudget)
}

func TestEveryVariableIsNeeded(t *testing.T) {
	t.Parallel()
	for name := range complete {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := maps.Clone(complete)
			delete(m, name)
			_, err := environ.Read(function(t, "auth", "auth-api"), lookup(m))
			require.ErrorContains(t, err, name+" is missing")
		})
	}
}

func TestReadNamesAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := environ.Read(function(t, "auth", "auth-api"), lookup(nil))
	for name := range complete {
		require.ErrorContains(t, err, name+" is missing")
	}
	require.ErrorContains(t, err, "auth-api cannot start")
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ name, value, want string }{
		"empty_table":       {"TABLE_USERS", "", "TABLE_USERS is missing"},
		"empty_environment": {"EXPENZEZ_ENVIRONMENT", "", "EXPENZEZ_ENVIRONMENT is missing"},
		"limit_alone":       {"LIMIT_AUTH", "5", `LIMIT_AUTH is "5"`},
		"limit_of_words":    {"LIMIT_AUTH", "a/b", "not limit/seconds"},
		"limit_zero":        {"LIMIT_AUTH", "0/300", "not limit/seconds"},
		"window_zero":       {"LIMIT_AUTH", "5/0", "not limit/seconds"},
		"limit_negative":    {"LIMIT_AUTH", "-5/300", "not limit/seconds"},
		"limit_three_parts": {"LIMIT_AUTH", "5/300/1", "not limit/seconds"},
		"budget_of_words":   {"LIMITER_BUDGET_MS", "soon", "not a number of milliseconds"},
		"budget_zero":       {"LIMITER_BUDGET_MS", "0", "not a number of milliseconds"},
		"budget_huge":       {"LIMITER_BUDGET_MS", "10001", "not a number of milliseconds"},
		"budget_empty":      {"LIMITER_BUDGET_MS", "", "not a number of milliseconds"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := maps.Clone(complete)
			m[c.name] = c.value
			_, err := environ.Read(function(t, "auth", "auth-api"), lookup(m))
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestReadAsksOnlyForWhatTheFunctionNeeds(t *testing.T) {
	t.Parallel()
	v, err := environ.Read(function(t, "auth", "authorizer"), lookup(map[string]string{
		"EXPENZEZ_ENVIRONMENT": "dev", "TOKEN_ISSUER": "https://x", "TABLE_SIGNING_KEYS": "t"}))
	require.NoError(t, err)
	require.Empty(t, v.Origins)

	m := maps.Clone(complete)
	m["ALLOWED_ORIGINS"], m["LIMITER_BUDGET_MS"] = "", "250"
	v, err = environ.Read(function(t, "auth", "auth-api"), lookup(m))
	require.NoError(t, err)
	require.Empty(t, v.Origins, "empty means none")
	require.Equal(t, 250*time.Millisecond, v.LimiterBudget)
}

// A function that sends is told where to, and only that: what it consumes is read by Lambda.
func TestReadTakesWhereToSend(t *testing.T) {
	t.Parallel()
	f := service.Function{Key: "sender", Sends: []string{"push-jobs"}, Queues: []string{"mail-jobs"}, Emails: "Says hello."}
	told := map[string]string{"EXPENZEZ_ENVIRONMENT": "dev", "QUEUE_URL_PUSH_JOBS": "https://queue", "EMAIL_FROM": "hello@expenzez.example"}
	v, err := environ.Read(f, lookup(told))
	require.NoError(t, err)
	require.Equal(t, "https://queue", v.Queue("push-jobs"))
	require.Empty(t, v.Queue("mail-jobs"))
	require.Equal(t, "hello@expenzez.example", v.EmailFrom)

	_, err = environ.Read(f, lookup(map[string]string{"EXPENZEZ_ENVIRONMENT": "dev"}))
	require.ErrorContains(t, err, "QUEUE_URL_PUSH_JOBS is missing")
	require.ErrorContains(t, err, "EMAIL_FROM is missing")
	_, err = environ.Read(service.Function{Key: "silent"}, lookup(map[string]string{"EXPENZEZ_ENVIRONMENT": "dev"}))
	require.NoError(t, err)
}
