package auth_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/lambda/auth"
)

// Everything that is declared is used, and nothing else: what a test of the function cannot make it do, its role need
// not allow.
func TestDeclaredAccessIsUsed(t *testing.T) {
	t.Parallel()
	w, p := signedIn(t)
	used := w.view.Used()
	w.restart(t)
	w.Do(t, "login", loggingIn(email, "Wrong-horse-7")).Refused(t, 401, "invalid_credentials")
	p = w.refresh(t, p.RefreshToken)
	w.now = w.now.Add(time.Second)
	user := w.user(t, p.AccessToken)
	require.Equal(t, 204, w.Do(t, "logout", resttest.Request{User: user}).Status)
	w.Do(t, "jwks", resttest.Request{})

	require.Equal(t, flat(granted()), flat(append(used, w.view.Used()...)), "tables")
	require.Subset(t, w.kms.Calls(), []string{"Decrypt", "GenerateDataKey"}, "the key")
	require.Subset(t, w.pool.Calls(), function().UserPool, "the user pool")
	require.Positive(t, w.vault.calls, "the secret")
	for _, call := range w.pool.Calls() {
		signedByRole := !slices.Contains([]string{"SignUp", "ConfirmSignUp", "ResendConfirmationCode"}, call)
		require.Equal(t, signedByRole, slices.Contains(function().UserPool, call), call)
	}
}

// flat is table, index and action of every grant, sorted, each once.
func flat(grants []mem.Grant) []string {
	var all []string
	for _, g := range grants {
		for _, action := range g.Actions {
			all = append(all, strings.Join([]string{g.Table, g.Index, action}, " "))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// The handlers' tables hold exactly the declared actions, in both directions: an undeclared call does not compile, and a
// declared one can be made.
func TestTablesHoldWhatIsDeclared(t *testing.T) {
	t.Parallel()
	var held []string
	tables := reflect.TypeFor[auth.Tables]()
	for i := range tables.NumField() {
		field := tables.Field(i)
		for _, action := range actions(t, field.Type) {
			held = append(held, strings.Join([]string{dashed(field.Name), "", action}, " "))
		}
	}
	slices.Sort(held)
	require.Equal(t, flat(granted()), held)
}

// actions are the IAM actions that an interface of a table holds.
func actions(t *testing.T, table reflect.Type) []string {
	t.Helper()
	sameAs := map[string]string{"PutWrite": "PutItem", "UpdateWrite": "UpdateItem", "DeleteWrite": "DeleteItem", "CheckWrite": "ConditionCheckItem"}
	var all []string
	for i := range table.NumMethod() {
		name := table.Method(i).Name
		require.NotEqual(t, "QueryIndex", name, "the function queries no index")
		if action, ok := sameAs[name]; ok {
			name = action
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// dashed is the declaration's key of a Go name: SecurityEvents is security-events.
func dashed(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
