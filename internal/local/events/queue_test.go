package events

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/local/lambda"
)

func TestMessagesComeInAWSsShapeByTheFunctionsRole(t *testing.T) {
	t.Parallel()
	c := cloud(t)
	name, q := makeQueue(t, c, "60", "", 0)
	id := send(t, c, name, `{"a":1}`)[0]
	f := &consumer{}
	running(t, c, deployed(q, queueMapping(name, nil)), f)
	eventually(t, "the message is handled and deleted", func() bool { return depthOf(t, c, name) == "0 0" })
	calls := f.calls()
	require.Len(t, calls, 1)
	r := records(t, calls[0])[0]
	for _, varies := range []string{"SenderId", "SentTimestamp", "ApproximateFirstReceiveTimestamp"} {
		require.Regexp(t, `^[0-9A-Z]+$`, r["attributes"].(m)[varies])
		delete(r["attributes"].(m), varies)
	}
	require.NotEmpty(t, r["receiptHandle"])
	delete(r, "receiptHandle")
	require.Len(t, r["md5OfMessageAttributes"], 32)
	delete(r, "md5OfMessageAttributes")
	require.Equal(t, m{
		"messageId": id, "body": `{"a":1}`, "attributes": m{"ApproximateReceiveCount": "1"},
		"messageAttributes": m{
			"kind": m{"stringValue": "test", "stringListValues": []any{}, "binaryListValues": []any{}, "dataType": "String"},
			"raw":  m{"binaryValue": "AQI=", "stringListValues": []any{}, "binaryListValues": []any{}, "dataType": "Binary"},
		},
		"md5OfBody": "bb6cb5c68df4652941caf652a366f2d8", "eventSource": "aws:sqs", "eventSourceARN": queueARN(name), "awsRegion": region,
	}, r)
	var who []string
	for _, call := range theCloud.front.Calls() {
		if call.Service == "sqs" && (call.Action == "ReceiveMessage" || call.Action == "DeleteMessage") {
			who = append(who, call.Principal)
		}
	}
	require.Contains(t, who, role)
}

// On the emulator: what failed comes back when its visibility timeout is over, and nothing else does.
func TestWhatFailedComesBack(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		first func(ids []string) (lambda.Result, error)
		back  []int // indexes of the messages of the second batch
	}{
		"the one that failed": {func(ids []string) (lambda.Result, error) { return itemsFailed(ids[1]) }, []int{1}},
		"function error":      {func([]string) (lambda.Result, error) { return broken() }, []int{0, 1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cloud(t)
			queue, q := makeQueue(t, c, "2", "", 0)
			ids := send(t, c, queue, "x", "y", "z")
			f := &consumer{answer: func(_ context.Context, call int, _ string) (lambda.Result, error) {
				if call == 1 {
					return tc.first(ids)
				}
				return fine()
			}}
			d := running(t, c, deployed(q, queueMapping(queue, nil)), f)
			eventually(t, "all is handled", func() bool { return depthOf(t, c, queue) == "0 0" })
			require.NoError(t, d.Close())
			var back, want []string
			for i, call := range f.calls() {
				for _, r := range records(t, call) {
					if i > 0 {
						require.NotEqual(t, "1", r["attributes"].(m)["ApproximateReceiveCount"])
						back = append(back, r["messageId"].(string))
					}
				}
			}
			for _, i := range tc.back {
				want = append(want, ids[i])
			}
			require.Len(t, records(t, f.calls()[0]), 3)
			require.ElementsMatch(t, want, back)
			require.GreaterOrEqual(t, f.at[1].Sub(f.at[0]), 1900*time.Millisecond, "the visibility timeout was not waited for")
		})
	}
}

// Which messages of a batch are deleted after an answer; the others are left to their visibility timeout.
func TestWhatIsDoneIsDeleted(t *testing.T) {
	t.Parallel()
	all := []string{"x", "y", "z"}
	says := func(payload string) func() (lambda.Result, error) {
		return func() (lambda.Result, error) { return lambda.Result{Payload: []byte(payload)}, nil }
	}
	for name, tc := range map[string]struct {
		whole  bool // the function is not asked what failed
		answer func() (lambda.Result, error)
		done   []string
	}{
		"all well":                       {false, fine, all},
		"one failed":                     {false, func() (lambda.Result, error) { return itemsFailed("y") }, []string{"x", "z"}},
		"all failed":                     {false, func() (lambda.Result, error) { return itemsFailed(all...) }, nil},
		"function error":                 {false, broken, nil},
		"function error, not asked":      {true, broken, nil},
		"throttled":                      {false, func() (lambda.Result, error) { return lambda.Result{}, lambda.ErrThrottled }, nil},
		"no such function":               {false, func() (lambda.Result, error) { return lambda.Result{}, lambda.ErrNotFound }, nil},
		"an answer that is no list":      {false, says(`{"batchItemFailures":7}`), nil},
		"an answer that is no JSON":      {false, says(`{`), nil},
		"an unknown id":                  {false, func() (lambda.Result, error) { return itemsFailed("y", "stranger") }, nil},
		"failures that nobody asked for": {true, func() (lambda.Result, error) { return itemsFailed("y") }, all},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &consumer{answer: func(context.Context, int, string) (lambda.Result, error) { return tc.answer() }}
				change := m{}
				if tc.whole {
					change["functionResponseTypes"] = nil
				}
				d, q := onMemory(t, change, f)
				q.add(all...)
				d.Start()
				time.Sleep(time.Minute)
				require.NoError(t, d.Close())
				require.Len(t, f.calls(), 1)
				require.Equal(t, tc.done, q.deleted)
				require.Empty(t, q.returned)
			})
		})
	}
}

func TestItemFailures(t *testing.T) {
	t.Parallel()
	batch := []record{{id: "a"}, {id: "b"}}
	for name, tc := range map[string]struct {
		answer string
		want   []string
		whole  bool
	}{
		"nothing":           {"", nil, false},
		"null":              {"null", nil, false},
		"empty object":      {"{}", nil, false},
		"null list":         {`{"batchItemFailures":null}`, nil, false},
		"empty list":        {`{"batchItemFailures":[]}`, nil, false},
		"one":               {`{"batchItemFailures":[{"itemIdentifier":"b"}]}`, []string{"b"}, false},
		"the same twice":    {`{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"b"}]}`, []string{"b"}, false},
		"no JSON":           {`{`, nil, true},
		"a text":            {`"ok"`, nil, true},
		"list is an object": {`{"batchItemFailures":{}}`, nil, true},
		"empty id":          {`{"batchItemFailures":[{"itemIdentifier":""}]}`, nil, true},
		"null id":           {`{"batchItemFailures":[{"itemIdentifier":null}]}`, nil, true},
		"number":            {`{"batchItemFailures":[{"itemIdentifier":1}]}`, nil, true},
		"bad key":           {`{"batchItemFailures":[{"itemIdentifer":"a"}]}`, nil, true},
		"unknown id":        {`{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"c"}]}`, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := itemFailures([]byte(tc.answer), batch)
			require.Equal(t, !tc.whole, ok)
			require.Len(t, got, len(tc.want))
			for _, id := range tc.want {
				require.True(t, got[id])
			}
		})
	}
}

func TestWhatKeepsFailingGoesToTheDeadLetterQueue(t *testing.T) {
	t.Parallel()
	c := cloud(t)
	dead, deadQueue := makeQueue(t, c, "60", "", 0)
	name, q := makeQueue(t, c, "1", dead, 2)
	bad, good := send(t, c, name, "bad")[0], send(t, c, name, "good")[0]
	f := &consumer{answer: func(_ context.Context, _ int, payload string) (lambda.Result, error) {
		if strings.Contains(payload, bad) {
			return itemsFailed(bad)
		}
		return fine()
	}}
	d := running(t, c, deployed(deadQueue, q, queueMapping(name, nil)), f)
	eventually(t, "it is in the dead-letter queue", func() bool { return depthOf(t, c, dead) == "1 0" })
	s := d.Status(t.Context())
	require.Len(t, s.Queues, 1, "a dead-letter queue is shown with its queue")
	require.Equal(t, name, s.Queues[0].Name)
	require.Equal(t, "consumer", s.Queues[0].Function)
	require.Equal(t, 1, s.Queues[0].DeadLetters)
	require.Zero(t, s.Queues[0].Waiting)
	require.Contains(t, s.Queues[0].Error, "consumer failed 1 of")
	require.NoError(t, d.Close())
	require.Equal(t, bad, sdk.ToString(receive(t, c, dead)[0].MessageId))
	times := map[string]int{}
	for _, call := range f.calls() {
		for _, r := range records(t, call) {
			times[r["messageId"].(string)]++
		}
	}
	require.Equal(t, map[string]int{bad: 2, good: 1}, times)
}

func TestBatchesAreAtMostAsLargeAsDeployed(t *testing.T) {
	t.Parallel()
	c := cloud(t)
	name, q := makeQueue(t, c, "60", "", 0)
	ids := send(t, c, name, "1", "2", "3", "4", "5")
	f := &consumer{}
	d := running(t, c, deployed(q, queueMapping(name, m{"batchSize": 2.0})), f)
	eventually(t, "all is handled", func() bool { return depthOf(t, c, name) == "0 0" })
	require.NoError(t, d.Close())
	var got []string
	for _, call := range f.calls() {
		require.LessOrEqual(t, len(records(t, call)), 2)
		for _, r := range records(t, call) {
			got = append(got, r["messageId"].(string))
		}
	}
	require.ElementsMatch(t, ids, got)
}

func TestMessagesThatDoNotMatchAreDeletedUnseen(t *testing.T) {
	t.Parallel()
	c := cloud(t)
	name, q := makeQueue(t, c, "60", "", 0)
	send(t, c, name, `{"kind":"no"}`, "plain", `{"kind":"yes"}`)
	f := &consumer{}
	d := running(t, c, deployed(q, queueMapping(name, m{"filterCriteria": m{"filters": []any{m{"pattern": `{"body":{"kind":["yes"]}}`}}}})), f)
	eventually(t, "all is gone", func() bool { return depthOf(t, c, name) == "0 0" })
	require.NoError(t, d.Close())
	require.Len(t, f.calls(), 1)
	require.Len(t, records(t, f.calls()[0]), 1)
	require.JSONEq(t, `{"kind":"yes"}`, records(t, f.calls()[0])[0]["body"].(string))
}

// Close breaks off a function that does not end, and its message can be received at once.
func TestStopGivesBackWhatIsInFlight(t *testing.T) {
	t.Parallel()
	c := cloud(t)
	name, q := makeQueue(t, c, "600", "", 0)
	id := send(t, c, name, "long")[0]
	begun := make(chan struct{})
	f := &consumer{answer: func(ctx context.Context, _ int, _ string) (lambda.Result, error) {
		close(begun)
		<-ctx.Done()
		return lambda.Result{}, ctx.Err()
	}}
	d := running(t, c, deployed(q, queueMapping(name, nil)), f)
	<-begun
	require.Empty(t, receive(t, c, name), "it is hidden while it is handled")
	require.NoError(t, d.Close())
	require.NoError(t, d.Close(), "closing again does nothing")
	back := receive(t, c, name)
	require.Len(t, back, 1)
	require.Equal(t, id, sdk.ToString(back[0].MessageId))
}

// memoryQueue is a queue without a network, for tests of time.
type memoryQueue struct {
	mu       sync.Mutex
	waiting  []string
	receives int
	deleted  []string
	returned []string
	broken   error
}

func (q *memoryQueue) ReceiveMessage(_ context.Context, in *sqs.ReceiveMessageInput, _ ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.receives++
	if q.broken != nil {
		return nil, q.broken
	}
	if len(q.waiting) == 0 {
		q.mu.Unlock()
		time.Sleep(time.Duration(in.WaitTimeSeconds) * time.Second)
		q.mu.Lock()
	}
	out := &sqs.ReceiveMessageOutput{}
	for len(q.waiting) > 0 && len(out.Messages) < int(in.MaxNumberOfMessages) {
		out.Messages = append(out.Messages, types.Message{MessageId: sdk.String(q.waiting[0]), ReceiptHandle: sdk.String(q.waiting[0]), Body: sdk.String(q.waiting[0])})
		q.waiting = q.waiting[1:]
	}
	return out, nil
}

func (q *memoryQueue) DeleteMessage(_ context.Context, in *sqs.DeleteMessageInput, _ ...func(*sqs.Options)) (*sqs.DeleteMessageOutput, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.deleted = append(q.deleted, *in.ReceiptHandle)
	return &sqs.DeleteMessageOutput{}, nil
}

func (q *memoryQueue) ChangeMessageVisibility(_ context.Context, in *sqs.ChangeMessageVisibilityInput, _ ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityOutput, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.returned = append(q.returned, *in.ReceiptHandle)
	return &sqs.ChangeMessageVisibilityOutput{}, nil
}

func (q *memoryQueue) add(bodies ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, bodies...)
}

// onMemory is a dispatcher of one mapping that reads a memoryQueue; it is not started.
func onMemory(t *testing.T, change m, f *consumer) (*Dispatcher, *memoryQueue) {
	t.Helper()
	cfg := nowhere(t)
	cfg.Deployment, cfg.Invoke = deployed(deployedQueue("q", ""), queueMapping("q", change)), f.invoke
	d, err := New(cfg)
	require.NoError(t, err)
	q := &memoryQueue{}
	d.queues[0].api = q
	return d, q
}

// most counts how many invocations run beside each other.
type most struct{ now, high atomic.Int64 }

func (h *most) answer(context.Context, int, string) (lambda.Result, error) {
	n := h.now.Add(1)
	defer h.now.Add(-1)
	for old := h.high.Load(); n > old && !h.high.CompareAndSwap(old, n); old = h.high.Load() {
	}
	time.Sleep(time.Minute)
	return fine()
}

func TestConcurrencyIsBounded(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change m
		want   int64
	}{
		"as deployed": {m{"batchSize": 1.0, "scalingConfig": m{"maximumConcurrency": 2.0}}, 2},
		"more":        {m{"batchSize": 1.0, "scalingConfig": m{"maximumConcurrency": 7.0}}, 7},
		"preset":      {m{"batchSize": 1.0}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var h most
				d, q := onMemory(t, tc.change, &consumer{answer: h.answer})
				for i := range 20 {
					q.add(fmt.Sprint(i))
				}
				d.Start()
				time.Sleep(time.Hour)
				require.NoError(t, d.Close())
				require.Equal(t, tc.want, h.high.Load())
				require.Len(t, q.deleted, 20)
			})
		})
	}
}

func TestWindowGathersABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &consumer{}
		d, q := onMemory(t, m{"batchSize": 100.0, "maximumBatchingWindowInSeconds": 10.0}, f)
		start := time.Now()
		d.Start()
		for i := range 12 { // one each half second
			q.add(fmt.Sprint(i))
			time.Sleep(500 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		require.NoError(t, d.Close())
		require.Len(t, f.calls(), 1, "the window was not waited for")
		require.Len(t, records(t, f.calls()[0]), 12)
		require.InDelta(t, 10, f.at[0].Sub(start).Seconds(), 1.5)
	})
}

func TestFullBatchDoesNotWaitForItsWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &consumer{}
		d, q := onMemory(t, m{"batchSize": 20.0, "maximumBatchingWindowInSeconds": 300.0}, f)
		for i := range 20 {
			q.add(fmt.Sprint(i))
		}
		d.Start()
		time.Sleep(time.Second)
		require.Len(t, f.calls(), 1)
		require.Len(t, records(t, f.calls()[0]), 20)
		require.NoError(t, d.Close())
	})
}

// An event is never larger than Lambda takes: messages beside each other may be larger together.
func TestLargeBatchesAreCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &consumer{}
		d, q := onMemory(t, m{"batchSize": 10.0}, f)
		for i := range 10 {
			q.add(strings.Repeat("<", 1<<20) + fmt.Sprint(i))
		}
		d.Start()
		time.Sleep(time.Minute)
		require.NoError(t, d.Close())
		require.Greater(t, len(f.calls()), 1)
		n := 0
		for _, call := range f.calls() {
			require.LessOrEqual(t, len(call), 6<<20)
			n += len(records(t, call))
		}
		require.Equal(t, 10, n)
	})
}

func TestIdlePollingIsSlow(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]error{"nothing there": nil, "cannot be read": errors.New("deliberate")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d, q := onMemory(t, nil, &consumer{})
				q.broken = tc
				var lines atomic.Int64
				d.cfg.Log = func(string, string) { lines.Add(1) }
				d.Start()
				time.Sleep(100 * time.Second)
				require.NoError(t, d.Close())
				require.LessOrEqual(t, q.receives, 402)
				require.Greater(t, q.receives, 50)
				if tc != nil {
					require.EqualValues(t, 1, lines.Load(), "the same trouble is told once")
				}
			})
		})
	}
}

// A message that arrives while the dispatcher stops is not given to the function.
func TestReceivedAtStopIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &consumer{}
		d, q := onMemory(t, nil, f)
		d.Start()
		time.Sleep(100 * time.Millisecond) // a receive is under way
		closed := make(chan error)
		go func() { closed <- d.Close() }()
		synctest.Wait()
		q.add("late")
		require.NoError(t, <-closed)
		require.Empty(t, f.calls())
		require.Equal(t, []string{"late"}, q.returned)
		require.Empty(t, q.deleted)
	})
}

// An invocation that ends in time after the stop is done: its messages are deleted.
func TestStopWaitsForWhatEndsSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &consumer{answer: func(context.Context, int, string) (lambda.Result, error) {
			time.Sleep(grace - time.Millisecond)
			return fine()
		}}
		d, q := onMemory(t, nil, f)
		q.add("one")
		d.Start()
		synctest.Wait()
		require.NoError(t, d.Close())
		require.Equal(t, []string{"one"}, q.deleted)
		require.Empty(t, q.returned)
	})
}

func TestLinesHoldNothingOfAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &consumer{answer: func(context.Context, int, string) (lambda.Result, error) { return broken() }}
		d, q := onMemory(t, nil, f)
		var mu sync.Mutex
		var lines []string
		d.cfg.Log = func(_, line string) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, line)
		}
		q.add("private body")
		d.Start()
		time.Sleep(time.Second)
		require.NoError(t, d.Close())
		require.Equal(t, []string{"consumer failed a batch of 1: Deliberate"}, lines)
		require.False(t, slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "secret") || strings.Contains(l, "private") }))
	})
}
