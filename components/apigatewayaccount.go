package components

import (
	"fmt"
	"regexp"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/apigateway"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Modes of something that exists once in an account and region.
const (
	// ModeCreate makes it.
	ModeCreate = "create"
	// ModeAdopt uses what the caller names.
	ModeAdopt = "adopt"
	// ModeSkip leaves it alone.
	ModeSkip = "skip"
)

// ApiGatewayAccountArgs are the arguments of an ApiGatewayAccount.
type ApiGatewayAccountArgs struct {
	Place Place
	Tags  map[string]string
	// Mode is ModeCreate, ModeAdopt or ModeSkip. Required: two stacks that
	// both create it overwrite each other.
	Mode string
	// Name is the physical name of the role. Required by ModeCreate.
	Name string
	// RoleArn is the existing role that the account shall use. Required by ModeAdopt.
	RoleArn string
	// Boundary is the ARN of the role's permissions boundary; empty is none.
	Boundary string
}

// ApiGatewayAccount is the one setting per account and region that lets API
// Gateway write logs. The setting, and the role of ModeCreate, stay in AWS
// when the stack is destroyed: other APIs of the account may rely on them.
type ApiGatewayAccount struct {
	pulumi.ResourceState

	// RoleArn is empty in ModeSkip.
	RoleArn pulumi.StringOutput `pulumi:"roleArn"`

	ready []pulumi.Resource
	role  *LeastPrivilegeRole
}

// Role is the role that was made, nil unless the mode is ModeCreate.
func (a *ApiGatewayAccount) Role() *LeastPrivilegeRole { return a.role }

// NewApiGatewayAccount makes the setting.
func NewApiGatewayAccount(ctx *pulumi.Context, name string, args *ApiGatewayAccountArgs, opts ...pulumi.ResourceOption) (*ApiGatewayAccount, error) {
	if args == nil {
		args = &ApiGatewayAccountArgs{}
	}
	c := begin("ApiGatewayAccount", name, args.Place, args.Tags)
	args.check(c)
	if err := c.err(); err != nil {
		return nil, err
	}
	a := &ApiGatewayAccount{}
	parent, err := register(ctx, "ApiGatewayAccount", name, pulumi.Map{
		"place": args.Place.inputs(), "mode": pulumi.String(args.Mode), "roleArn": pulumi.String(args.RoleArn),
	}, a, opts)
	if err != nil {
		return nil, err
	}
	if err := a.build(ctx, name, args, parent); err != nil {
		return nil, fmt.Errorf("ApiGatewayAccount %q: %w", name, err)
	}
	return a, ctx.RegisterResourceOutputs(a, pulumi.Map{"roleArn": a.RoleArn})
}

func (a *ApiGatewayAccount) build(ctx *pulumi.Context, name string, args *ApiGatewayAccountArgs, parent pulumi.ResourceOption) error {
	a.RoleArn = pulumi.String(args.RoleArn).ToStringOutput()
	if args.Mode == ModeSkip {
		return nil
	}
	if args.Mode == ModeCreate {
		role, err := NewLeastPrivilegeRole(ctx, name, args.role(), parent)
		if err != nil {
			return err
		}
		a.role, a.RoleArn = role, role.RoleArn
		a.ready = role.Policies()
	}
	account, err := apigateway.NewAccount(ctx, name, &apigateway.AccountArgs{CloudwatchRoleArn: a.RoleArn},
		parent, pulumi.DependsOn(a.ready), pulumi.RetainOnDelete(true))
	a.ready = append(a.ready, account)
	return err
}

// role may do what API Gateway asks of it (API Gateway Developer Guide, "Set up
// CloudWatch logging for REST APIs"), in this account and region.
func (a *ApiGatewayAccountArgs) role() *LeastPrivilegeRoleArgs {
	const reason = "one role serves every API of the account and region, whose log groups have names of their own"
	return &LeastPrivilegeRoleArgs{
		Place: a.Place, Tags: a.Tags, Name: a.Name, Description: "Lets API Gateway write the logs of every API in this account and region",
		Service: "apigateway.amazonaws.com", Boundary: a.Boundary, Retain: true,
		Grants: []Grant{
			{Actions: []string{"logs:DescribeLogGroups"}, Resources: known("*"), Reason: "CloudWatch Logs has no resource type for it"},
			{Actions: []string{
				"logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents", "logs:PutLogEvents",
			}, Resources: known(a.Place.ARN("logs", "log-group:*")), Reason: reason},
		},
	}
}

var roleARNPattern = regexp.MustCompile(`^arn:[a-z-]+:iam::\d{12}:role/[\w+=,.@/-]{1,576}$`)

func (a *ApiGatewayAccountArgs) check(c *checker) {
	c.oneOf("Mode", a.Mode, ModeCreate, ModeAdopt, ModeSkip)
	if a.Mode == ModeCreate {
		c.pattern("Name", a.Name, roleNamePattern, "letters, digits or _+=,.@-", "name the role")
		c.boundary(a.Boundary)
	} else if a.Boundary != "" {
		c.add("Boundary", a.Boundary, "belongs to ModeCreate", "remove it")
	}
	if a.Mode == ModeAdopt {
		c.pattern("RoleArn", a.RoleArn, roleARNPattern, "the ARN of a role", "name the role that exists")
	} else if a.RoleArn != "" {
		c.add("RoleArn", a.RoleArn, "belongs to ModeAdopt", "remove it")
	}
}
