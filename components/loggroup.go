package components

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// LogGroupArgs are the arguments of a LogGroup.
type LogGroupArgs struct {
	Place Place
	Tags  map[string]string
	// Name is the physical name. Required.
	Name string
	// RetentionDays is one of the numbers that CloudWatch Logs takes; 0 means
	// 365, the least that Security Hub's CloudWatch.16 accepts.
	RetentionDays int
	// Key is the ARN of the customer managed key, whose policy has to name
	// this group (EncryptionKeyArgs.LogGroups). Required.
	Key Text
}

// LogGroup is an encrypted CloudWatch log group with a retention. Whatever
// writes into it must depend on it: a service that comes first makes the group
// itself, without key and retention.
type LogGroup struct {
	pulumi.ResourceState

	GroupArn  pulumi.StringOutput `pulumi:"groupArn"`
	GroupName pulumi.StringOutput `pulumi:"groupName"`

	place Place
	name  string
	group *cloudwatch.LogGroup
}

// ARN is the group's ARN, known before deployment, without the ":*" of its streams.
func (g *LogGroup) ARN() string { return g.place.ARN("logs", "log-group:"+g.name) }

// GrantWrite lets a role write to the group: make a stream and put events. It
// does not let it make the group.
func (g *LogGroup) GrantWrite() []Grant { return logGrants(g.place, g.name) }

func logGrants(place Place, group string) []Grant {
	return []Grant{{
		Actions:   []string{"logs:CreateLogStream", "logs:PutLogEvents"},
		Resources: known(place.ARN("logs", "log-group:"+group+":*")),
	}}
}

// NewLogGroup makes the group.
func NewLogGroup(ctx *pulumi.Context, name string, args *LogGroupArgs, opts ...pulumi.ResourceOption) (*LogGroup, error) {
	if args == nil {
		args = &LogGroupArgs{}
	}
	c := begin("LogGroup", name, args.Place, args.Tags)
	args.check(c)
	if err := c.err(); err != nil {
		return nil, err
	}
	g := &LogGroup{place: args.Place, name: args.Name}
	parent, err := register(ctx, "LogGroup", name, pulumi.Map{
		"place": args.Place.inputs(), "name": pulumi.String(args.Name), "retentionDays": pulumi.Int(retention(args.RetentionDays)),
	}, g, opts)
	if err != nil {
		return nil, err
	}
	g.group, err = cloudwatch.NewLogGroup(ctx, name, logGroupInputs(pulumi.String(args.Name), args.RetentionDays, args.Key, args.Tags), parent)
	if err != nil {
		return nil, fmt.Errorf("LogGroup %q: %w", name, err)
	}
	g.GroupArn, g.GroupName = g.group.Arn, g.group.Name
	return g, ctx.RegisterResourceOutputs(g, pulumi.Map{"groupArn": g.GroupArn, "groupName": g.GroupName})
}

func logGroupInputs(name pulumi.StringPtrInput, days int, key Text, tags map[string]string) *cloudwatch.LogGroupArgs {
	return &cloudwatch.LogGroupArgs{
		Name: name, RetentionInDays: pulumi.Int(retention(days)), KmsKeyId: key.ptr(),
		Tags: pulumi.ToStringMap(tags),
	}
}

func retention(days int) int { return orDefault(days, 365) }

// retentions are the numbers of days that PutRetentionPolicy takes (CloudWatch
// Logs API Reference).
var retentions = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

func (c *checker) retention(argument string, days int) {
	if !slices.Contains(retentions, retention(days)) {
		c.add(argument, days, fmt.Sprintf("must be one of %v", retentions), "choose one of them")
	}
}

var logGroupPattern = regexp.MustCompile(`^[.\-_/#A-Za-z0-9]{1,512}$`)

func (a *LogGroupArgs) check(c *checker) {
	c.pattern("Name", a.Name, logGroupPattern, "1 to 512 letters, digits or .-_/#", "rename the group")
	c.retention("RetentionDays", a.RetentionDays)
	c.key("Key", a.Key)
}
