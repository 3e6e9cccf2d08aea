package events

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/local/lambda"
)

// Each row of the table is shown by the test of its name, and each test is of a row.
func TestDifferences(t *testing.T) {
	t.Parallel()
	proofs := map[string]func(*testing.T){
		"queue Concurrency": func(t *testing.T) {
			d, _ := onMemory(t, nil, &consumer{})
			require.Equal(t, 5, cap(d.queues[0].slots))
			d, _ = onMemory(t, m{"scalingConfig": m{"maximumConcurrency": 1000.0}}, &consumer{})
			require.Equal(t, 1000, cap(d.queues[0].slots))
		},
		"queue Sender": func(t *testing.T) {
			c := cloud(t)
			name, _ := makeQueue(t, c, "60", "", 0)
			send(t, c, name, "by the operator")
			require.NotContains(t, receive(t, c, name)[0].Attributes["SenderId"], "operator")
		},
		"queue Stop": func(t *testing.T) {
			f := &consumer{answer: func(ctx context.Context, _ int, _ string) (lambda.Result, error) {
				<-ctx.Done()
				return lambda.Result{}, ctx.Err()
			}}
			d, q := onMemory(t, nil, f)
			q.add("one")
			d.Start()
			time.Sleep(time.Second)
			start := time.Now()
			require.NoError(t, d.Close())
			require.Equal(t, grace, time.Since(start))
			require.Equal(t, []string{"one"}, q.returned)
		},
		"stream Polling": func(t *testing.T) {
			d, s := onShard(t, nil, &consumer{})
			d.Start()
			time.Sleep(100 * time.Second)
			require.NoError(t, d.Close())
			require.InDelta(t, 100, s.reads, 3)
		},
		"stream Shards": func(t *testing.T) {
			d, s := onShard(t, nil, &consumer{})
			s.closed = true
			d.Start()
			time.Sleep(time.Hour)
			s.add(1)
			time.Sleep(time.Hour)
			require.NoError(t, d.Close())
			require.Equal(t, 1, s.reads, "what follows a closed shard is not looked for")
		},
		"stream Retry pauses": func(t *testing.T) {
			f := &consumer{answer: failsWith("1")}
			d, s := onShard(t, m{"maximumRetryAttempts": 7.0}, f)
			s.add(1)
			d.Start()
			time.Sleep(time.Hour)
			require.NoError(t, d.Close())
			var pauses []string
			for i := range f.at[1:] {
				pauses = append(pauses, f.at[i+1].Sub(f.at[i]).String())
			}
			require.Equal(t, []string{"250ms", "500ms", "1s", "2s", "4s", "5s", "5s"}, pauses)
		},
		"stream Retry count": func(t *testing.T) {
			f := &consumer{answer: func(_ context.Context, call int, _ string) (lambda.Result, error) {
				return itemsFailed([]string{"1", "2", "2", "3", "3", "3"}[call-1])
			}}
			d, s := onShard(t, m{"maximumRetryAttempts": 1.0}, f)
			s.add(3)
			d.Start()
			time.Sleep(time.Hour)
			require.NoError(t, d.Close())
			require.Equal(t, []string{"1-3", "1-3", "2-3"}, seen(t, f)[:3])
			require.Len(t, f.calls(), 3)
			require.Len(t, s.told, 1)
		},
		"stream Time to live": func(t *testing.T) {
			c := cloud(t)
			tb := makeTable(t, c)
			tb.put("a", "1")
			tb.remove("a") // as Sweep does
			f := &consumer{}
			running(t, c, deployed(streamMapping(tb.stream, nil)), f)
			eventually(t, "the records have come", func() bool { return len(f.calls()) > 0 })
			require.NotContains(t, f.calls()[0], "userIdentity")
		},
		"stream Failure record": func(t *testing.T) {
			f := &consumer{answer: func(context.Context, int, string) (lambda.Result, error) { return lambda.Result{}, lambda.ErrThrottled }}
			d, s := onShard(t, m{"maximumRecordAgeInSeconds": 60.0}, f)
			d.cfg.Log = func(string, string) {}
			s.add(1)
			d.Start()
			time.Sleep(time.Hour)
			require.NoError(t, d.Close())
			var told m
			require.NoError(t, json.Unmarshal([]byte(s.told[0]), &told))
			require.NotContains(t, told, "responseContext")
			require.Contains(t, told["requestContext"], "requestId")
		},
		"schedule Retry pauses": func(t *testing.T) {
			var pauses []string
			for attempt := range 11 {
				pauses = append(pauses, backoff(attempt+1).String())
			}
			require.Equal(t, "[1s 2s 4s 8s 16s 32s 1m4s 2m8s 4m16s 5m0s 5m0s]", fmt.Sprint(pauses))
		},
		"schedule Missed times": func(t *testing.T) {
			d, _ := onTime(t, m{"scheduleExpression": "rate(1 hour)"}, &consumer{})
			s := d.schedules[0]
			_, runs := s.takeDue(time.Now())
			require.True(t, runs)
			due, runs := s.takeDue(time.Now().Add(9*time.Hour + time.Minute))
			require.True(t, runs)
			require.Equal(t, time.Now().Add(time.Hour), due)
			_, runs = s.takeDue(time.Now().Add(9*time.Hour + time.Minute))
			require.False(t, runs, "the others are left out")
			require.Equal(t, time.Now().Add(10*time.Hour), d.Status(t.Context()).Schedules[0].Next)
		},
		"schedule Dead letter body": func(t *testing.T) {
			f := &consumer{answer: func(context.Context, int, string) (lambda.Result, error) { return lambda.Result{}, lambda.ErrNotFound }}
			d, dead := onTime(t, m{"target": m{"deadLetterConfig": m{"arn": queueARN("failures")}}}, f)
			d.Start()
			time.Sleep(time.Minute)
			require.NoError(t, d.Close())
			require.Contains(t, dead.bodies[0], `"InvocationType":"Event"`)
		},
		"schedule Window": func(t *testing.T) {
			cfg := nowhere(t)
			cfg.Deployment = deployed(deployedSchedule(m{"flexibleTimeWindow": m{"mode": "FLEXIBLE"}}))
			_, err := New(cfg)
			require.ErrorContains(t, err, "flexibleTimeWindow.mode")
		},
		"filter Visible properties": func(t *testing.T) {
			require.Empty(t, filter{m{"body": []any{"x"}}}.sees("body"))
			require.Len(t, filter{m{"eventSource": []any{"x"}, "eventID": []any{"x"}}}.sees("dynamodb", "eventName", "userIdentity"), 2)
		},
	}
	onTheEmulator := []string{"queue Sender", "stream Time to live"}
	for _, row := range Differences() {
		name := row.Source + " " + row.Topic
		proof := proofs[name]
		delete(proofs, name)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NotNil(t, proof, "the row has no test")
			require.NotEmpty(t, row.Here)
			require.NotEmpty(t, row.AWS)
			for _, real := range onTheEmulator {
				if real == name {
					proof(t)
					return
				}
			}
			synctest.Test(t, proof)
		})
	}
	require.Empty(t, proofs, "a test without its row")
}
