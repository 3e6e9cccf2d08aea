package components

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Limits of IAM (IAM User Guide, "IAM and AWS STS quotas"). Whitespace does not count.
const (
	inlinePolicyLimit    = 10240
	managedPolicyLimit   = 6144
	managedPoliciesLimit = 10
	trustPolicyLimit     = 2048
	roleNameLimit        = 64
)

// sendsSource tells which services may assume a role made here, and whether
// they send aws:SourceAccount and aws:SourceArn when they do. Lambda and API
// Gateway send neither when they assume a role, so conditions on these keys
// would lock them out; for the others their guides' pages on cross-service
// confused deputy prevention ask for both.
var sendsSource = map[string]bool{
	"apigateway.amazonaws.com":    false,
	"lambda.amazonaws.com":        false,
	"scheduler.amazonaws.com":     true,
	"states.amazonaws.com":        true,
	"vpc-flow-logs.amazonaws.com": true,
}

// LeastPrivilegeRoleArgs are the arguments of a LeastPrivilegeRole.
type LeastPrivilegeRoleArgs struct {
	Place Place
	Tags  map[string]string
	// Name is the physical name; one longer than 64 characters is cut and gets
	// a hash. Required.
	Name string
	// Description says what the role is for. Required.
	Description string
	// Service is the one principal that may assume the role, for example
	// "lambda.amazonaws.com". Required.
	Service string
	// SourceARNs limit which of the service's resources may assume the role.
	// Required for services that send aws:SourceArn, refused for others.
	SourceARNs []string
	// Grants are everything the role may do. None is allowed.
	Grants []Grant
	// Boundary is the ARN of the permissions boundary; empty is none.
	Boundary string
	// Retain leaves the role in AWS when its stack is destroyed, and adds
	// random characters to its name so that a later stack can make its own.
	Retain bool
}

// Access is one cell of the access matrix: what a role may do to what.
type Access struct {
	Role       string
	Action     string
	Resource   string   // an ARN, or its shape while it is not known
	Conditions []string // "StringEquals kms:ViaService = dynamodb.eu-west-2.amazonaws.com"
	Reason     string
}

// LeastPrivilegeRole is an IAM role for one service that may do what its
// grants list and nothing else. Its policy is inline when it fits, else split
// over managed policies; both are measured before anything is registered.
type LeastPrivilegeRole struct {
	pulumi.ResourceState

	RoleArn  pulumi.StringOutput `pulumi:"roleArn"`
	RoleName pulumi.StringOutput `pulumi:"roleName"`

	policies []pulumi.Resource
	rows     []Access
}

// Policies are the resources that give the role its permissions. What uses the
// role at once depends on them: IAM refuses it otherwise.
func (r *LeastPrivilegeRole) Policies() []pulumi.Resource { return slices.Clone(r.policies) }

// Row is the role's row of the access matrix, sorted.
func (r *LeastPrivilegeRole) Row() []Access { return slices.Clone(r.rows) }

// NewLeastPrivilegeRole makes the role.
func NewLeastPrivilegeRole(ctx *pulumi.Context, name string, args *LeastPrivilegeRoleArgs, opts ...pulumi.ResourceOption) (*LeastPrivilegeRole, error) {
	if args == nil {
		args = &LeastPrivilegeRoleArgs{}
	}
	c := begin("LeastPrivilegeRole", name, args.Place, args.Tags)
	args.check(c)
	if err := c.err(); err != nil {
		return nil, err
	}
	r := &LeastPrivilegeRole{rows: accessRows(fitName(args.Name, roleNameLimit), args.Grants)}
	statements := grantStatements(args.Grants)
	parent, err := register(ctx, "LeastPrivilegeRole", name, pulumi.Map{
		"place": args.Place.inputs(), "name": pulumi.String(args.Name), "service": pulumi.String(args.Service),
		"grants": pulumi.Int(len(args.Grants)), "policyBytes": pulumi.Int(policySize(statements)),
	}, r, opts)
	if err != nil {
		return nil, err
	}
	if err := r.build(ctx, name, args, statements, args.childOptions(parent)); err != nil {
		return nil, fmt.Errorf("LeastPrivilegeRole %q: %w", name, err)
	}
	return r, ctx.RegisterResourceOutputs(r, pulumi.Map{"roleArn": r.RoleArn, "roleName": r.RoleName})
}

func (a *LeastPrivilegeRoleArgs) childOptions(parent pulumi.ResourceOption) []pulumi.ResourceOption {
	if a.Retain {
		return []pulumi.ResourceOption{parent, pulumi.RetainOnDelete(true)}
	}
	return []pulumi.ResourceOption{parent}
}

func (r *LeastPrivilegeRole) build(ctx *pulumi.Context, name string, args *LeastPrivilegeRoleArgs, statements []statement, opts []pulumi.ResourceOption) error {
	in := &iam.RoleArgs{
		AssumeRolePolicy:   pulumi.String(document(args.trust(), shapeOf)),
		Description:        pulumi.String(args.Description),
		MaxSessionDuration: pulumi.Int(3600),
		Tags:               pulumi.ToStringMap(args.Tags),
	}
	if args.Retain {
		in.NamePrefix = pulumi.String(fitName(args.Name, 37) + "-")
	} else {
		in.Name = pulumi.String(fitName(args.Name, roleNameLimit))
	}
	if args.Boundary != "" {
		in.PermissionsBoundary = pulumi.String(args.Boundary)
	}
	role, err := iam.NewRole(ctx, name, in, opts...)
	if err != nil {
		return err
	}
	r.RoleArn, r.RoleName = role.Arn, role.Name
	switch {
	case len(statements) == 0:
		return nil
	case policySize(statements) <= inlinePolicyLimit:
		return r.inline(ctx, name, role, statements, opts)
	}
	return r.managed(ctx, name, args, role, statements, opts)
}

func (r *LeastPrivilegeRole) inline(ctx *pulumi.Context, name string, role *iam.Role, statements []statement, opts []pulumi.ResourceOption) error {
	policy, err := iam.NewRolePolicy(ctx, name, &iam.RolePolicyArgs{
		Name: pulumi.String("grants"), Role: role.Name, Policy: policyInput(statements),
	}, opts...)
	r.policies = append(r.policies, policy)
	return err
}

func (r *LeastPrivilegeRole) managed(ctx *pulumi.Context, name string, args *LeastPrivilegeRoleArgs, role *iam.Role, statements []statement, opts []pulumi.ResourceOption) error {
	for i, part := range split(statements) {
		child := fmt.Sprintf("%s-%d", name, i+1)
		policy, err := iam.NewPolicy(ctx, child, &iam.PolicyArgs{
			Name:        pulumi.Sprintf("%s-%d", role.Name, i+1),
			Description: pulumi.String("Part of " + args.Description),
			Policy:      policyInput(part),
			Tags:        pulumi.ToStringMap(args.Tags),
		}, opts...)
		if err != nil {
			return err
		}
		attached, err := iam.NewRolePolicyAttachment(ctx, child, &iam.RolePolicyAttachmentArgs{
			Role: role.Name, PolicyArn: policy.Arn,
		}, opts...)
		if err != nil {
			return err
		}
		r.policies = append(r.policies, policy, attached)
	}
	return nil
}

func (a *LeastPrivilegeRoleArgs) trust() []statement {
	s := statement{Principal: map[string]string{"Service": a.Service}, Actions: []string{"sts:AssumeRole"}}
	if sendsSource[a.Service] {
		s.Conditions = []Condition{
			{Test: "StringEquals", Key: "aws:SourceAccount", Values: known(a.Place.Account)},
			{Test: "ArnLike", Key: "aws:SourceArn", Values: known(a.SourceARNs...)},
		}
	}
	return []statement{s}
}

var (
	roleNamePattern = regexp.MustCompile(`^[\w+=,.@-]+$`)
	boundaryPattern = regexp.MustCompile(`^arn:[a-z-]+:iam::(\d{12}|aws):policy/[\w+=,.@/-]{1,512}$`)
	arnPattern      = regexp.MustCompile(`^arn:[a-z-]+:([a-z0-9-]+):([a-z0-9-]*):(\d{12}|):(.+)$`)
)

func (a *LeastPrivilegeRoleArgs) check(c *checker) {
	c.pattern("Name", a.Name, roleNamePattern, "letters, digits or _+=,.@-", "rename the role")
	if n := len(a.Description); n == 0 || n > 1000 {
		c.add("Description", a.Description, "must have 1 to 1000 characters", "say what the role is for")
	}
	sends, served := sendsSource[a.Service]
	switch {
	case !served:
		c.add("Service", a.Service, "must be a service that roles are made for", "choose one of "+strings.Join(sortedKeys(sendsSource), ", "))
	case sends && len(a.SourceARNs) == 0:
		c.add("SourceARNs", a.SourceARNs, "is required: "+a.Service+" sends aws:SourceArn", "name the resources that assume the role")
	case !sends && len(a.SourceARNs) > 0:
		c.add("SourceARNs", a.SourceARNs, "must be empty: "+a.Service+" does not send aws:SourceArn", "remove it")
	}
	for i, source := range a.SourceARNs {
		if !arnPattern.MatchString(source) {
			c.add(fmt.Sprintf("SourceARNs[%d]", i), source, "must be an ARN with account", "write it out")
		}
	}
	if size := policySize(a.trust()); size > trustPolicyLimit {
		c.add("SourceARNs", len(a.SourceARNs), fmt.Sprintf("make a trust policy of %d characters, the limit is %d", size, trustPolicyLimit), "name fewer")
	}
	c.boundary(a.Boundary)
	checkGrants(c, a.Grants, a.Grants)
}

// boundary checks an optional permissions boundary.
func (c *checker) boundary(arn string) {
	if arn != "" {
		c.pattern("Boundary", arn, boundaryPattern, "the ARN of a managed policy", "write arn:aws:iam::<account>:policy/<name>")
	}
}

// checkGrants checks what the caller grants, and measures all that the role
// will have when nothing else is wrong.
func checkGrants(c *checker, given, all []Grant) {
	for i, g := range given {
		g.check(c, fmt.Sprintf("Grants[%d]", i))
	}
	if len(c.problems) == 0 {
		checkSize(c, grantStatements(all))
	}
}

func (g Grant) check(c *checker, at string) {
	if g.problem != "" {
		c.add(at, g.Actions, g.problem, "correct the call that made this grant")
		return
	}
	if len(g.Actions) == 0 {
		c.add(at+".Actions", g.Actions, "must name at least one action", "name it or remove the grant")
	}
	for i, action := range g.Actions {
		if rule, remedy := actionProblem(action); rule != "" {
			c.add(fmt.Sprintf("%s.Actions[%d]", at, i), action, rule, remedy)
		}
	}
	if len(g.Resources) == 0 {
		c.add(at+".Resources", g.Resources, "must name at least one resource", "name it or remove the grant")
	}
	for i, resource := range g.Resources {
		g.checkResource(c, fmt.Sprintf("%s.Resources[%d]", at, i), resource)
	}
	g.checkConditions(c, at)
}

func (g Grant) checkResource(c *checker, at string, resource Text) {
	if resource.shape == "*" {
		if i := slices.IndexFunc(g.Actions, func(a string) bool { return !starOnly[a] }); i >= 0 {
			c.add(at, resource, g.Actions[i]+" has resource types", "name the exact ARN")
		}
		if strings.TrimSpace(g.Reason) == "" {
			c.add(at, resource, `needs a reason to be "*"`, "set Reason")
		}
		return
	}
	part := arnPattern.FindStringSubmatch(resource.shape)
	if part == nil {
		c.add(at, resource, "must be an ARN without wildcards before the resource", "name the exact ARN")
		return
	}
	for _, action := range g.Actions {
		service, _, _ := strings.Cut(action, ":")
		if service != part[1] && actionNames[service] != "" {
			c.add(at, resource, "is of "+part[1]+", but "+action+" acts on "+service, "put it into a grant of its own")
		}
		if starOnly[action] {
			c.add(at, resource, action+` has no resource type and never matches an ARN`, `use "*" with a reason`)
		}
	}
	stem := part[4]
	if part[1] == "logs" {
		stem = strings.TrimSuffix(stem, ":*") // the streams of one group
	}
	if strings.ContainsAny(stem, "*?") && strings.TrimSpace(g.Reason) == "" {
		c.add(at, resource, "has a wildcard without a reason", "name the exact ARN, or set Reason")
	}
}

func (g Grant) checkConditions(c *checker, at string) {
	bound := false
	for i, cond := range g.Conditions {
		if cond.Test == "" || !strings.Contains(cond.Key, ":") || len(cond.Values) == 0 || slices.ContainsFunc(cond.Values, Text.IsZero) {
			c.add(fmt.Sprintf("%s.Conditions[%d]", at, i), cond, "must have a test, a key with its service, and values", "complete it")
		}
		bound = bound || cond.Key == "kms:ViaService" || strings.HasPrefix(cond.Key, "kms:EncryptionContext:")
		if strings.HasPrefix(cond.Key, "kms:EncryptionContext") && slices.Contains(g.Actions, "kms:DescribeKey") {
			c.add(fmt.Sprintf("%s.Conditions[%d]", at, i), cond.Key, "never holds for kms:DescribeKey, which has no encryption context", "grant it on its own")
		}
	}
	for _, action := range g.Actions {
		if keyDataActions[action] && !bound {
			c.add(at+".Conditions", action, "must be bound by kms:ViaService or kms:EncryptionContext:…", "use EncryptionKey.GrantDecrypt or GrantEncryptDecrypt")
		}
	}
}

// checkSize measures before the role is registered: inline if it fits, else
// split over managed policies.
func checkSize(c *checker, statements []statement) {
	if policySize(statements) <= inlinePolicyLimit {
		return
	}
	for _, s := range statements {
		if size := policySize([]statement{s}); size > managedPolicyLimit {
			c.add("Grants", s.Actions, fmt.Sprintf("one statement has %d characters, a managed policy holds %d", size, managedPolicyLimit), "name fewer resources in one grant")
		}
	}
	if n := len(split(statements)); n > managedPoliciesLimit {
		c.add("Grants", n, fmt.Sprintf("need more than the %d managed policies that a role can have", managedPoliciesLimit), "split the function")
	}
}

// split packs the statements, in order, into documents of a managed policy.
func split(statements []statement) [][]statement {
	var parts [][]statement
	for _, s := range statements {
		last := len(parts) - 1
		if last >= 0 && policySize(append(slices.Clone(parts[last]), s)) <= managedPolicyLimit {
			parts[last] = append(parts[last], s)
			continue
		}
		parts = append(parts, []statement{s})
	}
	return parts
}

// policySize counts what IAM counts: the characters that are not whitespace,
// of the document with every pending text at its greatest length.
func policySize(statements []statement) int {
	size := 0
	for _, r := range document(statements, shapeOf) {
		if !unicode.IsSpace(r) {
			size++
		}
	}
	return size
}

// grantStatements makes the fewest statements that allow the same: grants that
// differ in nothing, in their resources, or in the values of one condition are
// one statement.
func grantStatements(grants []Grant) []statement {
	statements := make([]statement, 0, len(grants))
	for _, g := range grants {
		statements = append(statements, statement{Actions: sortedUnique(g.Actions), Resources: g.Resources, Conditions: sortedConditions(g.Conditions)})
	}
	for i := 0; i < len(statements); i++ {
		for j := i + 1; j < len(statements); {
			if merged, ok := merge(statements[i], statements[j]); ok {
				statements[i] = merged
				statements = slices.Delete(statements, j, j+1)
				j = i + 1
				continue
			}
			j++
		}
	}
	slices.SortFunc(statements, func(a, b statement) int {
		return strings.Compare(canonicalJSON(a.value(shapeOf)), canonicalJSON(b.value(shapeOf)))
	})
	return statements
}

func sortedConditions(conditions []Condition) []Condition {
	sorted := slices.Clone(conditions)
	slices.SortStableFunc(sorted, func(a, b Condition) int {
		return strings.Compare(a.Test+" "+a.Key, b.Test+" "+b.Key)
	})
	return sorted
}

// merge joins two statements if the join allows exactly what the two allow:
// they may differ in one place only, the resources or the values of one
// condition whose test is satisfied by any one value.
func merge(a, b statement) (statement, bool) {
	if !slices.Equal(a.Actions, b.Actions) || len(a.Conditions) != len(b.Conditions) {
		return a, false
	}
	differs := -1
	for i := range a.Conditions {
		x, y := a.Conditions[i], b.Conditions[i]
		if x.Test != y.Test || x.Key != y.Key {
			return a, false
		}
		if !slices.Equal(x.Values, y.Values) {
			if differs >= 0 || (x.Test != "StringEquals" && x.Test != "ArnEquals") {
				return a, false
			}
			differs = i
		}
	}
	if differs < 0 {
		a.Resources = union(a.Resources, b.Resources)
		return a, true
	}
	if !slices.Equal(a.Resources, b.Resources) {
		return a, false
	}
	a.Conditions = slices.Clone(a.Conditions)
	a.Conditions[differs].Values = union(a.Conditions[differs].Values, b.Conditions[differs].Values)
	return a, true
}

func union(a, b []Text) []Text {
	all := slices.Clone(a)
	for _, t := range b {
		if !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return all
}

func accessRows(role string, grants []Grant) []Access {
	var rows []Access
	for _, g := range grants {
		var conditions []string
		for _, c := range sortedConditions(g.Conditions) {
			conditions = append(conditions, c.Test+" "+c.Key+" = "+strings.Join(resolveAll(c.Values, shapeOf), " | "))
		}
		for _, action := range g.Actions {
			for _, resource := range g.Resources {
				rows = append(rows, Access{Role: role, Action: action, Resource: resource.shape, Conditions: conditions, Reason: g.Reason})
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b Access) int { return strings.Compare(a.key(), b.key()) })
	return slices.CompactFunc(rows, func(a, b Access) bool { return a.key() == b.key() })
}

func (a Access) key() string {
	return strings.Join([]string{a.Resource, a.Action, strings.Join(a.Conditions, " & "), a.Reason}, "\x00")
}
