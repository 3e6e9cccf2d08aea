package catalog_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/golden"
	"github.com/expenzez/aws-backend/internal/service"
)

func TestTheDeclarationIsValid(t *testing.T) {
	require.NoError(t, service.Validate(catalog.Backend()))
}

func TestEveryPostTakesEffectOnceOrSaysWhyNot(t *testing.T) {
	require.NoError(t, service.CheckIdempotency(catalog.Backend(), catalog.NotIdempotent()))
}

func TestAccessDocumentIsCurrent(t *testing.T) {
	golden.Compare(t, "ACCESS.md", []byte(service.AccessDocument(catalog.Backend())))
}

// What each service is meant to touch, written by hand: the own tables are the brief of the backend, every other
// table is an extra that needs a reason in the declaration.
func TestTablesOfEachServiceAreThoseWeMean(t *testing.T) {
	want := map[string]struct{ own, extra []string }{
		"auth": {
			own:   []string{"login-attempts", "security-events", "users"},
			extra: []string{"rate-limits", "revoked-tokens", "sessions", "signing-keys"},
		},
		"transactions": {
			own:   []string{"budgets", "monthly-summaries", "transactions", "users"},
			extra: []string{"idempotency", "rate-limits", "revoked-tokens"},
		},
	}
	for _, s := range catalog.Backend().Services {
		var own, extra []string
		for _, f := range s.Functions {
			for _, a := range f.Tables {
				if slices.Contains(want[s.Key].own, a.Table) {
					own = append(own, a.Table)
					continue
				}
				extra = append(extra, a.Table)
				require.NotEmpty(t, a.Reason, "%s uses %s, which is not its own: say why", f.Key, a.Table)
			}
		}
		require.Equal(t, want[s.Key].own, distinct(own), s.Key)
		require.Equal(t, want[s.Key].extra, distinct(extra), s.Key)
	}
}

// A few policies as a person would write them.
func TestPoliciesWrittenByHand(t *testing.T) {
	want := map[string][]string{
		"authorizer": {"dynamodb:Query table:signing-keys"},
		"transactions-api": {
			"dynamodb:BatchGetItem table:revoked-tokens",
			"dynamodb:ConditionCheckItem table:users",
			"dynamodb:DeleteItem table:budgets",
			"dynamodb:DeleteItem table:transactions",
			"dynamodb:GetItem table:budgets",
			"dynamodb:GetItem table:transactions",
			"dynamodb:PutItem table:budgets",
			"dynamodb:PutItem table:idempotency",
			"dynamodb:PutItem table:transactions",
			"dynamodb:Query index:transactions/by-amount",
			"dynamodb:Query index:transactions/by-category",
			"dynamodb:Query index:transactions/by-date",
			"dynamodb:Query index:transactions/by-description",
			"dynamodb:Query table:budgets",
			"dynamodb:Query table:monthly-summaries",
			"dynamodb:UpdateItem table:budgets",
			"dynamodb:UpdateItem table:idempotency",
			"dynamodb:UpdateItem table:rate-limits",
			"dynamodb:UpdateItem table:transactions",
		},
	}
	got := map[string][]string{}
	for _, r := range service.Matrix(catalog.Backend()) {
		got[r.Function] = append(got[r.Function], r.Action+" "+r.Resource)
	}
	for function, rows := range want {
		slices.Sort(got[function])
		require.Equal(t, rows, got[function], function)
	}
}

// Only auth reads the signing key and only auth decrypts personal fields.
func TestSecretsAndKeysReachOnlyAuth(t *testing.T) {
	for _, r := range service.Matrix(catalog.Backend()) {
		if strings.HasPrefix(r.Resource, "secret:") || strings.HasPrefix(r.Resource, "key:") || r.Resource == "user-pool" {
			require.Equal(t, "auth-api", r.Function, "%s %s", r.Action, r.Resource)
		}
	}
}

// Keys name resources: a renamed key replaces a table or a function. Add here, never change.
func TestKeysArePinned(t *testing.T) {
	var got []string
	b := catalog.Backend()
	for _, x := range b.Tables {
		got = append(got, "table "+x.Key)
	}
	for _, x := range b.Secrets {
		got = append(got, "secret "+x.Key)
	}
	for _, x := range b.Keys {
		got = append(got, "key "+x.Key)
	}
	for _, x := range b.Queues {
		got = append(got, "queue "+x.Key)
	}
	for _, s := range b.Services {
		for _, f := range s.Functions {
			got = append(got, "function "+s.Key+"/"+f.Key)
			for _, x := range f.Schedules {
				got = append(got, "schedule "+f.Key+"/"+x.Key)
			}
		}
	}
	slices.Sort(got)
	require.Equal(t, []string{
		"function auth/auth-api", "function auth/authorizer", "function transactions/transactions-api",
		"function transactions/transactions-stream",
		"key pii", "secret jwt",
		"table budgets", "table idempotency", "table login-attempts", "table monthly-summaries", "table rate-limits", "table revoked-tokens", "table security-events",
		"table sessions", "table signing-keys", "table transactions", "table users",
	}, got)
}

func distinct(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
