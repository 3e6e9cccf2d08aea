package components_test

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/components"
	"github.com/expenzez/aws-backend/components/componenttest"
)

const (
	mappingType  = "aws:lambda/eventSourceMapping:EventSourceMapping"
	scheduleType = "aws:scheduler/schedule:Schedule"
)

// events is what event sources are made of.
type events struct {
	jobs     *components.Queue
	failures *components.Queue
	orders   *components.EncryptedTable
	silent   *components.EncryptedTable // without a stream
}

func newEvents(ctx *pulumi.Context) (events, error) {
	var e events
	var err error
	if e.jobs, err = components.NewQueue(ctx, componenttest.Needed+"-jobs", &components.QueueArgs{Place: place(), Name: "jobs", Key: key(), VisibilityTimeoutSeconds: 65}); err != nil {
		return e, err
	}
	if e.failures, err = components.NewQueue(ctx, componenttest.Needed+"-failures", &components.QueueArgs{
		Place: place(), Name: "failures", Key: key(), VisibilityTimeoutSeconds: 60, NoDeadLetter: true}); err != nil {
		return e, err
	}
	if e.orders, err = components.NewEncryptedTable(ctx, componenttest.Needed+"-orders", &components.EncryptedTableArgs{
		Place: place(), Name: "orders", Key: key(), HashKey: components.TableKey{Name: "pk"}, Stream: "NEW_AND_OLD_IMAGES"}); err != nil {
		return e, err
	}
	e.silent, err = components.NewEncryptedTable(ctx, componenttest.Needed+"-silent", &components.EncryptedTableArgs{
		Place: place(), Name: "silent", Key: key(), HashKey: components.TableKey{Name: "pk"}})
	return e, err
}

// worker is a function of ten seconds with event sources.
func worker(change func(*components.LambdaFunctionArgs, events)) componenttest.Build {
	return func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		e, err := newEvents(ctx)
		if err != nil {
			return nil, err
		}
		return functionBuild(func(a *components.LambdaFunctionArgs) { change(a, e) })(ctx, name, opts...)
	}
}

func nightly(e events) components.Schedule {
	return components.Schedule{Name: "nightly", Description: "Cleans up", Expression: "cron(0 3 * * ? *)", Input: `{}`, Failures: e.failures}
}

func TestEventSourcesOfAFunction(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		_, err := worker(func(a *components.LambdaFunctionArgs, e events) {
			a.Sources = []components.EventSource{
				{Queue: e.jobs, MaxConcurrency: 5, WindowSeconds: 5},
				{Table: e.orders, Failures: e.failures, Filters: []string{`{"eventName":["INSERT"]}`}},
			}
			a.Schedules = []components.Schedule{nightly(e)}
		})(ctx, "worker")
		return err
	})
	byName := map[string]map[string]any{}
	for _, m := range r.OfType(mappingType) {
		byName[m.Name] = m.Inputs
	}
	require.Len(t, byName, 2)
	const live = "arn:aws:lambda:eu-west-2:111122223333:function:expenzez-test-api:live"
	queue, stream := byName["worker-jobs"], byName["worker-orders-stream"]
	for _, m := range byName {
		assert.Equal(t, live, m["functionName"], "the alias, so that a new version takes over with it")
		assert.Equal(t, []any{"ReportBatchItemFailures"}, m["functionResponseTypes"])
	}
	assert.Equal(t, jobsARN, queue["eventSourceArn"])
	assert.Equal(t, 10.0, queue["batchSize"])
	assert.Equal(t, map[string]any{"maximumConcurrency": 5.0}, queue["scalingConfig"])
	assert.Nil(t, queue["startingPosition"])
	assert.Equal(t, "arn:aws:dynamodb:eu-west-2:111122223333:table/orders/stream/2026-01-01T00:00:00.000", stream["eventSourceArn"])
	assert.Equal(t, 100.0, stream["batchSize"])
	assert.Equal(t, "TRIM_HORIZON", stream["startingPosition"], "nothing that was written before the first deployment ended is lost")
	assert.Equal(t, true, stream["bisectBatchOnFunctionError"])
	assert.Equal(t, 10.0, stream["maximumRetryAttempts"])
	assert.Equal(t, map[string]any{"onFailure": map[string]any{"destinationArn": "arn:aws:sqs:eu-west-2:111122223333:failures"}}, stream["destinationConfig"])

	s := only(t, r, scheduleType)
	assert.Equal(t, "expenzez-test-api-nightly", s.Inputs["name"])
	target, _ := s.Inputs["target"].(map[string]any)
	assert.Equal(t, live, target["arn"])
	assert.Equal(t, map[string]any{"arn": "arn:aws:sqs:eu-west-2:111122223333:failures"}, target["deadLetterConfig"])
}

// Each role may do what its part needs, on exact resources.
func TestEventSourcesGrantsAreExact(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		_, err := worker(func(a *components.LambdaFunctionArgs, e events) {
			a.Sources = []components.EventSource{{Queue: e.jobs}, {Table: e.orders, Failures: e.failures}}
			a.Schedules = []components.Schedule{nightly(e)}
		})(ctx, "worker")
		return err
	})
	policies := map[string]string{}
	for _, p := range r.OfType("aws:iam/rolePolicy:RolePolicy") {
		policies[p.Name], _ = p.Inputs["policy"].(string)
	}
	function := policies["worker"]
	for _, want := range []string{
		`{"Action":["sqs:ChangeMessageVisibility","sqs:DeleteMessage","sqs:GetQueueAttributes","sqs:ReceiveMessage"],"Effect":"Allow","Resource":["` + jobsARN + `"]}`,
		`{"Action":["dynamodb:DescribeStream","dynamodb:GetRecords","dynamodb:GetShardIterator"],"Effect":"Allow","Resource":["arn:aws:dynamodb:eu-west-2:111122223333:table/orders/stream/2026-01-01T00:00:00.000"]}`,
		`{"Action":["dynamodb:ListStreams"],"Effect":"Allow","Resource":["*"]}`,
		`{"Action":["sqs:SendMessage"],"Effect":"Allow","Resource":["arn:aws:sqs:eu-west-2:111122223333:failures"]}`,
	} {
		assert.Contains(t, function, want)
	}
	schedule := policies["worker-nightly"]
	assert.Contains(t, schedule, `{"Action":["lambda:InvokeFunction"],"Effect":"Allow","Resource":["arn:aws:lambda:eu-west-2:111122223333:function:expenzez-test-api:live"]}`)
	assert.NotContains(t, schedule, "dynamodb")
	for _, role := range r.OfType("aws:iam/role:Role") {
		if role.Name == "worker-nightly" {
			assert.Contains(t, role.Inputs["assumeRolePolicy"], `"aws:SourceArn":["arn:aws:scheduler:eu-west-2:111122223333:schedule-group/default"]`)
		}
	}
}

func TestEventSourcesAreRefused(t *testing.T) {
	t.Parallel()
	type args = components.LambdaFunctionArgs
	source := func(change func(*components.EventSource, events)) func(*args, events) {
		return func(a *args, e events) {
			s := components.EventSource{Queue: e.jobs}
			change(&s, e)
			a.Sources = []components.EventSource{s}
		}
	}
	stream := func(change func(*components.EventSource, events)) func(*args, events) {
		return source(func(s *components.EventSource, e events) {
			*s = components.EventSource{Table: e.orders, Failures: e.failures}
			change(s, e)
		})
	}
	schedule := func(change func(*components.Schedule)) func(*args, events) {
		return func(a *args, e events) {
			s := nightly(e)
			change(&s)
			a.Schedules = []components.Schedule{s}
		}
	}
	cases := map[string]struct {
		change func(*args, events)
		want   string
	}{
		"neither":              {source(func(s *components.EventSource, _ events) { s.Queue = nil }), "Sources[0] = "},
		"both":                 {source(func(s *components.EventSource, e events) { s.Table = e.orders }), "Sources[0] = "},
		"twice":                {func(a *args, e events) { a.Sources = []components.EventSource{{Queue: e.jobs}, {Queue: e.jobs}} }, "must be unique"},
		"visibility too short": {func(a *args, e events) { a.TimeoutSeconds = 11; a.Sources = []components.EventSource{{Queue: e.jobs}} }, "VisibilityTimeoutSeconds must be at least 66"},
		"window not covered":   {source(func(s *components.EventSource, _ events) { s.WindowSeconds = 6 }), "VisibilityTimeoutSeconds must be at least 66"},
		"large without window": {source(func(s *components.EventSource, _ events) { s.BatchSize = 11 }), "Sources[0].WindowSeconds"},
		"batch too large":      {stream(func(s *components.EventSource, _ events) { s.BatchSize = 10001 }), "Sources[0].BatchSize"},
		"window too long":      {stream(func(s *components.EventSource, _ events) { s.WindowSeconds = 301 }), "Sources[0].WindowSeconds"},
		"concurrency of one":   {source(func(s *components.EventSource, _ events) { s.MaxConcurrency = 1 }), "Sources[0].MaxConcurrency"},
		"queue with failures":  {source(func(s *components.EventSource, e events) { s.Failures = e.failures }), "is for streams"},
		"queue with retries":   {source(func(s *components.EventSource, _ events) { s.MaxRetries = 3 }), "is for streams"},
		"filter no JSON":       {source(func(s *components.EventSource, _ events) { s.Filters = []string{"{"} }), "Sources[0].Filters[0]"},
		"filters too many":     {source(func(s *components.EventSource, _ events) { s.Filters = strings.Split("{},{},{},{},{},{}", ",") }), "Sources[0].Filters"},
		"no stream":            {stream(func(s *components.EventSource, e events) { s.Table = e.silent }), "has no stream"},
		"nowhere to fail to":   {stream(func(s *components.EventSource, _ events) { s.Failures = nil }), "records that fail are lost"},
		"stream concurrency":   {stream(func(s *components.EventSource, _ events) { s.MaxConcurrency = 2 }), "is for queues"},
		"retries negative":     {stream(func(s *components.EventSource, _ events) { s.MaxRetries = -1 }), "Sources[0].MaxRetries"},
		"schedule name":        {schedule(func(s *components.Schedule) { s.Name = "a b" }), "Schedules[0].Name"},
		"schedule name long":   {schedule(func(s *components.Schedule) { s.Name = long(47) }), "makes a name of 65 characters"},
		"no description":       {schedule(func(s *components.Schedule) { s.Description = "" }), "Schedules[0].Description"},
		"expression":           {schedule(func(s *components.Schedule) { s.Expression = "daily" }), "Schedules[0].Expression"},
		"rate of zero":         {schedule(func(s *components.Schedule) { s.Expression = "rate(0 hours)" }), "Schedules[0].Expression"},
		"input no JSON":        {schedule(func(s *components.Schedule) { s.Input = "now" }), "Schedules[0].Input"},
		"schedule fails away":  {schedule(func(s *components.Schedule) { s.Failures = nil }), "a time that was missed is lost"},
		"schedule twice":       {func(a *args, e events) { a.Schedules = []components.Schedule{nightly(e), nightly(e)} }, "must be unique"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := componenttest.Record(func(ctx *pulumi.Context) error {
				_, err := worker(c.change)(ctx, "worker")
				return err
			})
			require.ErrorContains(t, err, c.want)
			assert.Empty(t, r.OfType(functionType), "nothing is registered for arguments that are wrong")
		})
	}
}

func TestGrantStreamNeedsAStream(t *testing.T) {
	t.Parallel()
	_, err := componenttest.Record(func(ctx *pulumi.Context) error {
		e, err := newEvents(ctx)
		if err != nil {
			return err
		}
		_, err = roleWith(ctx, e.silent.GrantStream()...)
		return err
	})
	require.ErrorContains(t, err, `the table "silent", which has no stream`)
}
