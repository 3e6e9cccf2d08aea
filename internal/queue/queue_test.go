package queue_test

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/queue"
	"github.com/expenzez/aws-backend/internal/retry"
	"github.com/expenzez/aws-backend/internal/service"
)

// A function cannot make a sender to a queue that it does not declare it sends to, nor does memory take its messages.
func TestAnUndeclaredQueueCannotBeSentTo(t *testing.T) {
	t.Parallel()
	f := service.Function{Key: "shop", Sends: []string{"parcels"}, Queues: []string{"returns"}}
	told := map[string]string{"EXPENZEZ_ENVIRONMENT": "dev", "QUEUE_URL_PARCELS": "https://sqs/1/parcels", "QUEUE_URL_RETURNS": "https://sqs/1/returns"}
	v, err := environ.Read(f, func(name string) (string, bool) { x, ok := told[name]; return x, ok })
	require.NoError(t, err)
	m := queue.NewMemory(v.Queue("parcels"))
	s, err := queue.New[job](m, v.Queue("parcels"), retry.Policy{})
	require.NoError(t, err)
	require.NoError(t, s.Send(t.Context(), job{}))
	for _, key := range []string{"returns", "dreams"} {
		_, err = queue.New[job](m, v.Queue(key), retry.Policy{})
		require.ErrorContains(t, err, "not told where to send", key)
	}
	s, err = queue.New[job](m, told["QUEUE_URL_RETURNS"], retry.Policy{})
	require.NoError(t, err)
	var missing *types.QueueDoesNotExist
	require.ErrorAs(t, s.Send(t.Context(), job{}), &missing)
}

// hanging never answers.
type hanging struct{}

func (hanging) SendMessageBatch(ctx context.Context, _ *sqs.SendMessageBatchInput, _ ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestNoCallOutlastsItsContext(t *testing.T) {
	t.Parallel()
	cases := map[string]queue.API{
		"no_answer": hanging{},
		"refused":   &refusing{API: queue.NewMemory("parcels"), refuse: func(int, string) (string, bool) { return "InternalError", false }},
	}
	for name, api := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				s, err := queue.New[job](api, "parcels", retry.Policy{Attempts: 1000, Base: time.Second})
				require.NoError(t, err)
				began := time.Now()
				left, err := s.SendBatch(ctx, jobs(30))
				require.Error(t, err)
				require.Equal(t, jobs(30), left)
				require.LessOrEqual(t, time.Since(began), 2*time.Second)
			})
		})
	}
}

func TestWhatIsNoJSONIsNotSent(t *testing.T) {
	t.Parallel()
	m := queue.NewMemory("numbers")
	s, err := queue.New[float64](m, "numbers", retry.Policy{})
	require.NoError(t, err)
	left, err := s.SendBatch(t.Context(), []float64{1, math.Inf(1), 3})
	require.ErrorContains(t, err, "message 2 of 3")
	require.Len(t, left, 3)
	require.Empty(t, m.Messages("numbers"))
}

func TestSendersShareAQueue(t *testing.T) {
	t.Parallel()
	m := queue.NewMemory("parcels")
	s := sender(t, world{api: m, url: "parcels"})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := s.SendBatch(t.Context(), jobs(15)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Len(t, m.Messages("parcels"), 120)
}

func TestMemoryRefusesWhatSQSRefuses(t *testing.T) {
	t.Parallel()
	entry := func(id, body string) types.SendMessageBatchRequestEntry {
		return types.SendMessageBatchRequestEntry{Id: &id, MessageBody: &body}
	}
	eleven := make([]types.SendMessageBatchRequestEntry, 11)
	for i := range eleven {
		eleven[i] = entry(strings.Repeat("a", i+1), "x")
	}
	half := strings.Repeat("x", queue.MaxBytes/2)
	cases := map[string]struct {
		entries []types.SendMessageBatchRequestEntry
		want    string
	}{
		"empty":     {nil, "EmptyBatchRequest"},
		"eleven":    {eleven, "TooManyEntriesInBatchRequest"},
		"too_long":  {[]types.SendMessageBatchRequestEntry{entry("1", half), entry("2", half), entry("3", "x")}, "BatchRequestTooLong"},
		"same_id":   {[]types.SendMessageBatchRequestEntry{entry("1", "x"), entry("1", "y")}, "BatchEntryIdsNotDistinct"},
		"no_id":     {[]types.SendMessageBatchRequestEntry{entry("", "x")}, "InvalidBatchEntryId"},
		"id_of_dot": {[]types.SendMessageBatchRequestEntry{entry("a.b", "x")}, "InvalidBatchEntryId"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := queue.NewMemory("parcels")
			_, err := m.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: aws.String("parcels"), Entries: c.entries})
			require.ErrorContains(t, err, c.want)
			require.Empty(t, m.Messages("parcels"))
		})
	}
	m := queue.NewMemory("parcels")
	out, err := m.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: aws.String("parcels"),
		Entries: []types.SendMessageBatchRequestEntry{entry("1", "\x00"), entry("2", "fine\t\r\n"), entry("3", "\uffff"), entry("4", "")}})
	require.NoError(t, err)
	require.Len(t, out.Failed, 3)
	require.Equal(t, []string{"fine\t\r\n"}, m.Messages("parcels"))
	_, err = new(queue.Memory).SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: aws.String("parcels"), Entries: eleven[:1]})
	require.Error(t, err)
	require.Nil(t, m.Messages("dreams"))
}

// Any text is taken and reads back the same; bytes that are no UTF-8 read as U+FFFD.
func FuzzAnyTextArrives(f *testing.F) {
	for _, s := range []string{"", "plain", "\x00\x1f\x7f", "\ufffe\uffff\\\ufffe", "\xff\xfe", "\\ufffe", "<>&\u2028\u2029", "\U0010ffff"} {
		f.Add(s, []byte(`{"a":"b"}`))
	}
	f.Add("", []byte("{\"a\":\"\xff\ufffe\"}"))
	f.Fuzz(func(t *testing.T, text string, raw []byte) {
		type message struct {
			Text string
			Raw  json.RawMessage
		}
		if !json.Valid(raw) {
			raw = []byte("null")
		}
		if len(text)+len(raw) > queue.MaxBytes/8 {
			return
		}
		m := queue.NewMemory("q")
		s, err := queue.New[message](m, "q", retry.Policy{})
		require.NoError(t, err)
		require.NoError(t, s.Send(t.Context(), message{text, raw}))
		bodies := m.Messages("q")
		require.Len(t, bodies, 1)
		require.True(t, utf8.ValidString(bodies[0]))
		var got message
		require.NoError(t, json.Unmarshal([]byte(bodies[0]), &got))
		want, _ := json.Marshal(text)
		var plain string
		require.NoError(t, json.Unmarshal(want, &plain))
		require.Equal(t, plain, got.Text)
	})
}
