package components_test

import (
	"fmt"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"

	"github.com/expenzez/aws-backend/components"
	"github.com/expenzez/aws-backend/components/componenttest"
)

func logGroupBuild(change func(*components.LogGroupArgs)) componenttest.Build {
	return func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		args := &components.LogGroupArgs{Place: place(), Name: "/aws/test/group", Key: key()}
		change(args)
		return components.NewLogGroup(ctx, name, args, opts...)
	}
}

func TestLogGroup(t *testing.T) {
	t.Parallel()
	bad := badBasics(func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		return components.NewLogGroup(ctx, name, nil, opts...)
	}, []string{"Key", "Name"}, func(p components.Place, tags map[string]string) componenttest.Build {
		return logGroupBuild(func(a *components.LogGroupArgs) { a.Place, a.Tags = p, tags })
	})
	for _, days := range []int{-1, 2, 31, 364, 366, 3654} {
		bad = append(bad, componenttest.Bad{Name: fmt.Sprintf("retention %d", days), Arguments: []string{"RetentionDays"},
			Build: logGroupBuild(func(a *components.LogGroupArgs) { a.RetentionDays = days })})
	}
	for name, text := range map[string]components.Text{
		"none": {}, "alias": components.Known("arn:aws:kms:eu-west-2:111122223333:alias/x"), "id": components.Known("0a1b2c3d-0000-4000-8000-00000000abcd"),
		"other service": components.Known(place().ARN("logs", "log-group:x")),
	} {
		bad = append(bad, componenttest.Bad{Name: "key " + name, Arguments: []string{"Key"},
			Build: logGroupBuild(func(a *components.LogGroupArgs) { a.Key = text })})
	}
	for _, group := range []string{"a b", "a:b", "abc*", long(513)} {
		bad = append(bad, componenttest.Bad{Name: "name " + group[:3], Arguments: []string{"Name"},
			Build: logGroupBuild(func(a *components.LogGroupArgs) { a.Name = group })})
	}
	componenttest.Run(t, componenttest.Case{
		Type: "LogGroup", Outputs: []string{"groupArn", "groupName"}, Bad: bad,
		Least: logGroupBuild(func(*components.LogGroupArgs) {}),
		Full:  logGroupBuild(func(a *components.LogGroupArgs) { a.Tags, a.RetentionDays = componenttest.Tags(), 7 }),
		Safe: []componenttest.Expect{
			{Type: "aws:cloudwatch/logGroup:LogGroup", Path: "retentionInDays", Value: 365.0},
			{Type: "aws:cloudwatch/logGroup:LogGroup", Path: "kmsKeyId", Value: keyARN},
		},
		Applied: []componenttest.Expect{
			{Type: "aws:cloudwatch/logGroup:LogGroup", Path: "retentionInDays", Value: 7.0},
			{Type: "aws:cloudwatch/logGroup:LogGroup", Path: "name", Value: "/aws/test/group"},
		},
	})
}

func TestLogGroupGrantsWritingOnly(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		g, err := components.NewLogGroup(ctx, "log", &components.LogGroupArgs{Place: place(), Name: "/aws/test/group", Key: key()})
		if err != nil {
			return err
		}
		assert.Equal(t, "arn:aws:logs:eu-west-2:111122223333:log-group:/aws/test/group", g.ARN())
		_, err = roleWith(ctx, g.GrantWrite()...)
		return err
	})
	assert.Equal(t, `{"Statement":[{"Action":["logs:CreateLogStream","logs:PutLogEvents"],"Effect":"Allow",`+
		`"Resource":["arn:aws:logs:eu-west-2:111122223333:log-group:/aws/test/group:*"]}],"Version":"2012-10-17"}`,
		only(t, r, "aws:iam/rolePolicy:RolePolicy").Inputs["policy"])
}

func ExampleNewLogGroup() {
	r, err := componenttest.Record(func(ctx *pulumi.Context) error {
		_, err := components.NewLogGroup(ctx, "audit", &components.LogGroupArgs{
			Place: components.Place{Account: "111122223333", Region: "eu-west-2"},
			Name:  "/shop/prod/audit",
			Key:   components.Known("arn:aws:kms:eu-west-2:111122223333:key/0a1b2c3d-0000-4000-8000-00000000abcd"),
		})
		return err
	})
	fmt.Println(err, r.OfType("aws:cloudwatch/logGroup:LogGroup")[0].Inputs["retentionInDays"])
	// Output: <nil> 365
}
