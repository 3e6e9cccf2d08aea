package auth_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	cognitotypes "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	local "github.com/expenzez/aws-backend/internal/local/aws"
	"github.com/expenzez/aws-backend/internal/local/moto"
	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/internal/token"
	"github.com/expenzez/aws-backend/lambda/auth"
)

const (
	accountID = "111122223333"
	region    = "eu-west-2"
)

var emulator string // URL of the one moto of this package's tests

func TestMain(m *testing.M) {
	s, err := moto.Start(context.Background(), moto.Options{Account: accountID, Region: region})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	emulator = s.URL
	code := m.Run()
	_ = s.Close()
	os.Exit(code)
}

// cloud is the local AWS API with what the function's deployment makes, made by the operator.
type cloud struct {
	*local.Front
	url string
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	front, err := local.New(local.Config{Backend: emulator, Account: accountID, Region: region})
	require.NoError(t, err)
	server := httptest.NewServer(front)
	t.Cleanup(func() { server.Close(); require.NoError(t, front.Close()) })
	c := &cloud{Front: front, url: server.URL}
	for _, table := range catalog.Backend().Tables {
		c.createTable(t, table)
	}
	return c
}

func (c *cloud) operator() aws.Config {
	id, secret := c.AdminCredentials()
	return c.config(id, secret, "")
}

func (c *cloud) config(id, secret, session string) aws.Config {
	return aws.Config{Region: region, BaseEndpoint: &c.url, Credentials: credentials.NewStaticCredentialsProvider(id, secret, session)}
}

func (c *cloud) createTable(t *testing.T, table service.Table) {
	t.Helper()
	in := &dynamodb.CreateTableInput{TableName: &table.Key, BillingMode: types.BillingModePayPerRequest}
	for i, name := range []string{table.Hash, table.Range} {
		if name != "" {
			in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: aws.String(name), AttributeType: types.ScalarAttributeTypeS})
			in.KeySchema = append(in.KeySchema, types.KeySchemaElement{AttributeName: aws.String(name), KeyType: []types.KeyType{types.KeyTypeHash, types.KeyTypeRange}[i]})
		}
	}
	db := dynamodb.NewFromConfig(c.operator())
	_, err := db.CreateTable(t.Context(), in)
	require.NoError(t, err)
	t.Cleanup(func() { // the test may run again on the same moto
		_, err := db.DeleteTable(context.WithoutCancel(t.Context()), &dynamodb.DeleteTableInput{TableName: &table.Key})
		require.NoError(t, err)
	})
}

// createPool makes the pool and its client as the deployment does, and returns their ids.
func (c *cloud) createPool(t *testing.T) (pool, client string) {
	t.Helper()
	api := cognitoidentityprovider.NewFromConfig(c.operator())
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
	out, err := kms.NewFromConfig(c.operator()).CreateKey(t.Context(), &kms.CreateKeyInput{})
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
	secrets := secretsmanager.NewFromConfig(c.operator())
	made, err := secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("jwt-" + pool)})
	require.NoError(t, err)
	v := values(generous, map[string]string{"USER_POOL_ID": pool, "USER_POOL_CLIENT_ID": client, "KEY_ARN_PII": c.createKey(t),
		"SECRET_ARN_JWT": *made.ARN, "LIMITER_BUDGET_MS": "5000"}) // the emulator shares two cores with all tests
	keys := store.NewTable(store.Open(c.operator(), store.Options{}), "signing-keys")
	for _, first := range []bool{true, false} {
		provisioned, err := token.Provision(t.Context(), secrets, *made.ARN, keys, time.Now())
		require.NoError(t, err)
		require.Equal(t, first, provisioned)
	}

	id, secret, session, err := c.Credentials(t.Context(), "arn:aws:iam::"+accountID+":role/expenzez-dev-auth-api")
	require.NoError(t, err)
	cfg := c.config(id, secret, session)
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
