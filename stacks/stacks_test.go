package stacks_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/local/engine"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/stacks"
)

// values is a complete configuration; each case of the tests below breaks one thing in it.
func values() map[string]string {
	return map[string]string{
		"aws:region": "eu-west-2", "aws:allowedAccountIds": `["111111111111"]`, "expenzez:account": "111111111111",
		"expenzez:domain": "api.example.com", "expenzez:origins": `["https://app.example.com","http://localhost:5173"]`,
		"expenzez:owner": "backend", "expenzez:costCenter": "cc-1",
	}
}

func read(environment string, config map[string]string) (stacks.Settings, error) {
	return stacks.ReadSettings(environment, func(key string) (string, bool) { v, ok := config[key]; return v, ok })
}

func TestSettingsAreRead(t *testing.T) {
	t.Parallel()
	s, err := read("dev", values())
	require.NoError(t, err)
	require.Equal(t, "111111111111", s.Account)
	require.Equal(t, []string{"http://localhost:5173", "https://app.example.com"}, s.Origins, "sorted")
	require.Equal(t, "https://api.example.com", s.Issuer())
	require.Equal(t, "expenzez-dev-users", s.Name("users"))
	require.Equal(t, "/expenzez/dev/", s.SecretPrefix())
	require.Equal(t, "arm64", s.Architecture)
	require.Empty(t, s.EmailFrom)
	require.Empty(t, s.PushApplications)
	require.Equal(t, map[string]string{
		"Project": "expenzez", "Environment": "dev", "Service": "auth", "Owner": "backend",
		"CostCenter": "cc-1", "DataClass": "internal", "ManagedBy": "pulumi",
	}, s.Tags("auth", "internal"))
}

func TestSettingsOfWhatIsSentAreRead(t *testing.T) {
	t.Parallel()
	config := values()
	config["expenzez:emailFrom"] = "no-reply@mail.example.com"
	config["expenzez:pushApplications"] = `["GCM/app","APNS/app","GCM/app"]`
	s, err := read("dev", config)
	require.NoError(t, err)
	require.Equal(t, "no-reply@mail.example.com", s.EmailFrom)
	require.Equal(t, []string{"APNS/app", "GCM/app"}, s.PushApplications)
}

func TestSettingsAreRefused(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ key, value, want string }{
		"account_missing":        {"expenzez:account", "", "expenzez:account is missing: an AWS account id has 12 digits"},
		"account_short":          {"expenzez:account", "1234", `expenzez:account is "1234": an AWS account id has 12 digits`},
		"account_mismatch":       {"aws:allowedAccountIds", `["222222222222"]`, `aws:allowedAccountIds is "222222222222": must list exactly the environment's account, expenzez:account 111111111111`},
		"two_accounts":           {"aws:allowedAccountIds", `["111111111111","222222222222"]`, "must list exactly the environment's account"},
		"accounts_no_list":       {"aws:allowedAccountIds", "111111111111", "must list exactly the environment's account"},
		"accounts_missing":       {"aws:allowedAccountIds", "", "aws:allowedAccountIds is missing"},
		"region":                 {"aws:region", "London", `aws:region is "London": a region looks like`},
		"domain_with_scheme":     {"expenzez:domain", "https://api.example.com", "without scheme or path"},
		"domain_upper":           {"expenzez:domain", "API.example.com", "a lower-case host name"},
		"origins_empty":          {"expenzez:origins", "[]", "a list of web origins"},
		"origins_text":           {"expenzez:origins", "https://app.example.com", "a list of web origins"},
		"origin_star":            {"expenzez:origins", `["*"]`, `expenzez:origins[0] is "*"`},
		"origin_wildcard":        {"expenzez:origins", `["https://*.example.com"]`, "no *"},
		"origin_plain_http":      {"expenzez:origins", `["http://app.example.com"]`, "https except for localhost"},
		"origin_with_path":       {"expenzez:origins", `["https://app.example.com/"]`, "no path"},
		"origin_second":          {"expenzez:origins", `["https://app.example.com","null"]`, `expenzez:origins[1] is "null"`},
		"owner_missing":          {"expenzez:owner", "", "expenzez:owner is missing"},
		"cost_center_characters": {"expenzez:costCenter", "a;b", "as AWS tags allow"},
		"architecture":           {"expenzez:architecture", "mips", "must be one of arm64, x86_64"},
		"email_of_words":         {"expenzez:emailFrom", "nobody", `expenzez:emailFrom is "nobody": a lower-case mail address`},
		"email_with_name":        {"expenzez:emailFrom", "Me <me@example.com>", "a lower-case mail address"},
		"push_text":              {"expenzez:pushApplications", "APNS/app", "a list of SNS platform applications"},
		"push_empty":             {"expenzez:pushApplications", "[]", "a list of SNS platform applications"},
		"push_wildcard":          {"expenzez:pushApplications", `["APNS/*"]`, `expenzez:pushApplications[0] is "APNS/*"`},
		"push_platform":          {"expenzez:pushApplications", `["APNS/app","*/app"]`, `expenzez:pushApplications[1] is "*/app"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := values()
			config[c.key] = c.value
			_, err := read("dev", config)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "pulumi config set --stack dev", "the message says how to mend it")
		})
	}
}

func TestUnknownEnvironmentIsRefusedWithTheKnownOnes(t *testing.T) {
	t.Parallel()
	_, err := read("production", values())
	require.ErrorContains(t, err, `environment is "production": the stack must be one of dev, staging, prod`)
}

func TestAllProblemsAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := read("nowhere", map[string]string{})
	for _, key := range []string{"environment", "aws:region", "aws:allowedAccountIds", "expenzez:account", "expenzez:domain", "expenzez:origins", "expenzez:owner", "expenzez:costCenter"} {
		require.ErrorContains(t, err, key)
	}
}

func TestCommittedConfigurationsAreComplete(t *testing.T) {
	t.Parallel()
	accounts := map[string]string{}
	for _, environment := range stacks.Environments() {
		config, err := engine.ReadConfig("..", environment)
		require.NoError(t, err)
		s, err := stacks.ReadSettings(environment, engine.Lookup(config))
		require.NoError(t, err)
		require.NotContains(t, accounts, s.Account, "two environments share an account")
		accounts[s.Account] = environment

		content, err := os.ReadFile(fmt.Sprintf("../Pulumi.%s.yaml", environment))
		require.NoError(t, err)
		require.NotContains(t, string(content), "encryptionsalt", "the engine ran in the checkout")
		for key := range config {
			require.True(t, known(key), "%s: the key %s means nothing", environment, key)
		}
	}
}

func known(key string) bool {
	_, ok := values()[key]
	return ok || slices.Contains([]string{"expenzez:emailFrom", "expenzez:pushApplications"}, key)
}

// What a profile promises beyond being a number.
func TestProfilesKeepTheirPromises(t *testing.T) {
	t.Parallel()
	for _, environment := range stacks.Environments() {
		s, err := read(environment, values())
		require.NoError(t, err)
		p := s.Profile
		require.GreaterOrEqual(t, p.KeyDeletionDays, 8, "DynamoDB archives a table without its key after seven days")
		require.Equal(t, environment == "dev", p.AllowDestroy, "only dev loses data")
		require.Equal(t, environment == "dev", p.SharedKey)
		if environment != "dev" {
			require.Equal(t, 35, p.RecoveryDaysCritical)
		}
		require.LessOrEqual(t, p.AuthorizerCache, time.Hour, "API Gateway's limit")
		for size, f := range p.Functions {
			if size == service.SizeAPI || size == service.SizeAuthorizer {
				require.LessOrEqual(t, f.Timeout, 29*time.Second, "API Gateway gives up then")
			}
			require.LessOrEqual(t, f.Timeout, 15*time.Minute, "Lambda's limit")
			require.LessOrEqual(t, f.Batch, 100, "a batch is worked on within one timeout")
			require.NotEqual(t, 1, f.Concurrency, "Lambda takes 2 to 1000")
			require.GreaterOrEqual(t, f.Visibility(), 6*f.Timeout, "AWS Lambda Developer Guide")
			require.LessOrEqual(t, f.Visibility(), 12*time.Hour, "SQS's limit")
		}
		// The limits are the same everywhere: what an app meets in prod it has met in dev.
		require.True(t, maps.Equal(map[service.Limit]stacks.CallerLimit{
			service.LimitAuth:      {Max: 5, Per: 5 * time.Minute},
			service.LimitAuthIP:    {Max: 100, Per: 5 * time.Minute},
			service.LimitAI:        {Max: 300, Per: time.Hour},
			service.LimitSensitive: {Max: 10, Per: 15 * time.Minute},
			service.LimitAPI:       {Max: 120, Per: time.Minute},
			service.LimitWebhook:   {Max: 60, Per: time.Minute},
		}, p.Limits), environment)
	}
}

// The longest physical name of anything declared fits AWS's limits in the longest environment.
func TestNamesFit(t *testing.T) {
	t.Parallel()
	s, err := read("staging", values())
	require.NoError(t, err)
	for _, f := range catalog.Backend().Functions() {
		require.LessOrEqual(t, len(s.Name(f.Key)), 64, "Lambda Developer Guide, function name")
	}
	for _, table := range catalog.Backend().Tables {
		require.LessOrEqual(t, len(s.Name(table.Key)), 255, "DynamoDB naming rules")
		require.False(t, strings.ContainsAny(s.Name(table.Key), " /"))
	}
}
