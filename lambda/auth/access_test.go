package auth_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/store/storetest"
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

	require.Empty(t, storetest.Unused(storetest.Grants(function().Tables), append(used, w.view.Used()...)...), "tables")
	require.Subset(t, w.kms.Calls(), []string{"Decrypt", "GenerateDataKey"}, "the key")
	require.Subset(t, w.pool.Calls(), function().UserPool, "the user pool")
	require.Positive(t, w.vault.calls, "the secret")
	for _, call := range w.pool.Calls() {
		signedByRole := !slices.Contains([]string{"SignUp", "ConfirmSignUp", "ResendConfirmationCode"}, call)
		require.Equal(t, signedByRole, slices.Contains(function().UserPool, call), call)
	}
}

// The handlers' tables hold exactly the declared actions, in both directions: an undeclared call does not compile, and a
// declared one can be made.
func TestTablesHoldWhatIsDeclared(t *testing.T) {
	t.Parallel()
	require.Equal(t, storetest.Declared(function().Tables), storetest.Access(auth.Tables{}))
}
