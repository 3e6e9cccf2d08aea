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

func keyBuild(change func(*components.EncryptionKeyArgs)) componenttest.Build {
	return func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		args := &components.EncryptionKeyArgs{Place: place(), Alias: "expenzez-test", Description: "Encrypts the data of tests"}
		change(args)
		return components.NewEncryptionKey(ctx, name, args, opts...)
	}
}

func TestEncryptionKey(t *testing.T) {
	t.Parallel()
	bad := badBasics(func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		return components.NewEncryptionKey(ctx, name, nil, opts...)
	}, []string{"Alias", "Description"}, func(p components.Place, tags map[string]string) componenttest.Build {
		return keyBuild(func(a *components.EncryptionKeyArgs) { a.Place, a.Tags = p, tags })
	})
	many := make([]string, 400)
	for i := range many {
		many[i] = fmt.Sprintf("/aws/lambda/a-function-with-a-rather-long-name-%d", i)
	}
	componenttest.Run(t, componenttest.Case{
		Type: "EncryptionKey", Outputs: []string{"aliasName", "keyArn", "keyId"},
		Least: keyBuild(func(*components.EncryptionKeyArgs) {}),
		Full: keyBuild(func(a *components.EncryptionKeyArgs) {
			a.Tags, a.RotationDays, a.DeletionWindowDays, a.AllowDestroy = componenttest.Tags(), 90, 7, true
			a.LogGroups = []string{"/aws/lambda/expenzez-*", "/aws/apigateway/expenzez/test"}
		}),
		Safe: []componenttest.Expect{
			{Type: "aws:kms/key:Key", Path: "enableKeyRotation", Value: true},
			{Type: "aws:kms/key:Key", Path: "rotationPeriodInDays", Value: 365.0},
			{Type: "aws:kms/key:Key", Path: "deletionWindowInDays", Value: 30.0},
			{Type: "aws:kms/key:Key", Path: "bypassPolicyLockoutSafetyCheck"},
		},
		Applied: []componenttest.Expect{
			{Type: "aws:kms/key:Key", Path: "rotationPeriodInDays", Value: 90.0},
			{Type: "aws:kms/key:Key", Path: "deletionWindowInDays", Value: 7.0},
			{Type: "aws:kms/alias:Alias", Path: "name", Value: "alias/expenzez-test"},
		},
		Bad: append(bad, []componenttest.Bad{
			{Name: "ranges low", Build: keyBuild(func(a *components.EncryptionKeyArgs) { a.RotationDays, a.DeletionWindowDays = 89, 6 }),
				Arguments: []string{"DeletionWindowDays", "RotationDays"}},
			{Name: "ranges high", Build: keyBuild(func(a *components.EncryptionKeyArgs) { a.RotationDays, a.DeletionWindowDays = 2561, 31 }),
				Arguments: []string{"DeletionWindowDays", "RotationDays"}},
			{Name: "negative", Build: keyBuild(func(a *components.EncryptionKeyArgs) { a.RotationDays, a.DeletionWindowDays = -1, -1 }),
				Arguments: []string{"DeletionWindowDays", "RotationDays"}},
			{Name: "alias with prefix", Build: keyBuild(func(a *components.EncryptionKeyArgs) { a.Alias = "alias:x" }), Arguments: []string{"Alias"}},
			{Name: "alias of AWS", Build: keyBuild(func(a *components.EncryptionKeyArgs) { a.Alias = "aws/dynamodb" }), Arguments: []string{"Alias"}},
			{Name: "alias too long", Build: keyBuild(func(a *components.EncryptionKeyArgs) { a.Alias = long(251) }), Arguments: []string{"Alias"}},
			{Name: "description too long", Build: keyBuild(func(a *components.EncryptionKeyArgs) { a.Description = long(8193) }), Arguments: []string{"Description"}},
			{Name: "log groups", Build: keyBuild(func(a *components.EncryptionKeyArgs) { a.LogGroups = []string{"*", "a*b", "", "/ok/*"} }),
				Arguments: []string{"LogGroups[0]", "LogGroups[1]", "LogGroups[2]"}},
			{Name: "policy too large", Build: keyBuild(func(a *components.EncryptionKeyArgs) { a.LogGroups = many }), Arguments: []string{"LogGroups"}},
		}...),
	})
}

func TestEncryptionKeyIsProtectedUnlessAllowed(t *testing.T) {
	t.Parallel()
	for name, allow := range map[string]bool{"by default": false, "allowed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := record(t, func(ctx *pulumi.Context) error {
				_, err := keyBuild(func(a *components.EncryptionKeyArgs) { a.AllowDestroy = allow })(ctx, "key")
				return err
			})
			assert.Equal(t, !allow, only(t, r, "aws:kms/key:Key").Protect)
		})
	}
}

// The policy is written out by hand: it is what stands between a mistake here
// and a locked-out account.
func TestEncryptionKeyPolicy(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		_, err := keyBuild(func(a *components.EncryptionKeyArgs) { a.LogGroups = []string{"/aws/lambda/x"} })(ctx, "key")
		return err
	})
	policy := only(t, r, "aws:kms/key:Key").Inputs["policy"].(string)
	assert.Contains(t, policy, `"kms:PutKeyPolicy"`)
	assert.Contains(t, policy, `{"Action":["kms:CreateGrant"],"Condition":{"Bool":{"kms:GrantIsForAWSResource":["true"]}},"Effect":"Allow",`+
		`"Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Resource":["*"],"Sid":"GrantThroughServices"}`)
	assert.Contains(t, policy, `"Condition":{"ArnLike":{"kms:EncryptionContext:aws:logs:arn":["arn:aws:logs:eu-west-2:111122223333:log-group:/aws/lambda/x"]}},`+
		`"Effect":"Allow","Principal":{"Service":"logs.eu-west-2.amazonaws.com"}`)
}

func TestEncryptionKeyGrants(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		k, err := components.NewEncryptionKey(ctx, "key", &components.EncryptionKeyArgs{Place: place(), Alias: "k", Description: "d"})
		if err != nil {
			return err
		}
		assert.Len(t, k.ARN().Shape(), len(keyARN))
		_, err = roleWith(ctx, append(
			k.GrantDecrypt(components.KeyUse{Service: "sqs"}),
			k.GrantEncryptDecrypt(components.KeyUse{Context: map[string]components.Text{"purpose": components.Known("fields")}})...)...)
		return err
	})
	policy := only(t, r, "aws:iam/rolePolicy:RolePolicy").Inputs["policy"].(string)
	arn := only(t, r, "aws:kms/key:Key").Inputs
	require.NotNil(t, arn)
	assert.Regexp(t, `\{"Action":\["kms:Decrypt"\],"Condition":\{"StringEquals":\{"kms:ViaService":\["sqs\.eu-west-2\.amazonaws\.com"\]\}\},"Effect":"Allow","Resource":\["arn:aws:kms:eu-west-2:111122223333:key/[0-9a-f-]{36}"\]\}`, policy)
	assert.Contains(t, policy, `{"Action":["kms:Decrypt","kms:Encrypt","kms:GenerateDataKey"],"Condition":{"StringEquals":{"kms:EncryptionContext:purpose":["fields"]}}`)
}

func TestEncryptionKeyRefusesUnboundUse(t *testing.T) {
	t.Parallel()
	_, err := componenttest.Record(func(ctx *pulumi.Context) error {
		k, err := components.NewEncryptionKey(ctx, "key", &components.EncryptionKeyArgs{Place: place(), Alias: "k", Description: "d"})
		if err != nil {
			return err
		}
		_, err = roleWith(ctx, k.GrantDecrypt(components.KeyUse{})...)
		return err
	})
	require.ErrorContains(t, err, "bound neither to a service nor to an encryption context")
}

func ExampleNewEncryptionKey() {
	r, err := componenttest.Record(func(ctx *pulumi.Context) error {
		_, err := components.NewEncryptionKey(ctx, "data", &components.EncryptionKeyArgs{
			Place:       components.Place{Account: "111122223333", Region: "eu-west-2"},
			Alias:       "shop-prod-data",
			Description: "Encrypts what customers entrust to the shop",
			LogGroups:   []string{"/aws/lambda/shop-prod-*"},
		})
		return err
	})
	fmt.Println(err, r.OfType("aws:kms/key:Key")[0].Inputs["rotationPeriodInDays"])
	// Output: <nil> 365
}
