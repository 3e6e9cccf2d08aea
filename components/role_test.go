package components_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/expenzez/aws-backend/components"
	"github.com/expenzez/aws-backend/components/componenttest"
)

func roleBuild(change func(*components.LeastPrivilegeRoleArgs)) componenttest.Build {
	return func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		args := &components.LeastPrivilegeRoleArgs{Place: place(), Name: "expenzez-test", Description: "Runs tests", Service: "lambda.amazonaws.com"}
		change(args)
		return components.NewLeastPrivilegeRole(ctx, name, args, opts...)
	}
}

func roleWith(ctx *pulumi.Context, grants ...components.Grant) (*components.LeastPrivilegeRole, error) {
	return components.NewLeastPrivilegeRole(ctx, "role", &components.LeastPrivilegeRoleArgs{
		Place: place(), Name: "role", Description: "Runs tests", Service: "lambda.amazonaws.com", Grants: grants,
	})
}

func table(n int) components.Text {
	return components.Known(place().ARN("dynamodb", fmt.Sprintf("table/expenzez-test-%04d", n)))
}

func grant(action string, resource components.Text) components.Grant {
	return components.Grant{Actions: []string{action}, Resources: []components.Text{resource}}
}

func TestLeastPrivilegeRole(t *testing.T) {
	t.Parallel()
	bad := badBasics(func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		return components.NewLeastPrivilegeRole(ctx, name, nil, opts...)
	}, []string{"Description", "Name", "Service"}, func(p components.Place, tags map[string]string) componenttest.Build {
		return roleBuild(func(a *components.LeastPrivilegeRoleArgs) { a.Place, a.Tags = p, tags })
	})
	source := func(service string, arns ...string) componenttest.Build {
		return roleBuild(func(a *components.LeastPrivilegeRoleArgs) { a.Service, a.SourceARNs = service, arns })
	}
	componenttest.Run(t, componenttest.Case{
		Type: "LeastPrivilegeRole", Outputs: []string{"roleArn", "roleName"},
		Least: roleBuild(func(a *components.LeastPrivilegeRoleArgs) {
			a.Grants = []components.Grant{grant("dynamodb:GetItem", table(1))}
		}),
		Full: roleBuild(func(a *components.LeastPrivilegeRoleArgs) {
			a.Tags, a.Boundary = componenttest.Tags(), "arn:aws:iam::111122223333:policy/boundary"
			a.Service, a.SourceARNs = "scheduler.amazonaws.com", []string{place().ARN("scheduler", "schedule-group/expenzez")}
			a.Grants = []components.Grant{
				grant("dynamodb:Query", table(2)), grant("dynamodb:GetItem", table(1)), grant("dynamodb:GetItem", table(3)),
				{Actions: []string{"xray:PutTraceSegments"}, Resources: []components.Text{components.Known("*")}, Reason: "no resource types"},
			}
		}),
		Safe: []componenttest.Expect{
			{Type: "aws:iam/role:Role", Path: "maxSessionDuration", Value: 3600.0},
			{Type: "aws:iam/role:Role", Path: "permissionsBoundary"},
			{Type: "aws:iam/role:Role", Path: "managedPolicyArns"},
			{Type: "aws:iam/role:Role", Path: "assumeRolePolicy", Value: `{"Statement":[{"Action":["sts:AssumeRole"],"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"}}],"Version":"2012-10-17"}`},
			{Type: "aws:iam/rolePolicy:RolePolicy", Path: "policy", Value: `{"Statement":[{"Action":["dynamodb:GetItem"],"Effect":"Allow","Resource":["arn:aws:dynamodb:eu-west-2:111122223333:table/expenzez-test-0001"]}],"Version":"2012-10-17"}`},
		},
		Applied: []componenttest.Expect{
			{Type: "aws:iam/role:Role", Path: "permissionsBoundary", Value: "arn:aws:iam::111122223333:policy/boundary"},
			{Type: "aws:iam/role:Role", Path: "assumeRolePolicy", Value: `{"Statement":[{"Action":["sts:AssumeRole"],"Condition":{"ArnLike":{"aws:SourceArn":["arn:aws:scheduler:eu-west-2:111122223333:schedule-group/expenzez"]},"StringEquals":{"aws:SourceAccount":["111122223333"]}},"Effect":"Allow","Principal":{"Service":"scheduler.amazonaws.com"}}],"Version":"2012-10-17"}`},
		},
		Bad: append(append(bad, []componenttest.Bad{
			{Name: "name", Build: roleBuild(func(a *components.LeastPrivilegeRoleArgs) { a.Name = "a b" }), Arguments: []string{"Name"}},
			{Name: "boundary", Build: roleBuild(func(a *components.LeastPrivilegeRoleArgs) { a.Boundary = "boundary" }), Arguments: []string{"Boundary"}},
			{Name: "unknown service", Build: source("ec2.amazonaws.com"), Arguments: []string{"Service"}},
			{Name: "source that Lambda does not send", Build: source("lambda.amazonaws.com", place().ARN("lambda", "function:f")), Arguments: []string{"SourceARNs"}},
			{Name: "source missing", Build: source("scheduler.amazonaws.com"), Arguments: []string{"SourceARNs"}},
			{Name: "source no ARN", Build: source("scheduler.amazonaws.com", "group"), Arguments: []string{"SourceARNs[0]"}},
			{Name: "trust too large", Build: source("scheduler.amazonaws.com",
				place().ARN("scheduler", "schedule-group/a"+long(900)), place().ARN("scheduler", "schedule-group/b"+long(900))), Arguments: []string{"SourceARNs"}},
		}...), badGrants()...),
	})
}

// badGrants are grants that a role refuses, one kind of mistake each, and one
// with all of them at once.
func badGrants() []componenttest.Bad {
	star := components.Known("*")
	dynamo := table(1)
	keyText := components.Known(keyARN)
	cases := []struct {
		name      string
		grant     components.Grant
		arguments []string
	}{
		{"no action", components.Grant{Resources: []components.Text{dynamo}}, []string{"Grants[0].Actions"}},
		{"no resource", components.Grant{Actions: []string{"dynamodb:GetItem"}}, []string{"Grants[0].Resources"}},
		{"all actions", grant("*", dynamo), []string{"Grants[0].Actions[0]"}},
		{"all actions of a service", grant("dynamodb:*", dynamo), []string{"Grants[0].Actions[0]"}},
		{"some actions", grant("dynamodb:Get*", dynamo), []string{"Grants[0].Actions[0]"}},
		{"action without service", grant("GetItem", dynamo), []string{"Grants[0].Actions[0]"}},
		{"typo", grant("dynamodb:GetItems", dynamo), []string{"Grants[0].Actions[0]"}},
		{"wrong case", grant("dynamodb:getItem", dynamo), []string{"Grants[0].Actions[0]"}},
		{"an API that is no action", grant("dynamodb:TransactWriteItems", dynamo), []string{"Grants[0].Actions[0]"}},
		{"an administrative action", grant("dynamodb:DeleteTable", dynamo), []string{"Grants[0].Actions[0]"}},
		{"unknown service", grant("iam:PassRole", dynamo), []string{"Grants[0].Actions[0]"}},
		{"every resource", grant("dynamodb:GetItem", star), []string{"Grants[0].Resources[0]"}},
		{"every resource with a reason", components.Grant{Actions: []string{"dynamodb:GetItem"}, Resources: []components.Text{star}, Reason: "easier"}, []string{"Grants[0].Resources[0]"}},
		{"every resource without a reason", grant("xray:PutTraceSegments", star), []string{"Grants[0].Resources[0]"}},
		{"blank reason", components.Grant{Actions: []string{"xray:PutTraceSegments"}, Resources: []components.Text{star}, Reason: "  "}, []string{"Grants[0].Resources[0]"}},
		{"an ARN that never matches", grant("xray:PutTraceSegments", components.Known(place().ARN("xray", "group/x"))), []string{"Grants[0].Resources[0]"}},
		{"no ARN", grant("dynamodb:GetItem", components.Known("expenzez-users")), []string{"Grants[0].Resources[0]"}},
		{"wildcard account", grant("dynamodb:GetItem", components.Known("arn:aws:dynamodb:eu-west-2:*:table/x")), []string{"Grants[0].Resources[0]"}},
		{"wildcard region", grant("dynamodb:GetItem", components.Known("arn:aws:dynamodb:*:111122223333:table/x")), []string{"Grants[0].Resources[0]"}},
		{"wildcard name", grant("dynamodb:GetItem", components.Known(place().ARN("dynamodb", "table/expenzez-*"))), []string{"Grants[0].Resources[0]"}},
		{"wildcard index", grant("dynamodb:Query", components.Known(place().ARN("dynamodb", "table/x/index/*"))), []string{"Grants[0].Resources[0]"}},
		{"question marks", grant("secretsmanager:GetSecretValue", components.Known(place().ARN("secretsmanager", "secret:x-??????"))), []string{"Grants[0].Resources[0]"}},
		{"log groups by prefix", grant("logs:PutLogEvents", components.Known(place().ARN("logs", "log-group:/aws/*:*"))), []string{"Grants[0].Resources[0]"}},
		{"another service's resource", grant("dynamodb:GetItem", keyText), []string{"Grants[0].Resources[0]"}},
		{"key without binding", grant("kms:Decrypt", keyText), []string{"Grants[0].Conditions"}},
		{"condition without values", components.Grant{Actions: []string{"dynamodb:GetItem"}, Resources: []components.Text{dynamo},
			Conditions: []components.Condition{{Test: "StringEquals", Key: "aws:PrincipalTag/x"}}}, []string{"Grants[0].Conditions[0]"}},
		{"condition without key", components.Grant{Actions: []string{"dynamodb:GetItem"}, Resources: []components.Text{dynamo},
			Conditions: []components.Condition{{Test: "StringEquals", Key: "LeadingKeys", Values: []components.Text{components.Known("x")}}}}, []string{"Grants[0].Conditions[0]"}},
		{"condition with an empty value", components.Grant{Actions: []string{"dynamodb:GetItem"}, Resources: []components.Text{dynamo},
			Conditions: []components.Condition{{Test: "StringEquals", Key: "dynamodb:Select", Values: []components.Text{{}}}}}, []string{"Grants[0].Conditions[0]"}},
		{"context that a key's description has not", components.Grant{Actions: []string{"kms:Decrypt", "kms:DescribeKey"}, Resources: []components.Text{keyText},
			Conditions: []components.Condition{{Test: "StringEquals", Key: "kms:EncryptionContext:x", Values: []components.Text{components.Known("y")}}}}, []string{"Grants[0].Conditions[0]"}},
	}
	var bad []componenttest.Bad
	for _, c := range cases {
		bad = append(bad, componenttest.Bad{Name: "grant/" + c.name, Arguments: c.arguments, Build: roleBuild(func(a *components.LeastPrivilegeRoleArgs) {
			a.Grants = []components.Grant{c.grant}
		})})
	}
	huge := components.Grant{Actions: []string{"dynamodb:GetItem"}}
	for i := range 200 {
		huge.Resources = append(huge.Resources, table(i))
	}
	return append(bad,
		componenttest.Bad{Name: "grant/one statement too large", Arguments: []string{"Grants"}, Build: roleBuild(func(a *components.LeastPrivilegeRoleArgs) {
			a.Grants = []components.Grant{huge}
		})},
		componenttest.Bad{Name: "grant/too many policies", Arguments: []string{"Grants"}, Build: roleBuild(func(a *components.LeastPrivilegeRoleArgs) {
			a.Grants = distinctGrants(600)
		})},
		componenttest.Bad{Name: "everything at once", Arguments: []string{"Boundary", "Grants[0].Actions[0]", "Grants[1].Resources[0]", "Name", "Service"},
			Build: roleBuild(func(a *components.LeastPrivilegeRoleArgs) {
				a.Name, a.Service, a.Boundary = "", "s3.amazonaws.com", "x"
				a.Grants = []components.Grant{grant("s3:GetObject", dynamo), grant("dynamodb:GetItem", star)}
			})})
}

// distinctGrants cannot be merged: each has a condition of its own.
func distinctGrants(n int) []components.Grant {
	grants := make([]components.Grant, n)
	for i := range grants {
		g := grant("dynamodb:GetItem", table(i))
		g.Conditions = []components.Condition{{Test: "StringEquals", Key: "dynamodb:Select", Values: []components.Text{components.Known(fmt.Sprint(i))}}}
		grants[i] = g
	}
	return grants
}

func TestLeastPrivilegeRoleName(t *testing.T) {
	t.Parallel()
	names := map[string]string{
		"short":            "short",
		long(64):           long(64),
		long(65):           long(55) + "-",
		long(60) + "-abcd": long(55) + "-",
	}
	made := map[string]bool{}
	for given, begins := range names {
		r := record(t, func(ctx *pulumi.Context) error {
			_, err := roleBuild(func(a *components.LeastPrivilegeRoleArgs) { a.Name = given })(ctx, "role")
			return err
		})
		name := only(t, r, "aws:iam/role:Role").Inputs["name"].(string)
		assert.True(t, strings.HasPrefix(name, begins), "%s from %s", name, given)
		assert.LessOrEqual(t, len(name), 64)
		made[name] = true
	}
	assert.Len(t, made, len(names), "different names stay different")
}

func TestLeastPrivilegeRoleWithoutGrantsHasNoPolicy(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		role, err := roleWith(ctx)
		assert.Empty(t, role.Policies())
		assert.Empty(t, role.Row())
		return err
	})
	assert.Empty(t, r.OfType("aws:iam/rolePolicy:RolePolicy"))
}

func TestLeastPrivilegeRoleSplits(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		role, err := roleWith(ctx, distinctGrants(100)...)
		assert.Len(t, role.Policies(), 2*len(policiesOf(role.Policies())))
		return err
	})
	assert.Empty(t, r.OfType("aws:iam/rolePolicy:RolePolicy"))
	policies := r.OfType("aws:iam/policy:Policy")
	assert.Greater(t, len(policies), 1)
	assert.Len(t, r.OfType("aws:iam/rolePolicyAttachment:RolePolicyAttachment"), len(policies))
	statements := 0
	for _, p := range policies {
		document := p.Inputs["policy"].(string)
		assert.LessOrEqual(t, len(document), 6144)
		statements += strings.Count(document, `"Effect":"Allow"`)
	}
	assert.Equal(t, 100, statements, "no grant is lost")
}

func policiesOf(list []pulumi.Resource) []pulumi.Resource { return list[:len(list)/2] }

// sized is a grant whose statement has n characters; it sorts by its letter.
func sized(letter string, n int) components.Grant {
	g := grant("dynamodb:GetItem", table(0))
	fixed := len(fmt.Sprintf(`{"Action":["dynamodb:GetItem"],"Condition":{"StringLike":{"dynamodb:Select":[""]}},"Effect":"Allow","Resource":["%s"]}`, table(0).Shape()))
	g.Conditions = []components.Condition{{Test: "StringLike", Key: "dynamodb:Select", Values: []components.Text{components.Known(strings.Repeat(letter, n-fixed))}}}
	return g
}

// around is what a document has beside its statements, of which it has n.
func around(n int) int { return len(`{"Statement":[],"Version":"2012-10-17"}`) + n - 1 }

func TestLeastPrivilegeRoleLimitsAreExact(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		grants          []components.Grant
		inline, managed int
	}{
		"inline, full":     {[]components.Grant{sized("a", 5000), sized("b", 10240-around(2)-5000)}, 1, 0},
		"inline, one over": {[]components.Grant{sized("a", 5000), sized("b", 10241-around(2)-5000)}, 0, 2},
		"managed, two fit exactly": {[]components.Grant{
			sized("a", 3000), sized("b", 6144-around(2)-3000), sized("c", 6144-around(1))}, 0, 2},
		"managed, two are one over": {[]components.Grant{
			sized("a", 3000), sized("b", 6145-around(2)-3000), sized("c", 6144-around(1))}, 0, 3},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := record(t, func(ctx *pulumi.Context) error {
				_, err := roleWith(ctx, c.grants...)
				return err
			})
			assert.Len(t, r.OfType("aws:iam/rolePolicy:RolePolicy"), c.inline)
			assert.Len(t, r.OfType("aws:iam/policy:Policy"), c.managed)
		})
	}
}

func TestLeastPrivilegeRoleRefusesAStatementThatFitsNowhere(t *testing.T) {
	t.Parallel()
	for over, refused := range map[int]bool{0: false, 1: true} {
		_, err := componenttest.Record(func(ctx *pulumi.Context) error {
			_, err := roleWith(ctx, sized("a", 6144-around(1)+over), sized("b", 6000))
			return err
		})
		assert.Equal(t, refused, err != nil, "%d over: %v", over, err)
	}
}

func TestLeastPrivilegeRoleRetain(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		_, err := roleBuild(func(a *components.LeastPrivilegeRoleArgs) {
			a.Retain, a.Name, a.Grants = true, long(60), []components.Grant{grant("dynamodb:GetItem", table(1))}
		})(ctx, "role")
		return err
	})
	role := only(t, r, "aws:iam/role:Role")
	assert.True(t, role.RetainOnDelete)
	assert.True(t, only(t, r, "aws:iam/rolePolicy:RolePolicy").RetainOnDelete)
	assert.Nil(t, role.Inputs["name"])
	assert.LessOrEqual(t, len(role.Inputs["namePrefix"].(string)), 38, "IAM adds 26 characters of its own")
}

func TestLeastPrivilegeRoleRow(t *testing.T) {
	t.Parallel()
	record(t, func(ctx *pulumi.Context) error {
		role, err := roleWith(ctx,
			grant("dynamodb:Query", table(2)), grant("dynamodb:GetItem", table(1)), grant("dynamodb:GetItem", table(1)),
			components.Grant{Actions: []string{"xray:PutTraceSegments"}, Resources: []components.Text{components.Known("*")}, Reason: "no resource types"})
		assert.Equal(t, []components.Access{
			{Role: "role", Action: "xray:PutTraceSegments", Resource: "*", Reason: "no resource types"},
			{Role: "role", Action: "dynamodb:GetItem", Resource: table(1).Shape()},
			{Role: "role", Action: "dynamodb:Query", Resource: table(2).Shape()},
		}, role.Row())
		return err
	})
}

// What is unknown at first has to fit what was measured.
func TestPendingValuesAreHeldToTheirShape(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ value, shape, problem string }{
		"longer":   {place().ARN("dynamodb", "table/abcdef"), place().ARN("dynamodb", "table/xxx"), "is longer than its shape"},
		"wildcard": {place().ARN("dynamodb", "table/*"), place().ARN("dynamodb", "table/xxx"), "has a wildcard that its shape"},
		"empty":    {"", place().ARN("dynamodb", "table/xxx"), "is empty"},
		"fits":     {place().ARN("dynamodb", "table/ab"), place().ARN("dynamodb", "table/xxx"), ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := componenttest.Record(func(ctx *pulumi.Context) error {
				_, err := roleWith(ctx, grant("dynamodb:GetItem", components.Pending(pulumi.String(c.value).ToStringOutput(), c.shape)))
				return err
			})
			if c.problem == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.problem)
		})
	}
}

// Merging statements must neither add nor lose a permission: the set of
// (action, resource, conditions) that the document allows is the set granted.
func TestMergedStatementsAllowWhatWasGranted(t *testing.T) {
	t.Parallel()
	actions := []string{"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"}
	rapid.Check(t, func(t *rapid.T) {
		var grants []components.Grant
		granted := map[string]bool{}
		for range rapid.IntRange(1, 8).Draw(t, "grants") {
			action := rapid.SampledFrom(actions).Draw(t, "action")
			resource := table(rapid.IntRange(0, 2).Draw(t, "table"))
			first, second := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "first"), rapid.SampledFrom([]string{"c", "d"}).Draw(t, "second")
			g := grant(action, resource)
			g.Conditions = []components.Condition{
				{Test: "StringEquals", Key: "dynamodb:Select", Values: []components.Text{components.Known(first)}},
				{Test: "StringEquals", Key: "dynamodb:ReturnValues", Values: []components.Text{components.Known(second)}},
			}
			granted[strings.Join([]string{action, resource.Shape(), first, second}, " ")] = true
			grants = append(grants, g)
		}
		r, err := componenttest.Record(func(ctx *pulumi.Context) error {
			_, err := roleWith(ctx, grants...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if allowed := allowedBy(t, r.OfType("aws:iam/rolePolicy:RolePolicy")[0].Inputs["policy"].(string)); !assert.ObjectsAreEqual(granted, allowed) {
			t.Fatalf("granted %v, allowed %v", granted, allowed)
		}
	})
}

func allowedBy(t *rapid.T, document string) map[string]bool {
	var policy struct {
		Statement []struct {
			Action, Resource []string
			Condition        map[string]map[string][]string
		}
	}
	if err := json.Unmarshal([]byte(document), &policy); err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{}
	for _, s := range policy.Statement {
		for _, action := range s.Action {
			for _, resource := range s.Resource {
				for _, first := range s.Condition["StringEquals"]["dynamodb:Select"] {
					for _, second := range s.Condition["StringEquals"]["dynamodb:ReturnValues"] {
						allowed[strings.Join([]string{action, resource, first, second}, " ")] = true
					}
				}
			}
		}
	}
	return allowed
}

func ExampleNewLeastPrivilegeRole() {
	r, err := componenttest.Record(func(ctx *pulumi.Context) error {
		_, err := components.NewLeastPrivilegeRole(ctx, "reader", &components.LeastPrivilegeRoleArgs{
			Place:       components.Place{Account: "111122223333", Region: "eu-west-2"},
			Name:        "shop-prod-reader",
			Description: "Reads orders",
			Service:     "lambda.amazonaws.com",
			Grants: []components.Grant{{
				Actions:   []string{"dynamodb:GetItem"},
				Resources: []components.Text{components.Known("arn:aws:dynamodb:eu-west-2:111122223333:table/orders")},
			}},
		})
		return err
	})
	fmt.Println(err)
	fmt.Println(r.OfType("aws:iam/rolePolicy:RolePolicy")[0].Inputs["policy"])
	// Output:
	// <nil>
	// {"Statement":[{"Action":["dynamodb:GetItem"],"Effect":"Allow","Resource":["arn:aws:dynamodb:eu-west-2:111122223333:table/orders"]}],"Version":"2012-10-17"}
}
