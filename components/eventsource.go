package components

import (
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/scheduler"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// EventSource is what invokes a function with batches: a queue, or the stream
// of a table. Exactly one of Queue and Table is set. The function answers with
// the messages or records that failed; the others are done.
type EventSource struct {
	// Queue is consumed; its visibility timeout must be at least six times the
	// function's timeout, and the batch window more.
	Queue *Queue
	// Table has the stream that is consumed, from its oldest record on.
	Table *EncryptedTable
	// Failures gets what Lambda needs to find the records of a stream that
	// failed for good. Required for a table, refused for a queue, whose
	// messages go to its dead-letter queue.
	Failures *Queue
	// BatchSize is 1 to 10000; 0 means 10 of a queue and 100 of a stream. A
	// queue's above 10 needs a window.
	BatchSize int
	// WindowSeconds is how long a batch is gathered, 0 to 300.
	WindowSeconds int
	// MaxConcurrency bounds the function's instances that a queue uses, 2 to
	// 1000; 0 is no bound. Streams have one for each shard.
	MaxConcurrency int
	// MaxRetries is how often a stream's batch is tried again before it goes to
	// Failures, 1 to 10000; 0 means 10. The batch is halved each time.
	MaxRetries int
	// Filters are event patterns of which a message or record has to match one
	// (Lambda Developer Guide, "Lambda event filtering"); others do not invoke
	// the function. At most 5.
	Filters []string
}

// Schedule invokes a function at times.
type Schedule struct {
	// Name is unique in its function; both together have at most 63 characters. Required.
	Name string
	// Description says what happens then. Required.
	Description string
	// Expression is rate(…), cron(…) or at(…) in UTC (EventBridge Scheduler
	// User Guide, "Schedule types"). Required.
	Expression string
	// Input is the JSON that the function gets. Required.
	Input string
	// Failures gets the invocations that Lambda never took. Required.
	Failures *Queue
}

// streamLabel is the length of a stream's label: 2026-01-01T00:00:00.000.
const streamLabel = 23

func (t *EncryptedTable) streamText() Text {
	return Pending(t.StreamArn, t.ARN()+"/stream/"+unknown(streamLabel))
}

// GrantStream lets a role read the table's stream. What Lambda asks of a
// function's role is in its Developer Guide, "Using AWS Lambda with Amazon
// DynamoDB".
func (t *EncryptedTable) GrantStream() []Grant {
	grants := []Grant{
		{Actions: []string{"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"}, Resources: []Text{t.streamText()}},
		{Actions: []string{"dynamodb:ListStreams"}, Resources: known("*"), Reason: "it has no resource types"},
	}
	if t.args.Stream == "" {
		grants[0].problem = fmt.Sprintf("GrantStream is of the table %q, which has no stream", t.args.Name)
	}
	return append(grants, t.keyGrants("kms:Decrypt")...)
}

func (s EventSource) grants() []Grant {
	switch {
	case s.Queue != nil:
		return s.Queue.GrantConsume()
	case s.Table != nil && s.Failures != nil:
		return append(s.Table.GrantStream(), s.Failures.GrantSend()...)
	default:
		return nil // check has reported it
	}
}

// name is the logical name of the mapping, beside the function's.
func (s EventSource) name() string {
	if s.Queue != nil {
		return s.Queue.args.Name
	}
	return s.Table.args.Name + "-stream"
}

func (s EventSource) inputs(alias pulumi.StringInput) *lambda.EventSourceMappingArgs {
	in := &lambda.EventSourceMappingArgs{
		FunctionName: alias, Enabled: pulumi.Bool(true), BatchSize: pulumi.Int(s.batch()),
		FunctionResponseTypes: pulumi.ToStringArray([]string{"ReportBatchItemFailures"}),
	}
	if s.WindowSeconds > 0 {
		in.MaximumBatchingWindowInSeconds = pulumi.Int(s.WindowSeconds)
	}
	if len(s.Filters) > 0 {
		var filters lambda.EventSourceMappingFilterCriteriaFilterArray
		for _, pattern := range s.Filters {
			filters = append(filters, lambda.EventSourceMappingFilterCriteriaFilterArgs{Pattern: pulumi.String(pattern)})
		}
		in.FilterCriteria = lambda.EventSourceMappingFilterCriteriaArgs{Filters: filters}
	}
	if s.Queue != nil {
		in.EventSourceArn = s.Queue.QueueArn
		if s.MaxConcurrency > 0 {
			in.ScalingConfig = lambda.EventSourceMappingScalingConfigArgs{MaximumConcurrency: pulumi.Int(s.MaxConcurrency)}
		}
		return in
	}
	in.EventSourceArn, in.StartingPosition = s.Table.StreamArn, pulumi.String("TRIM_HORIZON")
	in.BisectBatchOnFunctionError, in.MaximumRetryAttempts = pulumi.Bool(true), pulumi.Int(orDefault(s.MaxRetries, 10))
	in.DestinationConfig = lambda.EventSourceMappingDestinationConfigArgs{
		OnFailure: lambda.EventSourceMappingDestinationConfigOnFailureArgs{DestinationArn: s.Failures.QueueArn},
	}
	return in
}

func (s EventSource) batch() int {
	if s.Queue != nil {
		return orDefault(s.BatchSize, 10)
	}
	return orDefault(s.BatchSize, 100)
}

func (s EventSource) check(c *checker, at string, timeout int) {
	if (s.Queue == nil) == (s.Table == nil) {
		c.add(at, nil, "needs a Queue or a Table, not both", "set one of them")
		return
	}
	c.between(at+".BatchSize", s.batch(), 1, 10000, "Lambda API, CreateEventSourceMapping")
	c.between(at+".WindowSeconds", s.WindowSeconds, 0, 300, "Lambda API, CreateEventSourceMapping")
	if len(s.Filters) > 5 {
		c.add(at+".Filters", len(s.Filters), "at most 5 (Lambda Developer Guide, \"Lambda event filtering\")", "join some")
	}
	for i, pattern := range s.Filters {
		c.json(fmt.Sprintf("%s.Filters[%d]", at, i), pattern, 4096)
	}
	if s.Queue != nil {
		s.checkQueue(c, at, timeout)
		return
	}
	if s.Table.args.Stream == "" {
		c.add(at+".Table", s.Table.args.Name, "has no stream", "set the table's Stream")
	}
	if s.Failures == nil {
		c.add(at+".Failures", nil, "is required for a stream: without it, records that fail are lost", "pass a Queue with NoDeadLetter")
	}
	if s.MaxConcurrency != 0 {
		c.add(at+".MaxConcurrency", s.MaxConcurrency, "is for queues", "remove it")
	}
	c.between(at+".MaxRetries", orDefault(s.MaxRetries, 10), 1, 10000, "Lambda API, CreateEventSourceMapping")
}

func (s EventSource) checkQueue(c *checker, at string, timeout int) {
	if least := 6*timeout + s.WindowSeconds; s.Queue.args.VisibilityTimeoutSeconds < least {
		c.add(at+".Queue", s.Queue.args.VisibilityTimeoutSeconds,
			fmt.Sprintf("its VisibilityTimeoutSeconds must be at least %d, six times the function's timeout and the window", least), "raise it")
	}
	if s.batch() > 10 && s.WindowSeconds == 0 {
		c.add(at+".WindowSeconds", s.WindowSeconds, "must be at least 1 for a batch of more than 10 messages", "set it")
	}
	if s.MaxConcurrency != 0 {
		c.between(at+".MaxConcurrency", s.MaxConcurrency, 2, 1000, "Lambda API, CreateEventSourceMapping")
	}
	if s.Failures != nil {
		c.add(at+".Failures", s.Failures.args.Name, "is for streams: the queue has its dead-letter queue", "remove it")
	}
	if s.MaxRetries != 0 {
		c.add(at+".MaxRetries", s.MaxRetries, "is for streams: the queue has its MaxReceives", "remove it")
	}
}

func (c *checker) json(argument, text string, most int) {
	if !json.Valid([]byte(text)) || len(text) > most {
		c.add(argument, text, fmt.Sprintf("must be JSON of at most %d bytes", most), "mend it")
	}
}

var (
	expressionPattern   = regexp.MustCompile(`^(rate\(([1-9]\d*) (minutes?|hours?|days?)\)|cron\([^()]{11,100}\)|at\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\))$`)
	scheduleNamePattern = regexp.MustCompile(`^[0-9A-Za-z_.-]{1,62}$`)
)

func (s Schedule) check(c *checker, at, function string) {
	c.pattern(at+".Name", s.Name, scheduleNamePattern, "1 to 62 letters, digits or _.-", "rename the schedule")
	if n := len(function + "-" + s.Name); n > 64 {
		c.add(at+".Name", s.Name, fmt.Sprintf("makes a name of %d characters, the limit is 64", n), "shorten it")
	}
	if n := len(s.Description); n == 0 || n > 512 {
		c.add(at+".Description", s.Description, "must have 1 to 512 characters", "say what happens then")
	}
	c.pattern(at+".Expression", s.Expression, expressionPattern, "rate(…), cron(…) or at(…)", `write for example "rate(1 hour)"`)
	c.json(at+".Input", s.Input, 256<<10)
	if s.Failures == nil {
		c.add(at+".Failures", nil, "is required: without it, a time that was missed is lost", "pass a Queue with NoDeadLetter")
	}
}

func (a *LambdaFunctionArgs) checkEvents(c *checker) {
	var sources, schedules []string
	for i, s := range a.Sources {
		s.check(c, fmt.Sprintf("Sources[%d]", i), a.TimeoutSeconds)
		if (s.Queue == nil) != (s.Table == nil) {
			sources = append(sources, s.name())
		}
	}
	for i, s := range a.Schedules {
		s.check(c, fmt.Sprintf("Schedules[%d]", i), a.Name)
		schedules = append(schedules, s.Name)
	}
	c.unique("Sources", sources)
	c.unique("Schedules", schedules)
}

// attach makes the mappings and schedules of a function.
func (f *LambdaFunction) attach(ctx *pulumi.Context, name string, parent pulumi.ResourceOption) error {
	for _, s := range f.args.Sources {
		in := s.inputs(f.AliasArn)
		in.Tags = pulumi.ToStringMap(f.args.Tags)
		if _, err := lambda.NewEventSourceMapping(ctx, name+"-"+s.name(), in, parent, pulumi.DependsOn(f.role.policies)); err != nil {
			return err
		}
	}
	for _, s := range f.args.Schedules {
		if err := f.schedule(ctx, name+"-"+s.Name, s, parent); err != nil {
			return err
		}
	}
	return nil
}

// schedule makes a schedule with a role of its own, which only the scheduler's
// default group in this account can assume.
func (f *LambdaFunction) schedule(ctx *pulumi.Context, name string, s Schedule, parent pulumi.ResourceOption) error {
	a := f.args
	role, err := NewLeastPrivilegeRole(ctx, name, &LeastPrivilegeRoleArgs{
		Place: a.Place, Tags: a.Tags, Name: a.Name + "-" + s.Name, Description: "Invokes " + a.Name + ": " + s.Name,
		Service: "scheduler.amazonaws.com", SourceARNs: []string{a.Place.ARN("scheduler", "schedule-group/default")}, Boundary: a.Boundary,
		Grants: append(s.Failures.GrantSend(), Grant{Actions: []string{"lambda:InvokeFunction"}, Resources: known(f.LiveARN())}),
	}, parent)
	if err != nil {
		return err
	}
	_, err = scheduler.NewSchedule(ctx, name, &scheduler.ScheduleArgs{
		Name: pulumi.String(a.Name + "-" + s.Name), Description: pulumi.String(s.Description), GroupName: pulumi.String("default"),
		ScheduleExpression: pulumi.String(s.Expression), ScheduleExpressionTimezone: pulumi.String("UTC"), State: pulumi.String("ENABLED"),
		FlexibleTimeWindow: scheduler.ScheduleFlexibleTimeWindowArgs{Mode: pulumi.String("OFF")},
		Target: scheduler.ScheduleTargetArgs{
			Arn: f.AliasArn, RoleArn: role.RoleArn, Input: pulumi.String(s.Input),
			DeadLetterConfig: scheduler.ScheduleTargetDeadLetterConfigArgs{Arn: s.Failures.QueueArn},
			RetryPolicy:      scheduler.ScheduleTargetRetryPolicyArgs{MaximumEventAgeInSeconds: pulumi.Int(3600), MaximumRetryAttempts: pulumi.Int(10)},
		},
	}, parent, pulumi.DependsOn(role.policies))
	return err
}
