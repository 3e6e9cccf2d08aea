package components_test

import (
	"fmt"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"

	"github.com/expenzez/aws-backend/components"
	"github.com/expenzez/aws-backend/components/componenttest"
)

const accountType = "aws:apigateway/account:Account"

func accountBuild(change func(*components.ApiGatewayAccountArgs)) componenttest.Build {
	return func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		args := &components.ApiGatewayAccountArgs{Place: place(), Mode: components.ModeCreate, Name: "apigateway-logs"}
		change(args)
		return components.NewApiGatewayAccount(ctx, name, args, opts...)
	}
}

func TestApiGatewayAccount(t *testing.T) {
	t.Parallel()
	bad := badBasics(func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		return components.NewApiGatewayAccount(ctx, name, nil, opts...)
	}, []string{"Mode"}, func(p components.Place, tags map[string]string) componenttest.Build {
		return accountBuild(func(a *components.ApiGatewayAccountArgs) { a.Place, a.Tags = p, tags })
	})
	cases := []struct {
		name      string
		change    func(*components.ApiGatewayAccountArgs)
		arguments []string
	}{
		{"no mode", func(a *components.ApiGatewayAccountArgs) { a.Mode = "" }, []string{"Mode"}},
		{"unknown mode", func(a *components.ApiGatewayAccountArgs) { a.Mode = "import" }, []string{"Mode"}},
		{"create without name", func(a *components.ApiGatewayAccountArgs) { a.Name = "" }, []string{"Name"}},
		{"create with a bad boundary", func(a *components.ApiGatewayAccountArgs) { a.Boundary = "x" }, []string{"Boundary"}},
		{"create with a role", func(a *components.ApiGatewayAccountArgs) { a.RoleArn = "arn:aws:iam::111122223333:role/x" }, []string{"RoleArn"}},
		{"adopt without role", func(a *components.ApiGatewayAccountArgs) { a.Mode = components.ModeAdopt }, []string{"RoleArn"}},
		{"adopt with a boundary", func(a *components.ApiGatewayAccountArgs) {
			a.Mode, a.RoleArn, a.Boundary = components.ModeAdopt, "arn:aws:iam::111122223333:role/x", "arn:aws:iam::111122223333:policy/b"
		}, []string{"Boundary"}},
		{"adopt with a policy", func(a *components.ApiGatewayAccountArgs) {
			a.Mode, a.RoleArn = components.ModeAdopt, "arn:aws:iam::111122223333:policy/b"
		}, []string{"RoleArn"}},
		{"skip with a role", func(a *components.ApiGatewayAccountArgs) {
			a.Mode, a.RoleArn = components.ModeSkip, "arn:aws:iam::111122223333:role/x"
		}, []string{"RoleArn"}},
	}
	for _, c := range cases {
		bad = append(bad, componenttest.Bad{Name: c.name, Build: accountBuild(c.change), Arguments: c.arguments})
	}
	componenttest.Run(t, componenttest.Case{
		Type: "ApiGatewayAccount", Outputs: []string{"roleArn"}, Bad: bad,
		Least: accountBuild(func(a *components.ApiGatewayAccountArgs) {
			a.Mode, a.RoleArn = components.ModeAdopt, "arn:aws:iam::111122223333:role/logs"
		}),
		Full: accountBuild(func(a *components.ApiGatewayAccountArgs) {
			a.Tags, a.Boundary = componenttest.Tags(), "arn:aws:iam::111122223333:policy/boundary"
		}),
		Safe: []componenttest.Expect{
			{Type: accountType, Path: "cloudwatchRoleArn", Value: "arn:aws:iam::111122223333:role/logs"},
			{Type: accountType, Path: "resetOnDelete"},
		},
		Applied: []componenttest.Expect{
			{Type: accountType, Path: "cloudwatchRoleArn", Value: "arn:aws:iam::111122223333:role/apigateway-logs-20260101000000000000000001"},
			{Type: "aws:iam/role:Role", Path: "permissionsBoundary", Value: "arn:aws:iam::111122223333:policy/boundary"},
		},
	})
}

func TestApiGatewayAccountModes(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change          func(*components.ApiGatewayAccountArgs)
		accounts, roles int
	}{
		"create": {func(*components.ApiGatewayAccountArgs) {}, 1, 1},
		"adopt": {func(a *components.ApiGatewayAccountArgs) {
			a.Mode, a.RoleArn = components.ModeAdopt, "arn:aws:iam::111122223333:role/x"
		}, 1, 0},
		"skip": {func(a *components.ApiGatewayAccountArgs) { a.Mode = components.ModeSkip }, 0, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := record(t, func(ctx *pulumi.Context) error {
				a, err := accountBuild(c.change)(ctx, "account")
				assert.Equal(t, c.roles == 1, a.(*components.ApiGatewayAccount).Role() != nil)
				return err
			})
			assert.Len(t, r.OfType(accountType), c.accounts)
			assert.Len(t, r.OfType("aws:iam/role:Role"), c.roles)
		})
	}
}

// Other APIs of the account may use the setting: nothing of it is taken away.
func TestApiGatewayAccountIsRetained(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		_, err := accountBuild(func(*components.ApiGatewayAccountArgs) {})(ctx, "account")
		return err
	})
	for _, res := range r.Resources {
		assert.Equal(t, res.Custom, res.RetainOnDelete, res.URN)
	}
	assert.Contains(t, only(t, r, accountType).DependsOn, only(t, r, "aws:iam/rolePolicy:RolePolicy").URN)
}

func ExampleNewApiGatewayAccount() {
	r, err := componenttest.Record(func(ctx *pulumi.Context) error {
		_, err := components.NewApiGatewayAccount(ctx, "apigateway", &components.ApiGatewayAccountArgs{
			Place: components.Place{Account: "111122223333", Region: "eu-west-2"},
			Mode:  components.ModeCreate,
			Name:  "apigateway-logs",
		})
		return err
	})
	fmt.Println(err, r.OfType("aws:iam/role:Role")[0].Inputs["namePrefix"])
	// Output: <nil> apigateway-logs-
}
