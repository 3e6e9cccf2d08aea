package auth_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	cognitotypes "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/local/localtest"
	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/storetest"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/internal/token"
	"github.com/expenzez/aws-backend/lambda/auth"
)

var emulator string // URL of the one moto of this package's tests

func TestMain(m *testing.M) { localtest.Main(m, &emulator) }

// cloud is the local AWS API with what the function's deployment makes, made by the operator.
type cloud struct{ localtest.Cloud }

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{localtest.Start(t, emulator)}
	db := dynamodb.NewFromConfig(c.Operator())
	for _, schema := range storetest.Schemas(catalog.Backend().Tables) {
		_, err := db.CreateTable(t.Context(), storetest.CreateTable(schema))
		require.NoError(t, err)
		t.Cleanup(func() { // the test may run again on the same moto
			_, err := db.DeleteTable(context.WithoutCancel(t.Context()), &dynamodb.DeleteTableInput{TableName: &schema.Name})
			require.NoError(t, err)
		})
	}
	return c
}

// createPool makes the pool and its client as the deployment does, and returns their ids.
func (c *cloud) createPool(t *testing.T) (pool, client string) {
	t.Helper()
	api := cognitoidentityprovider.NewFromConfig(c.Operator())
	made, err := api.CreateUserPool(t.Context(), &cognitoidentityprovider.CreateUserPoolInput{
		PoolName: aws.String("expenzez"), UsernameAttributes: []cognitotypes.UsernameAttributeType{cognitotypes.UsernameAttributeTypeEmail},
		AutoVerifiedAttributes: []cognitotypes.VerifiedAttributeType{cognitotypes.VerifiedAttributeTypeEmail},
		UsernameConfiguration:  &cognitotypes.UsernameConfigurationType{CaseSensitive: aws.Bool(false)},
		Policies: &cognitotypes.UserPoolPolicyType{PasswordPolicy: &cognitotypes.PasswordPolicyType{
			MinimumLength: aws.Int32(12), RequireLowercase: true, RequireUppercase: true, RequireNumbers: true}},
	})
	require.NoError(t, err)
	out, err := api.CreateUserPoolClient(t.Context(), &cognitoidentityprovider.CreateUserPoolClientInput{
		UserPoolId: made.UserPool.Id, ClientName: aws.String("auth-api"), GenerateSecret: true,
		PreventUserExistenceErrors: cognitotypes.PreventUserExistenceErrorTypesEnabled,
		ExplicitAuthFlows:          []cognitotypes.ExplicitAuthFlowsType{cognitotypes.ExplicitAuthFlowsTypeAllowAdminUserPasswordAuth, cognitotypes.ExplicitAuthFlowsTypeAllowRefreshTokenAuth},
	})
	require.NoError(t, err)
	return *made.UserPool.Id, *out.UserPoolClient.ClientId
}

func (c *cloud) createKey(t *testing.T) string {
	t.Helper()
	out, err := kms.NewFromConfig(c.Operator()).CreateKey(t.Context(), &kms.CreateKeyInput{})
	require.NoError(t, err)
	return *out.KeyMetadata.Arn
}

func (c *cloud) code(t *testing.T, who string) string {
	t.Helper()
	mails := c.Mails()
	for i := len(mails) - 1; i >= 0; i-- {
		if mails[i].To == who {
			return mails[i].Code
		}
	}
	t.Fatalf("no mail to %s", who)
	return ""
}

// The whole of sign-in on the local AWS API, through the SDK's real clients and with the role's credentials.
func TestOnTheLocalCloud(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	pool, client := c.createPool(t)
	secrets := secretsmanager.NewFromConfig(c.Operator())
	made, err := secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("jwt-" + pool)})
	require.NoError(t, err)
	v := values(generous, map[string]string{"USER_POOL_ID": pool, "USER_POOL_CLIENT_ID": client, "KEY_ARN_PII": c.createKey(t),
		"SECRET_ARN_JWT": *made.ARN, "LIMITER_BUDGET_MS": "5000"}) // the emulator shares two cores with all tests
	keys := store.NewTable(store.Open(c.Operator(), store.Options{}), "signing-keys")
	for _, first := range []bool{true, false} {
		provisioned, err := token.Provision(t.Context(), secrets, *made.ARN, keys, time.Now())
		require.NoError(t, err)
		require.Equal(t, first, provisioned)
	}

	cfg := c.As(t, "expenzez-dev-auth-api")
	w := &world{db: &breakable{DB: store.Open(cfg, store.Options{})}}
	w.build(t, w.db, auth.Deps{Values: v, Tables: auth.Bind(w.db, v), Tx: w.db, Cognito: cognitoidentityprovider.NewFromConfig(cfg),
		Secrets: secretsmanager.NewFromConfig(cfg), KMS: kms.NewFromConfig(cfg),
		Log: telemetry.New(&w.log, telemetry.Options{}), Now: time.Now})

	code := func(code string) resttest.Request { return resttest.Request{Body: body{"email": email, "code": code}} }
	require.Equal(t, 202, w.Do(t, "register", registering(email)).Status)
	require.Equal(t, 202, w.Do(t, "register", registering(email)).Status, "a second time changes nothing")
	w.Do(t, "register", resttest.Request{Body: body{"email": "x@example.com", "password": "all lower case"}}).Refused(t, 400, "validation_failed")
	w.Do(t, "login", loggingIn(email, password)).Refused(t, 403, "not_confirmed")
	w.Do(t, "login", loggingIn(email, "Wrong-horse-7")).Refused(t, 401, "invalid_credentials")
	w.Do(t, "login", loggingIn("nobody@example.com", password)).Refused(t, 401, "invalid_credentials")
	w.Do(t, "confirm", code("000000")).Refused(t, 400, "validation_failed")
	require.Equal(t, 202, w.Do(t, "resend", resttest.Request{Body: body{"email": email}}).Status)
	require.Equal(t, 202, w.Do(t, "resend", resttest.Request{Body: body{"email": "nobody@example.com"}}).Status)
	require.Equal(t, 200, w.Do(t, "confirm", code(c.code(t, email))).Status)
	w.Do(t, "confirm", code(c.code(t, email))).Refused(t, 400, "validation_failed")
	require.Equal(t, 202, w.Do(t, "resend", resttest.Request{Body: body{"email": email}}).Status)

	first := w.login(t)
	second := w.refresh(t, first.RefreshToken)
	require.Equal(t, second.RefreshToken, w.refresh(t, first.RefreshToken).RefreshToken)
	user := w.user(t, second.AccessToken)
	require.Equal(t, 204, w.Do(t, "logout", resttest.Request{User: user}).Status)
	w.Do(t, "logout", resttest.Request{User: user}).Refused(t, 401, "session_ended")
	w.Do(t, "refresh", renewing(second.RefreshToken)).Refused(t, 401, "invalid_refresh_token")
	require.Equal(t, 200, w.Do(t, "jwks", resttest.Request{}).Status)
	require.NotContains(t, w.log.String(), email)
	require.NotContains(t, w.log.String(), "ERROR")
}
