package provider

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/stretchr/testify/require"
)

func TestQueuesAndSourcesRefuse(t *testing.T) {
	t.Parallel()
	stream := bag{"eventSourceArn": text("arn:aws:dynamodb:eu-central-1:210987654321:table/t/stream/2026-01-01T00:00:00.000"), "startingPosition": text("LATEST")}
	target := func(change bag) bag {
		return bag{"target": object(with(getBag(valid(t, typeSchedule), "target"), change))}
	}
	for _, tc := range []struct {
		name, token string
		change      bag
		want        string
	}{
		{"fifo name", typeQueue, bag{"name": text("jobs.fifo")}, "is not letters, digits, - and _"},
		{"name too long", typeQueue, bag{"name": long(81)}, "name has 81 characters"},
		{"visibility too long", typeQueue, bag{"visibilityTimeoutSeconds": number(43201)}, "visibilityTimeoutSeconds is 43201"},
		{"retention too short", typeQueue, bag{"messageRetentionSeconds": number(59)}, "messageRetentionSeconds is 59"},
		{"wait too long", typeQueue, bag{"receiveWaitTimeSeconds": number(21)}, "receiveWaitTimeSeconds is 21"},
		{"two keys", typeQueue, bag{"kmsMasterKeyId": text("alias/aws/sqs"), "sqsManagedSseEnabled": boolean(true)}, "conflicts with"},
		{"redrive without target", typeQueue, bag{"redrivePolicy": text(`{"maxReceiveCount":5}`)}, "deadLetterTargetArn"},
		{"redrive count", typeQueue, bag{"redrivePolicy": text(`{"deadLetterTargetArn":"arn:aws:sqs:eu-central-1:210987654321:d","maxReceiveCount":1001}`)}, "maxReceiveCount, 1 to 1000"},
		{"redrive typo", typeQueue, bag{"redrivePolicy": text(`{"deadLetterTargetARN":"arn:aws:sqs:eu-central-1:210987654321:d","maxReceiveCounts":1}`)}, "must be an object"},
		{"redrive allow", typeQueue, bag{"redriveAllowPolicy": text(`{"redrivePermission":"byQueue"}`)}, "1 to 10 sourceQueueArns"},
		{"policy without principal", typeQueuePolicy, bag{"policy": allow("sqs:*", "*")}, "exactly one of Principal and NotPrincipal"},
		{"source of another service", typeEventSource, bag{"eventSourceArn": text("arn:aws:kinesis:eu-central-1:210987654321:stream/s")}, "reads no others"},
		{"stream without position", typeEventSource, with(stream, bag{"startingPosition": null()}), "startingPosition is required for a stream"},
		{"position of Kinesis", typeEventSource, with(stream, bag{"startingPosition": text("AT_TIMESTAMP")}), "do not have"},
		{"age too short", typeEventSource, with(stream, bag{"maximumRecordAgeInSeconds": number(59)}), "use -1 for no end"},
		{"concurrency of a stream", typeEventSource, with(stream, bag{"scalingConfig": object(bag{"maximumConcurrency": number(2)})}), "is for queues only"},
		{"concurrency of one", typeEventSource, bag{"scalingConfig": object(bag{"maximumConcurrency": number(1)})}, "AWS allows 2 to 1000"},
		{"position of a queue", typeEventSource, bag{"startingPosition": text("LATEST")}, "is for streams only"},
		{"bisect of a queue", typeEventSource, bag{"bisectBatchOnFunctionError": boolean(true)}, "is for streams only"},
		{"large batch without window", typeEventSource, bag{"batchSize": number(11)}, "must be at least 1 for a batch"},
		{"response type", typeEventSource, bag{"functionResponseTypes": texts("Report")}, "is not one of"},
		{"pattern", typeEventSource, bag{"filterCriteria": object(bag{"filters": list(object(bag{"pattern": text("{")}))})}, "is not JSON"},
		{"expression", typeSchedule, bag{"scheduleExpression": text("every day")}, "use rate(…), cron(…) or at(…)"},
		{"no window", typeSchedule, bag{"flexibleTimeWindow": null()}, "flexibleTimeWindow is required"},
		{"no role", typeSchedule, target(bag{"roleArn": null()}), "target.roleArn is required"},
		{"retries", typeSchedule, target(bag{"retryPolicy": object(bag{"maximumRetryAttempts": number(186)})}), "AWS allows 0 to 185"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, _ := recorder(t)
			_, failures := c.check(tc.token, "subject", nil, with(valid(t, tc.token), tc.change))
			require.NotEmpty(t, failures)
			require.Contains(t, failures[0], tc.want)
		})
	}
}

func TestQueueLives(t *testing.T) {
	t.Parallel()
	c, s, behind := live(t)
	key := c.mustCreate(typeKmsKey, "key", bag{})
	deadIn := bag{"name": text("lives-dlq"), "messageRetentionSeconds": number(1209600),
		"redriveAllowPolicy": text(`{"redrivePermission":"byQueue","sourceQueueArns":["arn:aws:sqs:eu-central-1:210987654321:lives"]}`)}
	dead := c.mustCreate(typeQueue, "dead", deadIn)
	c.steady(dead, deadIn)
	require.Equal(t, "arn:aws:sqs:eu-central-1:210987654321:lives-dlq", getText(dead.out, "arn"))
	require.Equal(t, "https://sqs.eu-central-1.amazonaws.com/210987654321/lives-dlq", dead.id)
	redrivePolicy := text(`{"deadLetterTargetArn":"arn:aws:sqs:eu-central-1:210987654321:lives-dlq","maxReceiveCount":5}`)
	in := bag{"name": text("lives"), "kmsMasterKeyId": key.out["arn"], "visibilityTimeoutSeconds": number(90), "redrivePolicy": redrivePolicy, "tags": object(bag{"A": text("1")})}
	queue := c.mustCreate(typeQueue, "queue", in)
	c.steady(queue, in)
	policyIn := with(valid(t, typeQueuePolicy), bag{"queueUrl": text(queue.id)})
	policy := c.mustCreate(typeQueuePolicy, "policy", policyIn)
	c.steady(policy, policyIn)
	c.steady(queue, in)

	in = with(in, bag{"visibilityTimeoutSeconds": number(120), "redrivePolicy": null(), "tags": object(bag{"B": text("2")})})
	queue = c.mustUpdate(queue, in)
	c.steady(queue, in)
	require.Equal(t, []string{"name"}, c.diff(queue, with(in, bag{"name": text("other")})).GetReplaces())

	_, err := behind.queues.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &queue.id, Attributes: map[string]string{"VisibilityTimeout": "7"}})
	require.NoError(t, err)
	drifted, found := c.read(queue)
	require.True(t, found)
	require.Contains(t, c.diff(drifted, in).GetDetailedDiff(), "visibilityTimeoutSeconds")

	_, err = c.create(typeQueue, "again", bag{"name": text("lives")})
	require.ErrorContains(t, err, "QueueAlreadyExists")
	_, err = c.create(typeQueue, "nowhere", bag{"name": text("lives-2"), "redrivePolicy": text(`{"deadLetterTargetArn":"arn:aws:sqs:eu-central-1:210987654321:none","maxReceiveCount":5}`)})
	require.ErrorContains(t, err, "Dead letter target does not exist")
	_, err = c.create(typeQueue, "keyless", bag{"name": text("lives-3"), "kmsMasterKeyId": text("arn:aws:kms:eu-central-1:210987654321:key/00000000-0000-4000-8000-000000000000")})
	require.ErrorContains(t, err, "does not exist")
	_, err = c.create(typeQueuePolicy, "of nothing", with(policyIn, bag{"queueUrl": text(queue.id + "-none")}))
	require.ErrorContains(t, err, "QueueDoesNotExist")

	require.NoError(t, c.remove(policy))
	_, found = c.read(policy)
	require.False(t, found)
	for _, q := range []made{queue, dead} {
		require.NoError(t, c.remove(q))
		_, found = c.read(q)
		require.False(t, found)
	}
	require.NoError(t, c.remove(key))
	require.Empty(t, s.Resources())
	left, err := behind.queues.ListQueues(t.Context(), &sqs.ListQueuesInput{QueueNamePrefix: aws.String("lives")})
	require.NoError(t, err)
	require.Empty(t, left.QueueUrls)
}

// consumer is a function that may read a queue, and the queue.
func consumer(t *testing.T, c client) (queue made, role made) {
	t.Helper()
	queue = c.mustCreate(typeQueue, "queue", bag{"name": text("source-" + t.Name()), "visibilityTimeoutSeconds": number(90)})
	role = c.mustCreate(typeRole, "role", valid(t, typeRole))
	c.mustCreate(typeRolePolicy, "grants", with(valid(t, typeRolePolicy), bag{"policy": text(policyText(
		`{"Effect":"Allow","Action":["sqs:ReceiveMessage","sqs:DeleteMessage","sqs:GetQueueAttributes"],"Resource":"` + getText(queue.out, "arn") + `"}`))}))
	c.mustCreate(typeFunction, "function", with(valid(t, typeFunction), bag{"role": role.out["arn"], "publish": boolean(true)}))
	c.mustCreate(typeFunctionAlias, "alias", valid(t, typeFunctionAlias))
	return queue, role
}

func TestEventSourceLives(t *testing.T) {
	t.Parallel()
	c, _, _ := live(t)
	queue, _ := consumer(t, c)
	in := with(valid(t, typeEventSource), bag{"eventSourceArn": queue.out["arn"]})
	mapping := c.mustCreate(typeEventSource, "mapping", in)
	require.Regexp(t, `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, mapping.id)
	require.Equal(t, "arn:aws:lambda:eu-central-1:210987654321:function:auth:live", getText(mapping.out, "functionArn"))
	require.InDelta(t, 10, getNumber(mapping.out, "batchSize"), 0)
	c.steady(mapping, in)
	in = with(in, bag{"batchSize": number(5), "scalingConfig": object(bag{"maximumConcurrency": number(2)})})
	mapping = c.mustUpdate(mapping, in)
	c.steady(mapping, in)
	require.Equal(t, []string{"eventSourceArn"}, c.diff(mapping, with(in, bag{"eventSourceArn": text("arn:aws:sqs:eu-central-1:210987654321:other")})).GetReplaces())

	for name, tc := range map[string]struct {
		change bag
		want   string
	}{
		"twice":       {bag{}, "ResourceConflictException"},
		"no queue":    {bag{"eventSourceArn": text("arn:aws:sqs:eu-central-1:210987654321:none")}, "NonExistentQueue"},
		"no function": {bag{"functionName": text("ghost:live")}, "Function not found"},
		"no alias":    {bag{"functionName": text("auth:dead")}, "Function not found"},
	} {
		_, err := c.create(typeEventSource, name, with(in, tc.change))
		require.ErrorContains(t, err, tc.want, name)
	}

	hasty := c.mustCreate(typeQueue, "hasty", bag{"name": text("hasty"), "visibilityTimeoutSeconds": number(1)})
	_, err := c.create(typeEventSource, "hasty", with(in, bag{"eventSourceArn": hasty.out["arn"]}))
	require.ErrorContains(t, err, "Queue visibility timeout: 1 seconds is less than Function timeout: 3 seconds")
	foreign := c.mustCreate(typeQueue, "foreign", bag{"name": text("foreign"), "visibilityTimeoutSeconds": number(90)})
	_, err = c.create(typeEventSource, "foreign", with(in, bag{"eventSourceArn": foreign.out["arn"]}))
	require.ErrorContains(t, err, "does not have permissions to call sqs:ReceiveMessage")
	require.NoError(t, c.remove(mapping))
}

func TestScheduleLives(t *testing.T) {
	t.Parallel()
	c, _, _ := live(t)
	_, role := consumer(t, c)
	invoker := c.mustCreate(typeRole, "invoker", with(valid(t, typeRole), bag{"name": text("invoker"), "assumeRolePolicy": trust("scheduler.amazonaws.com")}))
	in := valid(t, typeSchedule)
	target := getBag(in, "target")
	in = with(in, bag{"target": object(with(target, bag{"roleArn": invoker.out["arn"]}))})
	made := c.mustCreate(typeSchedule, "nightly", in)
	require.Equal(t, "default/nightly", made.id)
	require.Equal(t, "arn:aws:scheduler:eu-central-1:210987654321:schedule/default/nightly", getText(made.out, "arn"))
	c.steady(made, in)
	in = with(in, bag{"scheduleExpression": text("cron(0 3 * * ? *)")})
	made = c.mustUpdate(made, in)
	c.steady(made, in)

	for name, tc := range map[string]struct {
		change bag
		want   string
	}{
		"again":         {bag{}, "ConflictException"},
		"group":         {bag{"name": text("b"), "groupName": text("ghosts")}, "Schedule group ghosts does not exist"},
		"wrong role":    {bag{"name": text("c"), "target": object(with(target, bag{"roleArn": role.out["arn"]}))}, "must allow AWS EventBridge Scheduler to assume"},
		"no role":       {bag{"name": text("d"), "target": object(target)}, "must allow AWS EventBridge Scheduler to assume"},
		"no function":   {bag{"name": text("e"), "target": object(with(target, bag{"arn": text("arn:aws:lambda:eu-central-1:210987654321:function:ghost")}))}, "Function not found"},
		"no lambda":     {bag{"name": text("f"), "target": object(with(target, bag{"arn": text("arn:aws:sqs:eu-central-1:210987654321:q")}))}, "invokes no other targets"},
		"dead letters?": {bag{"name": text("g"), "target": object(with(target, bag{"roleArn": invoker.out["arn"], "deadLetterConfig": object(bag{"arn": text("arn:aws:sqs:eu-central-1:210987654321:none")})}))}, "dead-letter queue"},
	} {
		_, err := c.create(typeSchedule, name, with(in, tc.change))
		require.ErrorContains(t, err, tc.want, name)
	}
}
