package components_test

import (
	"fmt"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/components"
	"github.com/expenzez/aws-backend/components/componenttest"
)

func storeArgs() *components.SecretsStoreArgs {
	return &components.SecretsStoreArgs{
		Place: place(), Prefix: "/expenzez/test/", Key: key(), Secrets: []components.SecretSpec{{Name: "jwt", Description: "Signs access tokens"}},
	}
}

func storeBuild(change func(*components.SecretsStoreArgs)) componenttest.Build {
	return func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		args := storeArgs()
		change(args)
		return components.NewSecretsStore(ctx, name, args, opts...)
	}
}

func TestSecretsStore(t *testing.T) {
	t.Parallel()
	bad := badBasics(func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		return components.NewSecretsStore(ctx, name, nil, opts...)
	}, []string{"Key", "Prefix", "Secrets"}, func(p components.Place, tags map[string]string) componenttest.Build {
		return storeBuild(func(a *components.SecretsStoreArgs) { a.Place, a.Tags = p, tags })
	})
	spec := func(s components.SecretSpec) componenttest.Build {
		return storeBuild(func(a *components.SecretsStoreArgs) { a.Secrets = []components.SecretSpec{s} })
	}
	window := func(days int, destroy bool) componenttest.Build {
		return storeBuild(func(a *components.SecretsStoreArgs) { a.RecoveryWindowDays, a.AllowDestroy = days, destroy })
	}
	componenttest.Run(t, componenttest.Case{
		Type: "SecretsStore", Outputs: []string{"secretArns"},
		Least: storeBuild(func(*components.SecretsStoreArgs) {}),
		Full: storeBuild(func(a *components.SecretsStoreArgs) {
			a.Tags, a.RecoveryWindowDays, a.AllowDestroy = componenttest.Tags(), 7, true
			a.Secrets = append(a.Secrets, components.SecretSpec{
				Name: "openai", Description: "Calls OpenAI", Value: pulumi.ToSecret(pulumi.String("not-a-real-key")).(pulumi.StringOutput),
			})
		}),
		Safe: []componenttest.Expect{
			{Type: "aws:secretsmanager/secret:Secret", Path: "recoveryWindowInDays", Value: 30.0},
			{Type: "aws:secretsmanager/secret:Secret", Path: "kmsKeyId", Value: keyARN},
			{Type: "aws:secretsmanager/secretPolicy:SecretPolicy", Path: "blockPublicPolicy", Value: true},
		},
		Applied: []componenttest.Expect{
			{Type: "aws:secretsmanager/secret:Secret", Path: "recoveryWindowInDays", Value: 7.0},
			{Type: "aws:secretsmanager/secretVersion:SecretVersion", Path: "secretString", Value: componenttest.Secret{Value: "not-a-real-key"}},
		},
		Bad: append(bad, []componenttest.Bad{
			{Name: "prefix without end", Build: storeBuild(func(a *components.SecretsStoreArgs) { a.Prefix = "/expenzez" }), Arguments: []string{"Prefix"}},
			{Name: "prefix with two ends", Build: storeBuild(func(a *components.SecretsStoreArgs) { a.Prefix = "/expenzez//" }), Arguments: []string{"Prefix"}},
			{Name: "key", Build: storeBuild(func(a *components.SecretsStoreArgs) { a.Key = components.Known("alias/aws/secretsmanager") }), Arguments: []string{"Key"}},
			{Name: "window too short", Build: window(6, false), Arguments: []string{"RecoveryWindowDays"}},
			{Name: "window too long", Build: window(31, false), Arguments: []string{"RecoveryWindowDays"}},
			{Name: "window negative", Build: window(-1, true), Arguments: []string{"RecoveryWindowDays"}},
			{Name: "window too short to destroy", Build: window(1, true), Arguments: []string{"RecoveryWindowDays"}},
			{Name: "name", Build: spec(components.SecretSpec{Name: "a b", Description: "d"}), Arguments: []string{"Secrets[0].Name"}},
			{Name: "name too long", Build: spec(components.SecretSpec{Name: long(500), Description: "d"}), Arguments: []string{"Secrets[0].Name"}},
			{Name: "name like an ARN", Build: spec(components.SecretSpec{Name: "stripe-abc123", Description: "d"}), Arguments: []string{"Secrets[0].Name"}},
			{Name: "no description", Build: spec(components.SecretSpec{Name: "jwt"}), Arguments: []string{"Secrets[0].Description"}},
			{Name: "plain value", Build: spec(components.SecretSpec{Name: "jwt", Description: "d", Value: pulumi.String("hunter2")}), Arguments: []string{"Secrets[0].Value"}},
			{Name: "output that is no secret", Build: spec(components.SecretSpec{Name: "jwt", Description: "d", Value: pulumi.String("hunter2").ToStringOutput()}), Arguments: []string{"Secrets[0].Value"}},
			{Name: "twice", Arguments: []string{"Secrets"}, Build: storeBuild(func(a *components.SecretsStoreArgs) { a.Secrets = append(a.Secrets, a.Secrets...) })},
			{Name: "everything at once", Arguments: []string{"Key", "Prefix", "RecoveryWindowDays", "Secrets[0].Description", "Secrets[0].Name"},
				Build: storeBuild(func(a *components.SecretsStoreArgs) {
					a.Prefix, a.Key, a.RecoveryWindowDays, a.Secrets = "x", components.Text{}, 99, []components.SecretSpec{{Name: "!"}}
				})},
		}...),
	})
}

// A value that was refused must not be shown by the refusal.
func TestSecretsStoreNeverShowsAValue(t *testing.T) {
	t.Parallel()
	_, err := componenttest.Record(func(ctx *pulumi.Context) error {
		_, err := storeBuild(func(a *components.SecretsStoreArgs) { a.Secrets[0].Value = pulumi.String("hunter2") })(ctx, "store")
		return err
	})
	require.ErrorContains(t, err, "(hidden)")
	assert.NotContains(t, err.Error(), "hunter2")
}

func TestSecretsStoreDefaultIsAShell(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		_, err := storeBuild(func(*components.SecretsStoreArgs) {})(ctx, "store")
		return err
	})
	assert.Empty(t, r.OfType("aws:secretsmanager/secretVersion:SecretVersion"))
	assert.True(t, only(t, r, "aws:secretsmanager/secret:Secret").Protect)
}

func TestSecretsStoreDestroysAtOnceWhenAllowed(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		_, err := storeBuild(func(a *components.SecretsStoreArgs) { a.AllowDestroy = true })(ctx, "store")
		return err
	})
	secret := only(t, r, "aws:secretsmanager/secret:Secret")
	assert.InDelta(t, 0, secret.Inputs["recoveryWindowInDays"], 0)
	assert.False(t, secret.Protect)
}

func TestSecretsStorePolicy(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		_, err := storeBuild(func(*components.SecretsStoreArgs) {})(ctx, "store")
		return err
	})
	assert.Regexp(t, `^\{"Statement":\[\{"Action":\["secretsmanager:\*"\],"Condition":\{"Bool":\{"aws:PrincipalIsAWSService":\["false"\]\},"StringNotEquals":\{"aws:PrincipalAccount":\["111122223333"\]\}\},`+
		`"Effect":"Deny","Principal":\{"AWS":"\*"\},"Resource":\["arn:aws:secretsmanager:eu-west-2:111122223333:secret:/expenzez/test/jwt-[0-9a-f]{6}"\],"Sid":"DenyOtherAccounts"\},`+
		`\{"Action":\["secretsmanager:\*"\],"Condition":\{"Bool":\{"aws:SecureTransport":\["false"\]\}\},"Effect":"Deny".*"Sid":"DenyPlainHTTP"\}\],"Version":"2012-10-17"\}$`,
		only(t, r, "aws:secretsmanager/secretPolicy:SecretPolicy").Inputs["policy"])
}

func TestSecretsStoreGrantRead(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		args := storeArgs()
		args.Secrets = append(args.Secrets, components.SecretSpec{Name: "apple", Description: "Signs in with Apple"})
		s, err := components.NewSecretsStore(ctx, "store", args)
		if err != nil {
			return err
		}
		assert.Equal(t, "/expenzez/test/jwt", s.SecretName("jwt"))
		assert.True(t, s.ARN("none").IsZero())
		_, err = roleWith(ctx, s.GrantRead("jwt")...)
		return err
	})
	policy := only(t, r, "aws:iam/rolePolicy:RolePolicy").Inputs["policy"]
	assert.Regexp(t, `^\{"Statement":\[\{"Action":\["kms:Decrypt"\],"Condition":\{"StringEquals":\{"kms:EncryptionContext:SecretARN":\["arn:[^"]*/jwt-[0-9a-f]{6}"\],"kms:ViaService":\["secretsmanager\.eu-west-2\.amazonaws\.com"\]\}\},"Effect":"Allow","Resource":\["arn:aws:kms:[^"*]*"\]\},`+
		`\{"Action":\["secretsmanager:GetSecretValue"\],"Effect":"Allow","Resource":\["arn:[^"]*/jwt-[0-9a-f]{6}"\]\}\],"Version":"2012-10-17"\}$`, policy)
	assert.NotContains(t, policy, "apple")
}

func TestSecretsStoreBadGrantsReachNoRole(t *testing.T) {
	t.Parallel()
	for name, names := range map[string][]string{"none": nil, "unknown": {"jwt", "jtw"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := componenttest.Record(func(ctx *pulumi.Context) error {
				s, err := components.NewSecretsStore(ctx, "store", storeArgs())
				if err != nil {
					return err
				}
				_, err = roleWith(ctx, s.GrantRead(names...)...)
				return err
			})
			require.ErrorContains(t, err, "GrantRead names")
			assert.Empty(t, r.OfType("aws:iam/role:Role"))
		})
	}
}

func ExampleNewSecretsStore() {
	r, err := componenttest.Record(func(ctx *pulumi.Context) error {
		_, err := components.NewSecretsStore(ctx, "secrets", &components.SecretsStoreArgs{
			Place:   components.Place{Account: "111122223333", Region: "eu-west-2"},
			Prefix:  "/shop/prod/",
			Key:     components.Known("arn:aws:kms:eu-west-2:111122223333:key/0a1b2c3d-0000-4000-8000-00000000abcd"),
			Secrets: []components.SecretSpec{{Name: "stripe", Description: "Charges cards; set it in the console"}},
		})
		return err
	})
	fmt.Println(err, r.OfType("aws:secretsmanager/secret:Secret")[0].Inputs["name"])
	// Output: <nil> /shop/prod/stripe
}
