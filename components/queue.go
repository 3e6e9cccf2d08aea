package components

import (
	"fmt"
	"regexp"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/sqs"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// QueueArgs are the arguments of a Queue.
type QueueArgs struct {
	Place Place
	Tags  map[string]string
	// Name is the physical name, at most 76 characters: the dead-letter queue
	// adds "-dlq". Required.
	Name string
	// Key is the ARN of the customer managed key. Required.
	Key Text
	// VisibilityTimeoutSeconds is how long a message that was received is kept
	// from others, 1 to 43200; for a function at least six times its timeout
	// (Lambda Developer Guide, "Using Lambda with Amazon SQS"). Required.
	VisibilityTimeoutSeconds int
	// RetentionDays is how long a message waits to be received, 1 to 14; 0
	// means 4. The dead-letter queue keeps messages 14 days.
	RetentionDays int
	// MaxReceives is how often a message is received before it goes to the
	// dead-letter queue, 1 to 1000; 0 means 5, the least that the Lambda guide
	// advises, so that throttling alone moves nothing.
	MaxReceives int
	// NoDeadLetter leaves the dead-letter queue out, for a queue that is one
	// itself: of a stream, of a schedule.
	NoDeadLetter bool
}

// Queue is an encrypted standard queue with a dead-letter queue that only it
// may use. The policies of both refuse plain HTTP.
type Queue struct {
	pulumi.ResourceState

	QueueArn pulumi.StringOutput `pulumi:"queueArn"`
	QueueURL pulumi.StringOutput `pulumi:"queueUrl"`
	// DeadLetterArn is empty without a dead-letter queue.
	DeadLetterArn pulumi.StringOutput `pulumi:"deadLetterArn"`

	args QueueArgs
}

// ARN is the queue's ARN, known before deployment.
func (q *Queue) ARN() string { return q.args.Place.ARN("sqs", q.args.Name) }

// DeadLetterARN is the dead-letter queue's ARN, known before deployment; empty without one.
func (q *Queue) DeadLetterARN() string {
	if q.args.NoDeadLetter {
		return ""
	}
	return q.ARN() + deadLetterSuffix
}

// URL is the queue's URL, known before deployment.
func (q *Queue) URL() string {
	p := q.args.Place
	return "https://sqs." + p.Region + ".amazonaws.com/" + p.Account + "/" + q.args.Name
}

// GrantSend lets a role send messages. The key is used for it as the SQS
// Developer Guide, "Key management", says: producers make data keys and check
// them.
func (q *Queue) GrantSend() []Grant {
	return q.grants([]string{"sqs:SendMessage"}, "kms:Decrypt", "kms:GenerateDataKey")
}

// GrantConsume lets a role receive messages, keep them longer and delete them.
func (q *Queue) GrantConsume() []Grant {
	return q.grants([]string{"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}, "kms:Decrypt")
}

func (q *Queue) grants(actions []string, keyActions ...string) []Grant {
	return append([]Grant{{Actions: actions, Resources: known(q.ARN())}}, keyGrants(q.args.Place, q.args.Key, KeyUse{Service: "sqs"}, keyActions...)...)
}

// NewQueue makes the queue.
func NewQueue(ctx *pulumi.Context, name string, args *QueueArgs, opts ...pulumi.ResourceOption) (*Queue, error) {
	if args == nil {
		args = &QueueArgs{}
	}
	c := begin("Queue", name, args.Place, args.Tags)
	args.check(c)
	if err := c.err(); err != nil {
		return nil, err
	}
	q := &Queue{args: *args}
	parent, err := register(ctx, "Queue", name, pulumi.Map{
		"place": args.Place.inputs(), "name": pulumi.String(args.Name), "visibilityTimeoutSeconds": pulumi.Int(args.VisibilityTimeoutSeconds),
		"retentionDays": pulumi.Int(args.retention()), "maxReceives": pulumi.Int(args.receives()), "noDeadLetter": pulumi.Bool(args.NoDeadLetter),
	}, q, opts)
	if err != nil {
		return nil, err
	}
	if err := q.build(ctx, name, parent); err != nil {
		return nil, fmt.Errorf("Queue %q: %w", name, err)
	}
	return q, ctx.RegisterResourceOutputs(q, pulumi.Map{"queueArn": q.QueueArn, "queueUrl": q.QueueURL, "deadLetterArn": q.DeadLetterArn})
}

const (
	deadLetterSuffix = "-dlq"
	longestRetention = 14 // days (SQS API, SetQueueAttributes)
	secondsOfDay     = 24 * 60 * 60
)

func (q *Queue) build(ctx *pulumi.Context, name string, parent pulumi.ResourceOption) error {
	main := q.args.inputs(q.args.Name, q.args.retention())
	main.VisibilityTimeoutSeconds = pulumi.Int(q.args.VisibilityTimeoutSeconds)
	q.DeadLetterArn = pulumi.String("").ToStringOutput()
	if !q.args.NoDeadLetter {
		dead := q.args.inputs(q.args.Name+deadLetterSuffix, longestRetention)
		dead.RedriveAllowPolicy = pulumi.String(canonicalJSON(map[string]any{"redrivePermission": "byQueue", "sourceQueueArns": []string{q.ARN()}}))
		made, err := q.queue(ctx, name+deadLetterSuffix, dead, q.DeadLetterARN(), parent)
		if err != nil {
			return err
		}
		q.DeadLetterArn = made.Arn
		main.RedrivePolicy = made.Arn.ApplyT(func(arn string) string {
			return canonicalJSON(map[string]any{"deadLetterTargetArn": arn, "maxReceiveCount": q.args.receives()})
		}).(pulumi.StringOutput)
	}
	made, err := q.queue(ctx, name, main, q.ARN(), parent)
	if err != nil {
		return err
	}
	q.QueueArn, q.QueueURL = made.Arn, made.Url
	return nil
}

// queue makes one queue and the policy of it.
func (q *Queue) queue(ctx *pulumi.Context, name string, in *sqs.QueueArgs, arn string, parent pulumi.ResourceOption) (*sqs.Queue, error) {
	made, err := sqs.NewQueue(ctx, name, in, parent)
	if err != nil {
		return nil, err
	}
	_, err = sqs.NewQueuePolicy(ctx, name, &sqs.QueuePolicyArgs{QueueUrl: made.Url, Policy: pulumi.String(document([]statement{{
		Sid: "DenyPlainHTTP", Effect: "Deny", Principal: everyone(), Actions: []string{"sqs:*"}, Resources: known(arn), Conditions: []Condition{denyPlainHTTP},
	}}, shapeOf))}, parent)
	return made, err
}

func (a *QueueArgs) inputs(name string, days int) *sqs.QueueArgs {
	return &sqs.QueueArgs{
		Name: pulumi.String(name), KmsMasterKeyId: a.Key.ptr(), KmsDataKeyReusePeriodSeconds: pulumi.Int(300),
		MessageRetentionSeconds: pulumi.Int(days * secondsOfDay), ReceiveWaitTimeSeconds: pulumi.Int(20), Tags: pulumi.ToStringMap(a.Tags),
	}
}

func (a *QueueArgs) retention() int { return orDefault(a.RetentionDays, 4) }

func (a *QueueArgs) receives() int { return orDefault(a.MaxReceives, 5) }

var queuePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,76}$`)

func (a *QueueArgs) check(c *checker) {
	c.pattern("Name", a.Name, queuePattern, "1 to 76 letters, digits or _-", "rename the queue")
	c.key("Key", a.Key)
	c.between("VisibilityTimeoutSeconds", a.VisibilityTimeoutSeconds, 1, 43200, "SQS API, SetQueueAttributes")
	c.between("RetentionDays", a.retention(), 1, longestRetention, "SQS API, SetQueueAttributes")
	c.between("MaxReceives", a.receives(), 1, 1000, "SQS API, SetQueueAttributes")
	if a.NoDeadLetter && a.MaxReceives != 0 {
		c.add("MaxReceives", a.MaxReceives, "must be 0 when NoDeadLetter is set", "remove one of them")
	}
}
