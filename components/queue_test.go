package components_test

import (
	"fmt"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"

	"github.com/expenzez/aws-backend/components"
	"github.com/expenzez/aws-backend/components/componenttest"
)

func queueBuild(change func(*components.QueueArgs)) componenttest.Build {
	return func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		args := &components.QueueArgs{Place: place(), Name: "jobs", Key: key(), VisibilityTimeoutSeconds: 90}
		change(args)
		return components.NewQueue(ctx, name, args, opts...)
	}
}

const jobsARN = "arn:aws:sqs:eu-west-2:111122223333:jobs"

func TestQueue(t *testing.T) {
	t.Parallel()
	bad := badBasics(func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		return components.NewQueue(ctx, name, nil, opts...)
	}, []string{"Key", "Name", "VisibilityTimeoutSeconds"}, func(p components.Place, tags map[string]string) componenttest.Build {
		return queueBuild(func(a *components.QueueArgs) { a.Place, a.Tags = p, tags })
	})
	for name, c := range map[string]struct {
		argument string
		spoil    func(*components.QueueArgs)
	}{
		"name with dot":          {"Name", func(a *components.QueueArgs) { a.Name = "jobs.fifo" }},
		"name too long":          {"Name", func(a *components.QueueArgs) { a.Name = long(77) }},
		"alias as key":           {"Key", func(a *components.QueueArgs) { a.Key = components.Known("alias/aws/sqs") }},
		"no visibility":          {"VisibilityTimeoutSeconds", func(a *components.QueueArgs) { a.VisibilityTimeoutSeconds = 0 }},
		"visibility too long":    {"VisibilityTimeoutSeconds", func(a *components.QueueArgs) { a.VisibilityTimeoutSeconds = 43201 }},
		"retention too long":     {"RetentionDays", func(a *components.QueueArgs) { a.RetentionDays = 15 }},
		"retention negative":     {"RetentionDays", func(a *components.QueueArgs) { a.RetentionDays = -1 }},
		"receives too many":      {"MaxReceives", func(a *components.QueueArgs) { a.MaxReceives = 1001 }},
		"receives negative":      {"MaxReceives", func(a *components.QueueArgs) { a.MaxReceives = -1 }},
		"receives without a dlq": {"MaxReceives", func(a *components.QueueArgs) { a.NoDeadLetter, a.MaxReceives = true, 3 }},
	} {
		bad = append(bad, componenttest.Bad{Name: name, Build: queueBuild(c.spoil), Arguments: []string{c.argument}})
	}
	componenttest.Run(t, componenttest.Case{
		Type: "Queue", Outputs: []string{"deadLetterArn", "queueArn", "queueUrl"}, Bad: bad,
		Least: queueBuild(func(*components.QueueArgs) {}),
		Full: queueBuild(func(a *components.QueueArgs) {
			a.Tags, a.RetentionDays, a.MaxReceives = componenttest.Tags(), 2, 7
		}),
		Safe: []componenttest.Expect{
			{Type: "aws:sqs/queue:Queue", Path: "kmsMasterKeyId", Value: keyARN},
			{Type: "aws:sqs/queue:Queue", Path: "receiveWaitTimeSeconds", Value: 20.0},
		},
		Applied: []componenttest.Expect{
			{Type: "aws:sqs/queue:Queue", Path: "kmsDataKeyReusePeriodSeconds", Value: 300.0},
		},
	})
}

func TestQueueKeepsWhatFails(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		q, err := queueBuild(func(a *components.QueueArgs) { a.MaxReceives = 7 })(ctx, "jobs")
		if err != nil {
			return err
		}
		assert.Equal(t, jobsARN+"-dlq", q.(*components.Queue).DeadLetterARN())
		assert.Equal(t, "https://sqs.eu-west-2.amazonaws.com/111122223333/jobs", q.(*components.Queue).URL())
		return nil
	})
	byName := map[any]map[string]any{}
	for _, q := range r.OfType("aws:sqs/queue:Queue") {
		byName[q.Inputs["name"]] = q.Inputs
	}
	assert.Len(t, byName, 2)
	main, dead := byName["jobs"], byName["jobs-dlq"]
	assert.Equal(t, 90.0, main["visibilityTimeoutSeconds"])
	assert.Equal(t, 4*86400.0, main["messageRetentionSeconds"])
	assert.Contains(t, main["redrivePolicy"], `"maxReceiveCount":7`)
	assert.Nil(t, main["redriveAllowPolicy"])
	assert.Equal(t, 14*86400.0, dead["messageRetentionSeconds"])
	assert.Equal(t, `{"redrivePermission":"byQueue","sourceQueueArns":["`+jobsARN+`"]}`, dead["redriveAllowPolicy"])
	assert.Nil(t, dead["redrivePolicy"])
	for _, q := range byName {
		assert.Equal(t, keyARN, q["kmsMasterKeyId"])
	}
	policies := r.OfType("aws:sqs/queuePolicy:QueuePolicy")
	assert.Len(t, policies, 2)
	for _, p := range policies {
		assert.Contains(t, p.Inputs["policy"], `"aws:SecureTransport":["false"]`)
	}
}

func TestQueueWithoutDeadLetters(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		q, err := queueBuild(func(a *components.QueueArgs) { a.NoDeadLetter = true })(ctx, "failures")
		if err == nil {
			assert.Empty(t, q.(*components.Queue).DeadLetterARN())
		}
		return err
	})
	assert.Nil(t, only(t, r, "aws:sqs/queue:Queue").Inputs["redrivePolicy"])
}

func TestQueueGrantsAreExact(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		grant func(*components.Queue) []components.Grant
		want  string
	}{
		"send": {(*components.Queue).GrantSend, `{"Statement":[{"Action":["kms:Decrypt","kms:GenerateDataKey"],"Condition":{"StringEquals":{"kms:ViaService":["sqs.eu-west-2.amazonaws.com"]}},"Effect":"Allow","Resource":["` + keyARN + `"]},` +
			`{"Action":["sqs:SendMessage"],"Effect":"Allow","Resource":["` + jobsARN + `"]}],"Version":"2012-10-17"}`},
		"consume": {(*components.Queue).GrantConsume, `{"Statement":[{"Action":["kms:Decrypt"],"Condition":{"StringEquals":{"kms:ViaService":["sqs.eu-west-2.amazonaws.com"]}},"Effect":"Allow","Resource":["` + keyARN + `"]},` +
			`{"Action":["sqs:ChangeMessageVisibility","sqs:DeleteMessage","sqs:GetQueueAttributes","sqs:ReceiveMessage"],"Effect":"Allow","Resource":["` + jobsARN + `"]}],"Version":"2012-10-17"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := record(t, func(ctx *pulumi.Context) error {
				q, err := queueBuild(func(*components.QueueArgs) {})(ctx, "jobs")
				if err != nil {
					return err
				}
				_, err = roleWith(ctx, c.grant(q.(*components.Queue))...)
				return err
			})
			assert.Equal(t, c.want, only(t, r, "aws:iam/rolePolicy:RolePolicy").Inputs["policy"])
		})
	}
}

func ExampleNewQueue() {
	r, err := componenttest.Record(func(ctx *pulumi.Context) error {
		_, err := components.NewQueue(ctx, "orders", &components.QueueArgs{
			Place:                    components.Place{Account: "111122223333", Region: "eu-west-2"},
			Name:                     "shop-prod-orders",
			Key:                      components.Known("arn:aws:kms:eu-west-2:111122223333:key/0a1b2c3d-0000-4000-8000-00000000abcd"),
			VisibilityTimeoutSeconds: 6 * 15,
		})
		return err
	})
	fmt.Println(err, len(r.OfType("aws:sqs/queue:Queue")), "queues")
	// Output: <nil> 2 queues
}
