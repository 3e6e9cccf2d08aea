package events

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/deployment"
)

// Every setting that would change something and is not known is an error of New, all at once.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	q, dead := deployedQueue("q", ""), deployedQueue("dead", "")
	filters := func(pattern string) m { return m{"filterCriteria": m{"filters": []any{m{"pattern": pattern}}}} }
	for name, tc := range map[string]struct {
		r    deployment.Resource
		want []string
	}{
		"unknown settings of a queue":   {queueMapping("q", m{"tumblingWindowInSeconds": 5.0, "provisionedPollerConfig": m{}}), []string{"tumblingWindowInSeconds is not known here", "provisionedPollerConfig is not known here"}},
		"a stream's settings":           {queueMapping("q", m{"startingPosition": "LATEST", "bisectBatchOnFunctionError": true}), []string{"startingPosition is not known here", "bisectBatchOnFunctionError"}},
		"a queue's settings":            {streamMapping(memoryARN, m{"scalingConfig": m{"maximumConcurrency": 2.0}}), []string{"scalingConfig is not known here"}},
		"unknown inner setting":         {queueMapping("q", m{"scalingConfig": m{"minimum": 2.0}}), []string{"scalingConfig.minimum is not known here"}},
		"unknown setting of a filter":   {queueMapping("q", m{"filterCriteria": m{"filters": []any{m{"pattern": "{}", "name": "n"}}}}), []string{"filterCriteria.filters.name is not known here"}},
		"queue that is not deployed":    {queueMapping("ghost", nil), []string{"ghost\" is no deployed standard queue"}},
		"another source":                {queueMapping("q", m{"eventSourceArn": "arn:aws:kinesis:eu-west-2:111122223333:stream/s"}), []string{"neither a queue nor a stream"}},
		"no source":                     {queueMapping("q", m{"eventSourceArn": ""}), []string{"neither a queue nor a stream"}},
		"batch size":                    {queueMapping("q", m{"batchSize": 0.0}), []string{"batchSize is 0: 1 to 10000"}},
		"no batch size":                 {queueMapping("q", m{"batchSize": nil}), []string{"batchSize is 0"}},
		"large batch":                   {queueMapping("q", m{"batchSize": 11.0}), []string{"needs maximumBatchingWindowInSeconds"}},
		"window":                        {queueMapping("q", m{"maximumBatchingWindowInSeconds": 301.0}), []string{"maximumBatchingWindowInSeconds is 301"}},
		"concurrency":                   {queueMapping("q", m{"scalingConfig": m{"maximumConcurrency": 1.0}}), []string{"scalingConfig.maximumConcurrency is 1"}},
		"hidden setting":                {queueMapping("q", m{"filterCriteria": deployment.Secret{}}), []string{"filterCriteria is a secret and cannot be read"}},
		"hidden destination":            {streamMapping(memoryARN, m{"destinationConfig": m{"onFailure": m{"destinationArn": deployment.Secret{}}}}), []string{"destinationConfig.onFailure.destinationArn is a secret"}},
		"no list of filters":            {queueMapping("q", m{"filterCriteria": m{"filters": "x"}}), []string{"filterCriteria.filters is no list"}},
		"no list of types":              {queueMapping("q", m{"functionResponseTypes": "ReportBatchItemFailures"}), []string{"functionResponseTypes is no list"}},
		"response type":                 {queueMapping("q", m{"functionResponseTypes": []any{"Report"}}), []string{"functionResponseTypes has Report"}},
		"filter's rule":                 {queueMapping("q", filters(`{"body":{"a":[{"wildcard":"*"}]}}`)), []string{`the operator "wildcard" is not known here`}},
		"filter of what is not seen":    {queueMapping("q", filters(`{"messageAttributes":{"a":["x"]}}`)), []string{`a filter of "messageAttributes": filters see body here`}},
		"filter of what a stream has":   {streamMapping(memoryARN, filters(`{"$or":[{"eventID":["1"]}]}`)), []string{`a filter of "eventID"`}},
		"position":                      {streamMapping(memoryARN, m{"startingPosition": "AT_TIMESTAMP"}), []string{`startingPosition is "AT_TIMESTAMP"`}},
		"parallel":                      {streamMapping(memoryARN, m{"parallelizationFactor": 2.0}), []string{"parallelizationFactor is 2"}},
		"retries":                       {streamMapping(memoryARN, m{"maximumRetryAttempts": 10001.0}), []string{"maximumRetryAttempts is 10001"}},
		"age":                           {streamMapping(memoryARN, m{"maximumRecordAgeInSeconds": 1e9}), []string{"maximumRecordAgeInSeconds"}},
		"destination that is no queue":  {streamMapping(memoryARN, m{"destinationConfig": m{"onFailure": m{"destinationArn": "arn:aws:sns:eu-west-2:111122223333:t"}}}), []string{"is no deployed queue"}},
		"unknown setting of a schedule": {deployedSchedule(m{"startDate": "2026-01-01T00:00:00Z", "kmsKeyArn": "k", "endDate": nil}), []string{"startDate is not known here", "kmsKeyArn is not known here"}},
		"unknown setting of a target":   {deployedSchedule(m{"target": m{"sqsParameters": m{}}}), []string{"target.sqsParameters is not known here"}},
		"schedule's expression":         {deployedSchedule(m{"scheduleExpression": "cron(0 3 * * * *)"}), []string{"exactly one of day-of-month and day-of-week"}},
		"schedule's zone":               {deployedSchedule(m{"scheduleExpressionTimezone": "Nowhere"}), []string{`the time zone "Nowhere"`}},
		"schedule's window":             {deployedSchedule(m{"flexibleTimeWindow": m{"mode": "FLEXIBLE", "maximumWindowInMinutes": 5.0}}), []string{"flexibleTimeWindow.mode", "maximumWindowInMinutes is not known here"}},
		"schedule's group and state":    {deployedSchedule(m{"groupName": "g", "state": "PAUSED"}), []string{"groupName", "state is"}},
		"schedule's input":              {deployedSchedule(m{"target": m{"input": "hello"}}), []string{"target.input is no JSON"}},
		"no input":                      {deployedSchedule(m{"target": m{"input": nil}}), []string{"target.input is no JSON"}},
		"schedule's function and role":  {deployedSchedule(m{"target": m{"arn": arns + "ghost:live", "roleArn": nil}}), []string{"is not deployed", "roleArn is empty"}},
		"schedule's policy":             {deployedSchedule(m{"target": m{"retryPolicy": m{"maximumRetryAttempts": 186.0, "maximumEventAgeInSeconds": 59.0}}}), []string{"maximumRetryAttempts is 186", "maximumEventAgeInSeconds is 59"}},
		"schedule's dead-letter queue":  {deployedSchedule(m{"target": m{"deadLetterConfig": m{"arn": queueARN("ghost")}}}), []string{"its dead-letter queue"}},
		"function that is not deployed": {resource(typeMapping, "m", m{"eventSourceArn": queueARN("q"), "batchSize": 1.0}, m{"functionArn": arns + "ghost:live"}), []string{`its function "` + arns + `ghost:live" is not deployed with a role`}},
		"several faults of one mapping": {queueMapping("ghost", m{"batchSize": 0.0, "functionResponseTypes": []any{"x"}, "qualifier": "q"}), []string{"batchSize", "functionResponseTypes", "no deployed standard queue", "qualifier is not known here"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := nowhere(t)
			cfg.Deployment = deployed(q, dead, tc.r, queueMapping("other", m{"batchSize": -3.0}))
			_, err := New(cfg)
			for _, want := range tc.want {
				require.ErrorContains(t, err, want)
			}
			require.ErrorContains(t, err, "event source other: ", "every resource is looked at")
		})
	}
	cfg := nowhere(t)
	cfg.Deployment = deployed(deployedSchedule(nil), deployedSchedule(nil))
	_, err := New(cfg)
	require.ErrorContains(t, err, "its name is taken by another")
}

func TestDisabledMappingIsNotRead(t *testing.T) {
	t.Parallel()
	cfg := nowhere(t)
	cfg.Deployment = deployed(queueMapping("ghost", m{"enabled": false, "batchSize": 0.0}))
	d, err := New(cfg)
	require.NoError(t, err)
	require.Empty(t, d.queues)
	d.Start()
	d.Start()
	require.NoError(t, d.Close())
}

func TestNothingToReadIsNoWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := nowhere(t)
		cfg.Deployment = deployed()
		d, err := New(cfg)
		require.NoError(t, err)
		start := time.Now()
		d.Start()
		require.NoError(t, d.Close())
		require.Equal(t, start, time.Now())
		require.Equal(t, Status{}, d.Status(t.Context()))
	})
}

func TestUnreadableQueueShowsNoDepth(t *testing.T) {
	t.Parallel()
	c := cloud(t)
	ghost := unique("ghost")
	d := running(t, c, deployed(deployedQueue(ghost, ""), queueMapping(ghost, nil)), &consumer{})
	eventually(t, "the trouble shows", func() bool { return d.Status(t.Context()).Queues[0].Error != "" })
	s := d.Status(t.Context()).Queues[0]
	require.Contains(t, s.Error, "cannot be read")
	require.Equal(t, -1, s.Waiting)
	require.Equal(t, -1, s.DeadLetters)
}
