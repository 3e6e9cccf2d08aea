package fault_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

// done says whether the other side does what it is asked when a call fails that way.
func done(k fault.Kind) bool { return k == fault.None || k == fault.Lost || k == fault.Truncated }

func TestTransportFailsAsNetworksDo(t *testing.T) {
	t.Parallel()
	want := map[fault.Kind]error{fault.Unsent: syscall.ECONNREFUSED, fault.Lost: syscall.ECONNRESET, fault.Truncated: io.ErrUnexpectedEOF}
	for _, kind := range append(fault.Kinds(), fault.None) {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			reached := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				reached++
				_, _ = io.WriteString(w, "a whole answer")
			}))
			defer server.Close()
			transport := fault.NewTransport(nil, fault.At(0, fault.Fault{Kind: kind}))
			client := &http.Client{Transport: transport}

			response, err := client.Get(server.URL + "/x")
			var body []byte
			if err == nil {
				body, err = io.ReadAll(response.Body)
				require.NoError(t, response.Body.Close())
			}
			require.Equal(t, done(kind), reached == 1)
			if want[kind] != nil {
				require.ErrorIs(t, err, want[kind])
			} else {
				require.NoError(t, err)
			}
			switch kind {
			case fault.Throttled:
				require.Equal(t, 400, response.StatusCode)
				require.Contains(t, string(body), "ThrottlingException")
			case fault.Broken:
				require.Equal(t, 500, response.StatusCode)
			case fault.Truncated:
				require.Equal(t, "a whole", string(body))
			case fault.None:
				require.Equal(t, "a whole answer", string(body))
			default:
			}

			response, err = client.Get(server.URL + "/x")
			require.NoError(t, err, "the next call does not fail")
			require.NoError(t, response.Body.Close())
			require.Equal(t, []string{"GET /x", "GET /x"}, transport.Calls())
		})
	}
}

// The SDK above the transport sees codes and operations, and tries again by itself.
func TestTransportBelowTheSDK(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = io.WriteString(w, "{}")
	}))
	defer server.Close()
	transport := fault.NewTransport(nil, fault.First("GetItem", fault.Fault{Kind: fault.Throttled}))
	db := store.Open(aws.Config{Region: "eu-west-2", BaseEndpoint: &server.URL, HTTPClient: transport,
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")}, store.Options{})
	in := &dynamodb.GetItemInput{TableName: aws.String("t"), Key: store.Item{"pk": store.S("a")}}
	_, err := db.GetItem(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, []string{"GetItem", "GetItem"}, transport.Calls())

	transport.Follow(fault.From(0, fault.Fault{Kind: fault.Throttled}))
	_, err = db.GetItem(t.Context(), in)
	require.True(t, store.Transient(err), "%v", err)
	require.Len(t, transport.Calls(), 3)
}

func TestDBFailsAsTheSDKDoes(t *testing.T) {
	t.Parallel()
	for _, kind := range append(fault.Kinds(), fault.None) {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			memory := mem.New(mem.Schema{Name: "t", Hash: "pk"})
			db := fault.NewDB(memory, fault.First("PutItem", fault.Fault{Kind: kind}))
			_, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("t"), Item: store.Item{"pk": store.S("a")}})
			require.Equal(t, done(kind), len(memory.Items("t")) == 1)
			require.Equal(t, kind == fault.Throttled, store.Transient(err))
			if kind != fault.None {
				var operation *smithy.OperationError
				require.ErrorAs(t, err, &operation)
				require.Equal(t, "PutItem", operation.OperationName)
			}
			_, err = db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("t"), Key: store.Item{"pk": store.S("a")}})
			require.NoError(t, err)
			require.Equal(t, []string{"PutItem", "GetItem"}, db.Calls())
		})
	}
}

// A batch that is done in part names what is left, and what is left completes it.
func TestDBLeavesPartsOfBatches(t *testing.T) {
	t.Parallel()
	put := func(pk string) types.WriteRequest {
		return types.WriteRequest{PutRequest: &types.PutRequest{Item: store.Item{"pk": store.S(pk)}}}
	}
	keys := func(pks ...string) types.KeysAndAttributes {
		asked := types.KeysAndAttributes{ConsistentRead: aws.Bool(true)}
		for _, pk := range pks {
			asked.Keys = append(asked.Keys, store.Item{"pk": store.S(pk)})
		}
		return asked
	}
	for left, want := range map[int]struct {
		written []int // of the tables a and b
		rest    map[string][]types.WriteRequest
		unread  map[string]types.KeysAndAttributes
	}{
		0: {[]int{2, 2}, map[string][]types.WriteRequest{}, map[string]types.KeysAndAttributes{}},
		1: {[]int{2, 1}, map[string][]types.WriteRequest{"b": {put("4")}}, map[string]types.KeysAndAttributes{"b": keys("4")}},
		3: {[]int{1, 0}, map[string][]types.WriteRequest{"b": {put("4"), put("3")}, "a": {put("2")}}, map[string]types.KeysAndAttributes{"b": keys("4", "3"), "a": keys("2")}},
		9: {[]int{1, 0}, map[string][]types.WriteRequest{"b": {put("4"), put("3")}, "a": {put("2")}}, map[string]types.KeysAndAttributes{"b": keys("4", "3"), "a": keys("2")}},
	} {
		memory := mem.New(mem.Schema{Name: "a", Hash: "pk"}, mem.Schema{Name: "b", Hash: "pk"})
		db := fault.NewDB(memory, fault.From(0, fault.Fault{Unprocessed: left}))
		in := &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"a": {put("1"), put("2")}, "b": {put("3"), put("4")}}}
		out, err := db.BatchWriteItem(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, want.rest, out.UnprocessedItems)
		require.Equal(t, want.written, []int{len(memory.Items("a")), len(memory.Items("b"))})
		require.Len(t, in.RequestItems["b"], 2, "the caller's input stays as it was")
		db.Follow(nil)
		if left > 0 {
			_, err = db.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: out.UnprocessedItems})
			require.NoError(t, err)
		}
		require.Len(t, append(memory.Items("a"), memory.Items("b")...), 4)

		db.Follow(fault.From(0, fault.Fault{Unprocessed: left}))
		got, err := db.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"a": keys("1", "2"), "b": keys("3", "4")}})
		require.NoError(t, err)
		require.Equal(t, want.unread, got.UnprocessedKeys)
		require.Equal(t, want.written[0], len(got.Responses["a"]))
		require.Equal(t, want.written[1], len(got.Responses["b"]))
	}
}

// A call that is late costs the caller no more than its deadline, and is not made after it.
func TestDelayEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := mem.New(mem.Schema{Name: "t", Hash: "pk"})
		db := fault.NewDB(memory, fault.From(0, fault.Fault{Delay: time.Minute}))
		in := &dynamodb.PutItemInput{TableName: aws.String("t"), Item: store.Item{"pk": store.S("a")}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := db.PutItem(ctx, in)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		require.Empty(t, memory.Items("t"))

		_, err = db.PutItem(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, time.Second+time.Minute, time.Since(began))
	})
}

func TestSometimesIsRepeatable(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) (failed []int) {
		plan := fault.Sometimes(seed, 0.3, fault.Fault{Kind: fault.Lost}, fault.Fault{Kind: fault.Broken})
		for i := range 1000 {
			if plan(i, "PutItem") != (fault.Fault{}) {
				failed = append(failed, i)
			}
		}
		return failed
	}
	require.Equal(t, run(1), run(1))
	require.NotEqual(t, run(1), run(2))
	require.InDelta(t, 300, len(run(1)), 60)
}

func TestClockMovesOnlyWhenTold(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := fault.NewClock(start)
	require.Equal(t, start, c.Now())
	require.Equal(t, start.Add(-time.Hour), c.Jump(-time.Hour))
	require.Equal(t, start.Add(-time.Hour), c.Now())
}
