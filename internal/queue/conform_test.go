package queue_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/awsconfig"
	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/local/localtest"
	"github.com/expenzez/aws-backend/internal/queue"
	"github.com/expenzez/aws-backend/internal/retry"
)

var emulator string // the URL of the store

func TestMain(m *testing.M) { localtest.Main(m, &emulator) }

// job is the message of the tests.
type job struct {
	ID   int    `json:"id"`
	Text string `json:"text,omitempty"`
}

func jobs(n int) []job {
	all := make([]job, n)
	for i := range all {
		all[i].ID = i
	}
	return all
}

// world is a queue on which calls fail by a plan.
type world struct {
	api      queue.API
	url      string
	nowhere  string // the URL of a queue that there is not
	received func(t *testing.T) []job
	calls    func() int
}

// inMemory and onEmulator make the worlds of the suite.
func worlds() map[string]func(t *testing.T, plan fault.Plan) world {
	return map[string]func(t *testing.T, plan fault.Plan) world{"memory": inMemory, "emulator": onEmulator}
}

func inMemory(_ *testing.T, plan fault.Plan) world {
	m := queue.NewMemory("parcels")
	f := &faulty{next: m, plan: plan}
	return world{api: f, url: "parcels", nowhere: "dreams", calls: f.calls, received: func(t *testing.T) []job {
		t.Helper()
		return decode(t, m.Messages("parcels"))
	}}
}

var queues atomic.Int32

// onEmulator is a queue of its own, with the length that ours are made for, through the real client and its retries.
func onEmulator(t *testing.T, plan fault.Plan) world {
	t.Helper()
	cfg, err := awsconfig.Load(func(name string) (string, bool) {
		v, ok := map[string]string{"AWS_REGION": "eu-west-2", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL": emulator}[name]
		return v, ok
	})
	require.NoError(t, err)
	transport := fault.NewTransport(nil, nil)
	cfg.HTTPClient = transport // a busy machine may take longer than an attempt may on AWS
	client := sqs.NewFromConfig(cfg)
	made, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(fmt.Sprintf("parcels-%d", queues.Add(1))),
		Attributes: map[string]string{"MaximumMessageSize": "262144"}})
	require.NoError(t, err)
	transport.Follow(plan)
	url := aws.ToString(made.QueueUrl)
	return world{api: client, url: url, nowhere: url + "-dreams", calls: func() int { return len(transport.Calls()) }, received: func(t *testing.T) []job {
		t.Helper()
		transport.Follow(nil)
		return receive(t, client, url)
	}}
}

func receive(t *testing.T, client *sqs.Client, url string) []job {
	t.Helper()
	var all []string
	for {
		out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10, VisibilityTimeout: 600})
		require.NoError(t, err)
		if len(out.Messages) == 0 {
			return decode(t, all)
		}
		for _, m := range out.Messages {
			all = append(all, aws.ToString(m.Body))
		}
	}
}

func decode(t *testing.T, bodies []string) []job {
	t.Helper()
	all := make([]job, len(bodies))
	for i, b := range bodies {
		require.NoError(t, json.Unmarshal([]byte(b), &all[i]))
	}
	slices.SortFunc(all, func(a, b job) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// faulty is a fault plan on an API that has no client in front.
type faulty struct {
	next queue.API
	mu   sync.Mutex
	plan fault.Plan
	n    int
}

func (f *faulty) calls() int { f.mu.Lock(); defer f.mu.Unlock(); return f.n }

func (f *faulty) SendMessageBatch(ctx context.Context, in *sqs.SendMessageBatchInput, opts ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error) {
	f.mu.Lock()
	var what fault.Fault
	if f.plan != nil {
		what = f.plan(f.n, "SendMessageBatch")
	}
	f.n++
	f.mu.Unlock()
	switch what.Kind {
	case fault.Unsent:
		return nil, syscall.ECONNREFUSED
	case fault.Throttled, fault.Broken:
		return nil, &smithy.GenericAPIError{Code: "InternalServerError"}
	default:
	}
	out, err := f.next.SendMessageBatch(ctx, in, opts...)
	if what.Kind == fault.Lost || what.Kind == fault.Truncated {
		return nil, syscall.ECONNRESET
	}
	return out, err
}

func sender(t *testing.T, w world) *queue.Sender[job] {
	t.Helper()
	s, err := queue.New[job](w.api, w.url, retry.Policy{Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	require.NoError(t, err)
	return s
}

// The contract, once for each world.
func TestSenderConforms(t *testing.T) {
	t.Parallel()
	cases := map[string]func(t *testing.T, open func(t *testing.T, plan fault.Plan) world){
		"one": func(t *testing.T, open func(*testing.T, fault.Plan) world) {
			w := open(t, nil)
			require.NoError(t, sender(t, w).Send(t.Context(), job{ID: 7, Text: "a & b"}))
			require.Equal(t, []job{{ID: 7, Text: "a & b"}}, w.received(t))
		},
		"none": func(t *testing.T, open func(*testing.T, fault.Plan) world) {
			w := open(t, nil)
			left, err := sender(t, w).SendBatch(t.Context(), nil)
			require.NoError(t, err)
			require.Empty(t, left)
			require.Zero(t, w.calls())
		},
		"more_than_a_request_takes": func(t *testing.T, open func(*testing.T, fault.Plan) world) {
			w := open(t, nil)
			left, err := sender(t, w).SendBatch(t.Context(), jobs(25))
			require.NoError(t, err)
			require.Empty(t, left)
			require.Equal(t, 3, w.calls())
			require.Equal(t, jobs(25), w.received(t))
		},
		"longer_than_a_request_takes": func(t *testing.T, open func(*testing.T, fault.Plan) world) {
			w := open(t, nil)
			all := jobs(5)
			for i := range all {
				all[i].Text = strings.Repeat("x", queue.MaxBytes/2-50) // two fit
			}
			left, err := sender(t, w).SendBatch(t.Context(), all)
			require.NoError(t, err)
			require.Empty(t, left)
			require.Equal(t, 3, w.calls())
			require.Equal(t, all, w.received(t))
		},
		"as_long_as_may_be": func(t *testing.T, open func(*testing.T, fault.Plan) world) {
			w := open(t, nil)
			long := job{ID: 1}
			long.Text = strings.Repeat("x", queue.MaxBytes-len(`{"id":1,"text":""}`))
			require.NoError(t, sender(t, w).Send(t.Context(), long))
			long.Text += "x"
			left, err := sender(t, w).SendBatch(t.Context(), []job{{ID: 2}, long})
			require.ErrorIs(t, err, queue.ErrTooLong)
			require.ErrorContains(t, err, "message 2 of 2")
			require.NotContains(t, err.Error(), "xxx")
			require.Equal(t, []job{{ID: 2}, long}, left, "nothing of the batch is sent")
			require.Len(t, w.received(t), 1)
		},
		"any_text": func(t *testing.T, open func(*testing.T, fault.Plan) world) {
			w := open(t, nil)
			text := "\x00\x01\t\n\x1b\x7f \u0085 \u2028 <é> \\ \" \\u0000 \ufffd \ufffe\uffff 😀"
			require.NoError(t, sender(t, w).Send(t.Context(), job{Text: text}))
			require.Equal(t, []job{{Text: text}}, w.received(t))
		},
		"no_such_queue": func(t *testing.T, open func(*testing.T, fault.Plan) world) {
			w := open(t, nil)
			s, err := queue.New[job](w.api, w.nowhere, retry.Policy{})
			require.NoError(t, err)
			left, err := s.SendBatch(t.Context(), jobs(12))
			var missing *types.QueueDoesNotExist
			require.ErrorAs(t, err, &missing)
			require.ErrorContains(t, err, "dreams: 12 of 12 messages not sent")
			require.Equal(t, jobs(12), left)
			require.Equal(t, 1, w.calls(), "what cannot succeed is tried once")
			require.Empty(t, w.received(t))
		},
		"context_ended": func(t *testing.T, open func(*testing.T, fault.Plan) world) {
			w := open(t, nil)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			left, err := sender(t, w).SendBatch(ctx, jobs(12))
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, jobs(12), left)
			require.Empty(t, w.received(t))
		},
	}
	for where, open := range worlds() {
		for name, test := range cases {
			t.Run(where+"/"+name, func(t *testing.T) {
				t.Parallel()
				test(t, open)
			})
		}
	}
}

// Under faults nothing is lost: what is not given back is in the queue, and what is given back comes with an error.
func TestNothingIsLostUnderFaults(t *testing.T) {
	t.Parallel()
	plans := map[string]func(f fault.Fault) fault.Plan{
		"first":     func(f fault.Fault) fault.Plan { return fault.At(0, f) },
		"second":    func(f fault.Fault) fault.Plan { return fault.At(1, f) },
		"from_then": func(f fault.Fault) fault.Plan { return fault.From(1, f) },
		"sometimes": func(f fault.Fault) fault.Plan { return fault.Sometimes(7, 0.4, f) },
		"always":    func(f fault.Fault) fault.Plan { return fault.From(0, f) },
	}
	for where, open := range worlds() {
		for _, kind := range fault.Kinds() {
			for name, plan := range plans {
				t.Run(fmt.Sprintf("%s/%s/%s", where, kind, name), func(t *testing.T) {
					t.Parallel()
					w := open(t, plan(fault.Fault{Kind: kind}))
					all := jobs(35)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					left, err := sender(t, w).SendBatch(ctx, all)
					require.Equal(t, len(left) > 0, err != nil, "%v", err)
					if name == "always" {
						require.Equal(t, all, left)
					}
					require.True(t, slices.IsSortedFunc(left, func(a, b job) int { return cmp.Compare(a.ID, b.ID) }))
					if where == "emulator" && (name == "first" || name == "second") {
						require.NoError(t, err, "the client tries again")
					}

					times := map[int]int{}
					for _, j := range w.received(t) {
						times[j.ID]++
					}
					changes := kind == fault.Lost || kind == fault.Truncated
					for _, j := range all {
						given := slices.Contains(left, j)
						require.True(t, given || times[j.ID] > 0, "message %d is lost", j.ID)
						require.True(t, changes || !given || times[j.ID] == 0, "message %d was given back and sent", j.ID)
						require.True(t, changes || times[j.ID] <= 1, "message %d was sent %d times", j.ID, times[j.ID])
					}
				})
			}
		}
	}
}

// refusing is an API that refuses messages of requests that it takes, by attempt and id.
type refusing struct {
	queue.API
	refuse func(attempt int, id string) (code string, forGood bool)
	n      int
	asked  []int // messages in each request
}

func (r *refusing) SendMessageBatch(ctx context.Context, in *sqs.SendMessageBatchInput, _ ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error) {
	r.n++
	r.asked = append(r.asked, len(in.Entries))
	call := &sqs.SendMessageBatchInput{QueueUrl: in.QueueUrl}
	var failed []types.BatchResultErrorEntry
	for _, e := range in.Entries {
		switch code, forGood := r.refuse(r.n, *e.Id); code {
		case "":
			call.Entries = append(call.Entries, e)
		case "silent":
		default:
			failed = append(failed, types.BatchResultErrorEntry{Id: e.Id, Code: &code, SenderFault: forGood, Message: aws.String("SECRET")})
		}
	}
	out := &sqs.SendMessageBatchOutput{}
	if len(call.Entries) > 0 {
		var err error
		if out, err = r.API.SendMessageBatch(ctx, call); err != nil {
			return nil, err
		}
	}
	out.Failed = append(out.Failed, failed...)
	return out, nil
}

// What SQS refuses of a request that it took is tried again where that can help, and only that.
func TestRefusedMessages(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		refuse func(attempt int, id string) (string, bool)
		left   []int
		asked  []int
		want   string
	}{
		"once": {func(n int, id string) (string, bool) {
			return map[bool]string{n == 1 && id < "3": "InternalError"}[true], false
		},
			nil, []int{10, 3, 2}, ""},
		"unnamed_once": {func(n int, id string) (string, bool) {
			return map[bool]string{n == 1 && id == "4": "silent"}[true], false
		},
			nil, []int{10, 1, 2}, ""},
		"always": {func(_ int, id string) (string, bool) { return map[bool]string{id == "4": "InternalError"}[true], false },
			[]int{4}, []int{10, 1, 1, 2}, "queue parcels: 1 of 12 messages not sent: InternalError"},
		"unnamed_always": {func(_ int, id string) (string, bool) { return map[bool]string{id == "4": "silent"}[true], false },
			[]int{4}, []int{10, 1, 1, 2}, "1 of 12 messages not sent"},
		"for_good": {func(_ int, id string) (string, bool) {
			return map[bool]string{id == "4" || id == "11": "InvalidMessageContents"}[true], true
		},
			[]int{4, 11}, []int{10, 2}, "2 of 12 messages not sent: InvalidMessageContents"},
		"some_for_good_some_once": {func(n int, id string) (string, bool) {
			return map[bool]string{id == "4": "InvalidMessageContents", n == 1 && id == "5": "InternalError"}[true], id == "4"
		}, []int{4}, []int{10, 1, 2}, "InternalError, InvalidMessageContents"},
		"all_always": {func(int, string) (string, bool) { return "InternalError", false },
			[]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, []int{10, 10, 10, 2, 2, 2}, "12 of 12 messages not sent"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := queue.NewMemory("parcels")
			r := &refusing{API: m, refuse: c.refuse}
			left, err := sender(t, world{api: r, url: "parcels"}).SendBatch(t.Context(), jobs(12))
			var ids []int
			for _, j := range left {
				ids = append(ids, j.ID)
			}
			require.Equal(t, c.left, ids)
			require.Equal(t, c.asked, r.asked)
			if c.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.want)
				require.NotContains(t, err.Error(), "SECRET")
			}
			var want []job
			for _, j := range jobs(12) {
				if !slices.Contains(c.left, j.ID) {
					want = append(want, j)
				}
			}
			require.ElementsMatch(t, want, decode(t, m.Messages("parcels")), "each once")
		})
	}
}

// A request that fails as a whole ends the batch, after one that was refused in part, too.
func TestAFailureAfterARefusalKeepsBoth(t *testing.T) {
	t.Parallel()
	m := queue.NewMemory("parcels")
	broken := errors.New("broken")
	r := &refusing{API: failAt{m, 2, broken, new(int)}, refuse: func(n int, id string) (string, bool) {
		return map[bool]string{n == 1 && id == "7": "InternalError", id == "3": "InvalidMessageContents"}[true], id == "3"
	}}
	left, err := sender(t, world{api: r, url: "parcels"}).SendBatch(t.Context(), jobs(12))
	require.ErrorIs(t, err, broken)
	require.Equal(t, []job{{ID: 3}, {ID: 7}, {ID: 10}, {ID: 11}}, left)
	require.Len(t, m.Messages("parcels"), 8)
}

// failAt fails one call.
type failAt struct {
	queue.API
	at   int
	with error
	n    *int
}

func (f failAt) SendMessageBatch(ctx context.Context, in *sqs.SendMessageBatchInput, opts ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error) {
	if *f.n++; *f.n == f.at {
		return nil, f.with
	}
	return f.API.SendMessageBatch(ctx, in, opts...)
}
