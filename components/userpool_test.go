package components_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/components"
	"github.com/expenzez/aws-backend/components/componenttest"
)

const (
	poolType   = "aws:cognito/userPool:UserPool"
	clientType = "aws:cognito/userPoolClient:UserPoolClient"
)

func poolBuild(change func(*components.UserPoolArgs)) componenttest.Build {
	return func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		args := &components.UserPoolArgs{Place: place(), Name: "expenzez-test"}
		change(args)
		return components.NewUserPool(ctx, name, args, opts...)
	}
}

func TestUserPool(t *testing.T) {
	t.Parallel()
	bad := badBasics(func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		return components.NewUserPool(ctx, name, nil, opts...)
	}, []string{"Name"}, func(p components.Place, tags map[string]string) componenttest.Build {
		return poolBuild(func(a *components.UserPoolArgs) { a.Place, a.Tags = p, tags })
	})
	cases := []struct {
		name      string
		change    func(*components.UserPoolArgs)
		arguments []string
	}{
		{"name", func(a *components.UserPoolArgs) { a.Name = "a/b" }, []string{"Name"}},
		{"name too long for the client", func(a *components.UserPoolArgs) { a.Name = long(121) }, []string{"Name"}},
		{"password short", func(a *components.UserPoolArgs) { a.PasswordMinLength = 11 }, []string{"PasswordMinLength"}},
		{"password long", func(a *components.UserPoolArgs) { a.PasswordMinLength = 100 }, []string{"PasswordMinLength"}},
		{"tier", func(a *components.UserPoolArgs) { a.Tier = "essentials" }, []string{"Tier"}},
		{"open password flow", func(a *components.UserPoolArgs) { a.AuthFlows = []string{"ALLOW_USER_PASSWORD_AUTH"} }, []string{"AuthFlows[0]"}},
		{"unknown flow", func(a *components.UserPoolArgs) { a.AuthFlows = []string{"ALLOW_USER_SRP_AUTH", "SRP"} }, []string{"AuthFlows[1]"}},
		{"access token short", func(a *components.UserPoolArgs) { a.AccessTokenMinutes = 4 }, []string{"AccessTokenMinutes"}},
		{"access token long", func(a *components.UserPoolArgs) { a.AccessTokenMinutes, a.RefreshTokenHours = 1441, 48 }, []string{"AccessTokenMinutes"}},
		{"refresh token long", func(a *components.UserPoolArgs) { a.RefreshTokenHours = 87601 }, []string{"RefreshTokenHours"}},
		{"refresh token dies first", func(a *components.UserPoolArgs) { a.AccessTokenMinutes, a.RefreshTokenHours = 60, 1 }, []string{"RefreshTokenHours"}},
		{"everything at once", func(a *components.UserPoolArgs) {
			a.Name, a.Tier, a.PasswordMinLength, a.AccessTokenMinutes, a.RefreshTokenHours = "", "x", 1, -1, -1
		}, []string{"AccessTokenMinutes", "Name", "PasswordMinLength", "RefreshTokenHours", "Tier"}},
	}
	for _, c := range cases {
		bad = append(bad, componenttest.Bad{Name: c.name, Build: poolBuild(c.change), Arguments: c.arguments})
	}
	componenttest.Run(t, componenttest.Case{
		Type: "UserPool", Outputs: []string{"clientId", "poolArn", "poolId"}, Bad: bad,
		Least: poolBuild(func(*components.UserPoolArgs) {}),
		Full: poolBuild(func(a *components.UserPoolArgs) {
			a.Tags, a.OptionalMFA, a.PasswordMinLength, a.AllowSelfSignUp, a.Tier = componenttest.Tags(), true, 14, true, "PLUS"
			a.AuthFlows, a.AccessTokenMinutes, a.RefreshTokenHours, a.AllowDestroy = []string{"ALLOW_USER_SRP_AUTH"}, 5, 720, true
		}),
		Safe: []componenttest.Expect{
			{Type: poolType, Path: "mfaConfiguration", Value: "ON"},
			{Type: poolType, Path: "softwareTokenMfaConfiguration.enabled", Value: true},
			{Type: poolType, Path: "deletionProtection", Value: "ACTIVE"},
			{Type: poolType, Path: "adminCreateUserConfig.allowAdminCreateUserOnly", Value: true},
			{Type: poolType, Path: "passwordPolicy", Value: map[string]any{
				"minimumLength": 12.0, "requireLowercase": true, "requireNumbers": true, "requireSymbols": true, "requireUppercase": true,
				"temporaryPasswordValidityDays": 1.0,
			}},
			{Type: poolType, Path: "accountRecoverySetting.recoveryMechanisms", Value: []any{map[string]any{"name": "verified_email", "priority": 1.0}}},
			{Type: poolType, Path: "usernameConfiguration.caseSensitive", Value: false},
			{Type: poolType, Path: "usernameAttributes", Value: []any{"email"}},
			{Type: poolType, Path: "userPoolTier", Value: "ESSENTIALS"},
			{Type: clientType, Path: "generateSecret", Value: true},
			{Type: clientType, Path: "preventUserExistenceErrors", Value: "ENABLED"},
			{Type: clientType, Path: "enableTokenRevocation", Value: true},
			{Type: clientType, Path: "explicitAuthFlows", Value: []any{"ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"}},
			{Type: clientType, Path: "allowedOauthFlows"},
			{Type: clientType, Path: "accessTokenValidity", Value: 15.0},
			{Type: clientType, Path: "refreshTokenValidity", Value: 24.0},
		},
		Applied: []componenttest.Expect{
			{Type: poolType, Path: "mfaConfiguration", Value: "OPTIONAL"},
			{Type: poolType, Path: "deletionProtection", Value: "INACTIVE"},
			{Type: poolType, Path: "userPoolAddOns.advancedSecurityMode", Value: "ENFORCED"},
			{Type: poolType, Path: "passwordPolicy.minimumLength", Value: 14.0},
			{Type: poolType, Path: "adminCreateUserConfig.allowAdminCreateUserOnly", Value: false},
			{Type: clientType, Path: "explicitAuthFlows", Value: []any{"ALLOW_USER_SRP_AUTH"}},
			{Type: clientType, Path: "refreshTokenValidity", Value: 720.0},
		},
	})
}

func TestUserPoolSchemaIsFrozen(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		_, err := poolBuild(func(*components.UserPoolArgs) {})(ctx, "pool")
		return err
	})
	pool := only(t, r, poolType)
	assert.Equal(t, []string{"schemas"}, pool.IgnoreChanges)
	assert.True(t, pool.Protect)
}

// The client's secret stays a secret, and out of what the component registers.
func TestUserPoolKeepsTheClientSecret(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		p, err := components.NewUserPool(ctx, "pool", &components.UserPoolArgs{Place: place(), Name: "pool"})
		if err != nil {
			return err
		}
		ctx.Export("client", p.ClientSecret)
		return nil
	})
	assert.IsType(t, componenttest.Secret{}, r.Exports["client"])
	assert.NotContains(t, fmt.Sprint(only(t, r, "expenzez:components:UserPool").Outputs), r.Exports["client"].(componenttest.Secret).Value)
}

func TestUserPoolGrant(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		p, err := components.NewUserPool(ctx, "pool", &components.UserPoolArgs{Place: place(), Name: "pool"})
		if err != nil {
			return err
		}
		assert.Len(t, p.ClientIDText().Shape(), 26)
		assert.Equal(t, "eu-west-2_"+strings.Repeat("x", 45), p.IDText().Shape())
		_, err = roleWith(ctx, p.Grant("AdminInitiateAuth", "cognito-idp:DescribeUserPoolClient")...)
		return err
	})
	assert.Regexp(t, `^\{"Statement":\[\{"Action":\["cognito-idp:AdminInitiateAuth","cognito-idp:DescribeUserPoolClient"\],"Effect":"Allow",`+
		`"Resource":\["arn:aws:cognito-idp:eu-west-2:111122223333:userpool/eu-west-2_[0-9a-f]{9}"\]\}\],"Version":"2012-10-17"\}$`,
		only(t, r, "aws:iam/rolePolicy:RolePolicy").Inputs["policy"])
}

func TestUserPoolRefusesOtherActions(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"*", "Admin*", "DeleteUserPool", "SignUp", "adminGetUser"} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			_, err := componenttest.Record(func(ctx *pulumi.Context) error {
				p, err := components.NewUserPool(ctx, "pool", &components.UserPoolArgs{Place: place(), Name: "pool"})
				if err != nil {
					return err
				}
				_, err = roleWith(ctx, p.Grant(action)...)
				return err
			})
			require.ErrorContains(t, err, "Grants[0].Actions[0]")
		})
	}
}

func ExampleNewUserPool() {
	r, err := componenttest.Record(func(ctx *pulumi.Context) error {
		_, err := components.NewUserPool(ctx, "customers", &components.UserPoolArgs{
			Place:           components.Place{Account: "111122223333", Region: "eu-west-2"},
			Name:            "shop-prod-customers",
			AllowSelfSignUp: true,
		})
		return err
	})
	fmt.Println(err, r.OfType("aws:cognito/userPool:UserPool")[0].Inputs["mfaConfiguration"])
	// Output: <nil> ON
}
