package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamo "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/local/lambda"
)

// table is a table of the emulator with a stream.
type table struct {
	t            *testing.T
	api          *dynamodb.Client
	name, stream string
}

func makeTable(t *testing.T, c Config) table {
	t.Helper()
	tb := table{t: t, api: dynamodb.NewFromConfig(operator(c)), name: unique("table")}
	out, err := tb.api.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &tb.name, BillingMode: dynamo.BillingModePayPerRequest,
		AttributeDefinitions: []dynamo.AttributeDefinition{{AttributeName: sdk.String("pk"), AttributeType: dynamo.ScalarAttributeTypeS}},
		KeySchema:            []dynamo.KeySchemaElement{{AttributeName: sdk.String("pk"), KeyType: dynamo.KeyTypeHash}},
		StreamSpecification:  &dynamo.StreamSpecification{StreamEnabled: sdk.Bool(true), StreamViewType: dynamo.StreamViewTypeNewAndOldImages},
	})
	require.NoError(t, err)
	tb.stream = sdk.ToString(out.TableDescription.LatestStreamArn)
	return tb
}

func (tb table) put(pk, value string) {
	tb.t.Helper()
	_, err := tb.api.PutItem(tb.t.Context(), &dynamodb.PutItemInput{TableName: &tb.name, Item: map[string]dynamo.AttributeValue{
		"pk": &dynamo.AttributeValueMemberS{Value: pk}, "n": &dynamo.AttributeValueMemberN{Value: value},
		"all": &dynamo.AttributeValueMemberL{Value: []dynamo.AttributeValue{
			&dynamo.AttributeValueMemberB{Value: []byte{1, 2}}, &dynamo.AttributeValueMemberBOOL{Value: true}, &dynamo.AttributeValueMemberNULL{Value: true},
			&dynamo.AttributeValueMemberSS{Value: []string{"s"}}, &dynamo.AttributeValueMemberNS{Value: []string{"1"}}, &dynamo.AttributeValueMemberBS{Value: [][]byte{{3}}},
			&dynamo.AttributeValueMemberM{Value: map[string]dynamo.AttributeValue{"k": &dynamo.AttributeValueMemberS{Value: "v"}}},
		}},
	}})
	require.NoError(tb.t, err)
}

func (tb table) remove(pk string) {
	tb.t.Helper()
	_, err := tb.api.DeleteItem(tb.t.Context(), &dynamodb.DeleteItemInput{TableName: &tb.name, Key: map[string]dynamo.AttributeValue{"pk": &dynamo.AttributeValueMemberS{Value: pk}}})
	require.NoError(tb.t, err)
}

func TestRecordsComeInAWSsShapeByTheFunctionsRole(t *testing.T) {
	t.Parallel()
	c := cloud(t)
	tb := makeTable(t, c)
	tb.put("a", "1")
	tb.put("a", "2")
	tb.remove("a")
	f := &consumer{}
	d := running(t, c, deployed(streamMapping(tb.stream, nil)), f)
	eventually(t, "the records have come", func() bool { return len(f.calls()) > 0 })
	got := records(t, f.calls()[0])
	require.Len(t, got, 3)
	image := func(n string) m {
		return m{"pk": m{"S": "a"}, "n": m{"N": n}, "all": m{"L": []any{
			m{"B": "AQI="}, m{"BOOL": true}, m{"NULL": true}, m{"SS": []any{"s"}}, m{"NS": []any{"1"}}, m{"BS": []any{"Aw=="}}, m{"M": m{"k": m{"S": "v"}}},
		}}}
	}
	for i, r := range got {
		require.NotEmpty(t, r["eventID"])
		delete(r, "eventID")
		change := r["dynamodb"].(m)
		require.InDelta(t, float64(time.Now().Unix()), change["ApproximateCreationDateTime"], 60, "seconds of the epoch")
		require.Positive(t, change["SizeBytes"])
		require.Regexp(t, `^[0-9]{21,}$`, change["SequenceNumber"])
		for _, varies := range []string{"ApproximateCreationDateTime", "SizeBytes", "SequenceNumber"} {
			delete(change, varies)
		}
		want := m{"Keys": m{"pk": m{"S": "a"}}, "StreamViewType": "NEW_AND_OLD_IMAGES"}
		if i < 2 {
			want["NewImage"] = image(fmt.Sprint(i + 1))
		}
		if i > 0 {
			want["OldImage"] = image(fmt.Sprint(i))
		}
		require.Equal(t, m{
			"eventName": []string{"INSERT", "MODIFY", "REMOVE"}[i], "eventVersion": "1.1", "eventSource": "aws:dynamodb", "awsRegion": region,
			"eventSourceARN": tb.stream, "dynamodb": want,
		}, r)
	}
	s := d.Status(t.Context())
	require.Equal(t, tb.name, s.Streams[0].Name)
	require.Equal(t, "consumer", s.Streams[0].Function)
	require.False(t, s.Streams[0].Last.IsZero())
	require.Less(t, s.Streams[0].Lag, time.Minute)
	var who []string
	for _, call := range theCloud.front.Calls() {
		if call.Action == "GetRecords" {
			who = append(who, call.Principal)
		}
	}
	require.Contains(t, who, role)
	require.NotContains(t, who, theCloudOperator())
}

func theCloudOperator() string { return "arn:aws:iam::" + account + ":user/operator" }

func TestStreamIsReadFromTheDeployedPosition(t *testing.T) {
	t.Parallel()
	c := cloud(t)
	for from, want := range map[types.ShardIteratorType][]string{types.ShardIteratorTypeTrimHorizon: {"old", "new"}, types.ShardIteratorTypeLatest: {"new"}} {
		tb := makeTable(t, c)
		tb.put("old", "1")
		cfg := c
		cfg.Deployment = deployed(streamMapping(tb.stream, m{"startingPosition": string(from)}))
		d, err := New(cfg)
		require.NoError(t, err)
		described, err := d.streams[0].api.DescribeStream(t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: &tb.stream})
		require.NoError(t, err)
		r := &shardReader{stream: d.streams[0], id: sdk.ToString(described.StreamDescription.Shards[0].ShardId)}
		first, err := r.gather(t.Context())
		require.NoError(t, err)
		tb.put("new", "1")
		second, err := r.gather(t.Context())
		require.NoError(t, err)
		var got []string
		for _, one := range append(first, second...) {
			var fields m
			require.NoError(t, json.Unmarshal(one.body, &fields))
			got = append(got, fields["dynamodb"].(m)["Keys"].(m)["pk"].(m)["S"].(string))
		}
		require.Equal(t, want, got, from)
		require.NoError(t, d.Close())
	}
}

// On the emulator: order and partial failure, a filter, and a failure record that arrives in the destination.
func TestStreamOnTheEmulator(t *testing.T) {
	t.Parallel()
	c := cloud(t)
	tb := makeTable(t, c)
	dead, deadQueue := makeQueue(t, c, "60", "", 0)
	for i := range 5 {
		tb.put("item", fmt.Sprint(i))
	}
	tb.put("poison", "1")
	tb.remove("item")
	f := &consumer{answer: func(_ context.Context, call int, payload string) (lambda.Result, error) {
		for _, r := range recordsOf(payload) {
			if key(r) == "poison" || call == 1 && value(r) == "2" {
				return itemsFailed(r["dynamodb"].(m)["SequenceNumber"].(string))
			}
		}
		return fine()
	}}
	running(t, c, deployed(deadQueue, streamMapping(tb.stream, m{
		"batchSize": 5.0, "maximumRetryAttempts": 1.0, "destinationConfig": m{"onFailure": m{"destinationArn": queueARN(dead)}},
		"filterCriteria": m{"filters": []any{m{"pattern": `{"eventName":["INSERT","MODIFY"]}`}}},
	})), f)
	eventually(t, "the destination is told", func() bool { return depthOf(t, c, dead) == "1 0" })
	var seen []string
	for _, call := range f.calls() {
		batch := ""
		for _, r := range records(t, call) {
			batch += key(r) + value(r) + " "
		}
		seen = append(seen, batch)
	}
	require.Equal(t, []string{"item0 item1 item2 item3 item4 ", "item2 item3 item4 ", "poison1 ", "poison1 "}, seen)
	var told failureRecord
	require.NoError(t, json.Unmarshal([]byte(sdk.ToString(receive(t, c, dead)[0].Body)), &told))
	require.Equal(t, tb.stream, told.Batch.Stream)
	require.Equal(t, 1, told.Batch.Size)
	require.Equal(t, "RetryAttemptsExhausted", told.Request.Condition)
}

func recordsOf(payload string) []m {
	var event struct{ Records []m }
	_ = json.Unmarshal([]byte(payload), &event) // made by this package
	return event.Records
}

func key(r m) string { return r["dynamodb"].(m)["Keys"].(m)["pk"].(m)["S"].(string) }

func value(r m) string {
	image, ok := r["dynamodb"].(m)["NewImage"].(m)
	if !ok {
		return ""
	}
	return image["n"].(m)["N"].(string)
}

// memoryStream is a stream of one shard without a network. Sequence numbers count from 1.
type memoryStream struct {
	mu     sync.Mutex
	all    []types.Record
	reads  int
	broken error
	told   []string // by SendMessage
	deaf   int      // how many SendMessage fail first
	closed bool     // no iterator follows the last record
}

func (s *memoryStream) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		id := fmt.Sprint(len(s.all) + 1)
		item := map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: id}}
		s.all = append(s.all, types.Record{EventID: sdk.String("e" + id), EventName: types.OperationTypeInsert, Dynamodb: &types.StreamRecord{
			SequenceNumber: &id, Keys: item, NewImage: item, ApproximateCreationDateTime: sdk.Time(time.Now()), SizeBytes: sdk.Int64(2), StreamViewType: types.StreamViewTypeNewImage,
		}})
	}
}

func (*memoryStream) DescribeStream(context.Context, *dynamodbstreams.DescribeStreamInput, ...func(*dynamodbstreams.Options)) (*dynamodbstreams.DescribeStreamOutput, error) {
	return &dynamodbstreams.DescribeStreamOutput{StreamDescription: &types.StreamDescription{Shards: []types.Shard{{ShardId: sdk.String("shard-1")}}}}, nil
}

func (s *memoryStream) GetShardIterator(_ context.Context, in *dynamodbstreams.GetShardIteratorInput, _ ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetShardIteratorOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := map[types.ShardIteratorType]string{types.ShardIteratorTypeTrimHorizon: "0", types.ShardIteratorTypeLatest: fmt.Sprint(len(s.all))}[in.ShardIteratorType]
	if in.SequenceNumber != nil {
		at = *in.SequenceNumber
	}
	return &dynamodbstreams.GetShardIteratorOutput{ShardIterator: &at}, nil
}

func (s *memoryStream) GetRecords(_ context.Context, in *dynamodbstreams.GetRecordsInput, _ ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetRecordsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.broken != nil {
		return nil, s.broken
	}
	from, err := strconv.Atoi(*in.ShardIterator)
	if err != nil {
		return nil, err
	}
	to := min(from+int(*in.Limit), len(s.all))
	out := &dynamodbstreams.GetRecordsOutput{Records: s.all[from:to], NextShardIterator: sdk.String(fmt.Sprint(to))}
	if s.closed && to == len(s.all) {
		out.NextShardIterator = nil
	}
	return out, nil
}

func (s *memoryStream) SendMessage(_ context.Context, in *sqs.SendMessageInput, _ ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deaf > 0 {
		s.deaf--
		return nil, errors.New("deliberate")
	}
	s.told = append(s.told, *in.MessageBody)
	return &sqs.SendMessageOutput{}, nil
}

const memoryARN = "arn:aws:dynamodb:eu-west-2:111122223333:table/t/stream/2026-01-01T00:00:00.000"

// onShard is a dispatcher of one mapping that reads a memoryStream; it is not started.
func onShard(t *testing.T, change m, f *consumer) (*Dispatcher, *memoryStream) {
	t.Helper()
	cfg := nowhere(t)
	cfg.Deployment = deployed(deployedQueue("failures", ""), streamMapping(memoryARN, with(m{"destinationConfig": m{"onFailure": m{"destinationArn": queueARN("failures")}}}, change)))
	cfg.Invoke = f.invoke
	d, err := New(cfg)
	require.NoError(t, err)
	s := &memoryStream{}
	d.streams[0].api, d.streams[0].out = s, s
	return d, s
}

// seen is the batches that the function got, as first-last of the sequence numbers.
func seen(t *testing.T, f *consumer) []string {
	t.Helper()
	var all []string
	for _, call := range f.calls() {
		list := records(t, call)
		number := func(r m) string { return r["dynamodb"].(m)["SequenceNumber"].(string) }
		all = append(all, number(list[0])+"-"+number(list[len(list)-1]))
	}
	return all
}

func failsWith(poison ...string) func(context.Context, int, string) (lambda.Result, error) {
	return func(_ context.Context, _ int, payload string) (lambda.Result, error) {
		for _, r := range recordsOf(payload) {
			for _, p := range poison {
				if key(r) == p {
					return broken()
				}
			}
		}
		return fine()
	}
}

// How a batch with trouble in it is tried, and what the destination is told.
func TestStreamRetries(t *testing.T) {
	t.Parallel()
	partial := func(ids ...string) func(context.Context, int, string) (lambda.Result, error) {
		return func(_ context.Context, call int, _ string) (lambda.Result, error) {
			if call > len(ids) || ids[call-1] == "" {
				return fine()
			}
			return itemsFailed(ids[call-1])
		}
	}
	for name, tc := range map[string]struct {
		change m
		answer func(context.Context, int, string) (lambda.Result, error)
		n      int
		seen   []string
		told   []string // condition start-end of the size after that many invocations
	}{
		"all well":              {m{}, nil, 3, []string{"1-3"}, nil},
		"batch size":            {m{"batchSize": 2.0}, nil, 5, []string{"1-2", "3-4", "5-5"}, nil},
		"no retries":            {m{"maximumRetryAttempts": 0.0}, failsWith("2"), 3, []string{"1-3"}, []string{"RetryAttemptsExhausted 1-3 3 1"}},
		"two retries":           {m{"maximumRetryAttempts": 2.0, "batchSize": 2.0}, failsWith("2"), 3, []string{"1-2", "1-2", "1-2", "3-3"}, []string{"RetryAttemptsExhausted 1-2 2 3"}},
		"bisected":              {m{"maximumRetryAttempts": 1.0, "bisectBatchOnFunctionError": true}, failsWith("2"), 4, []string{"1-4", "1-2", "1-1", "2-2", "2-2", "3-4"}, []string{"RetryAttemptsExhausted 2-2 1 4"}},
		"two that are bad":      {m{"maximumRetryAttempts": 0.0, "bisectBatchOnFunctionError": true}, failsWith("1", "3"), 3, []string{"1-3", "1-1", "2-3", "2-2", "3-3"}, []string{"RetryAttemptsExhausted 1-1 1 2", "RetryAttemptsExhausted 3-3 1 3"}},
		"partial":               {m{"maximumRetryAttempts": 1.0}, partial("3", "3", "3"), 4, []string{"1-4", "3-4"}, []string{"RetryAttemptsExhausted 3-4 2 2"}},
		"partial moves on":      {m{"maximumRetryAttempts": 1.0}, partial("2", "3", "4", ""), 4, []string{"1-4", "2-4", "3-4", "4-4"}, nil},
		"partial is first":      {m{"maximumRetryAttempts": 1.0}, partial("1", ""), 2, []string{"1-2", "1-2"}, nil},
		"partial is no one":     {m{"maximumRetryAttempts": 0.0}, partial("99"), 2, []string{"1-2"}, []string{"RetryAttemptsExhausted 1-2 2 1"}},
		"not asked for partial": {m{"functionResponseTypes": nil}, partial("1"), 2, []string{"1-2"}, nil},
		"no destination":        {m{"maximumRetryAttempts": 0.0, "destinationConfig": nil, "batchSize": 1.0}, failsWith("1"), 2, []string{"1-1", "2-2"}, nil},
		"filtered":              {m{"filterCriteria": m{"filters": []any{m{"pattern": `{"dynamodb":{"Keys":{"pk":{"S":["2","4"]}}}}`}}}}, nil, 4, []string{"2-4"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &consumer{answer: tc.answer}
				d, s := onShard(t, tc.change, f)
				s.add(tc.n)
				d.Start()
				time.Sleep(time.Hour)
				require.NoError(t, d.Close())
				require.Equal(t, tc.seen, seen(t, f))
				var told []string
				for _, body := range s.told {
					var r failureRecord
					require.NoError(t, json.Unmarshal([]byte(body), &r))
					told = append(told, fmt.Sprintf("%s %s-%s %d %d", r.Request.Condition, r.Batch.Start, r.Batch.End, r.Batch.Size, r.Request.Calls))
				}
				require.Equal(t, tc.told, told)
			})
		})
	}
}

func TestFailureRecordIsInAWSsShape(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &consumer{answer: failsWith("1")}
		d, s := onShard(t, m{"maximumRetryAttempts": 0.0}, f)
		s.deaf = 3
		s.add(1)
		arrived := time.Now().UTC().Format(time.RFC3339)
		d.Start()
		time.Sleep(time.Minute)
		require.NoError(t, d.Close())
		require.Len(t, s.told, 1, "it is told until it is heard, once")
		var told m
		require.NoError(t, json.Unmarshal([]byte(s.told[0]), &told))
		require.Regexp(t, `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, told["requestContext"].(m)["requestId"])
		require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, told["timestamp"])
		delete(told["requestContext"].(m), "requestId")
		delete(told, "timestamp")
		require.Equal(t, m{
			"requestContext":  m{"functionArn": arns + "consumer:live", "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 1.0},
			"responseContext": m{"statusCode": 200.0, "executedVersion": "7", "functionError": "Unhandled"},
			"version":         "1.0",
			"DDBStreamBatchInfo": m{
				"shardId": "shard-1", "startSequenceNumber": "1", "endSequenceNumber": "1", "approximateArrivalOfFirstRecord": arrived,
				"approximateArrivalOfLastRecord": arrived, "batchSize": 1.0, "streamArn": memoryARN,
			},
		}, told)
		require.Contains(t, d.Status(t.Context()).Streams[0].Error, "cannot be told")
	})
}

// Records that are too old are given up: those that were tried as those that were not.
func TestRecordAge(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer func(context.Context, int, string) (lambda.Result, error)
		calls  func(n int) bool
		age    float64
		late   time.Duration
	}{
		"tried":              {failsWith("1"), func(n int) bool { return n > 10 }, 60, 61 * time.Second},
		"throttled":          {func(context.Context, int, string) (lambda.Result, error) { return lambda.Result{}, lambda.ErrThrottled }, func(n int) bool { return n == 0 }, 60, 70 * time.Second},
		"as old as a stream": {failsWith("1"), func(n int) bool { return n > 1000 }, -1, 24*time.Hour + 5*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &consumer{answer: tc.answer}
				d, s := onShard(t, m{"maximumRecordAgeInSeconds": tc.age, "maximumRetryAttempts": -1.0, "bisectBatchOnFunctionError": true}, f)
				d.cfg.Log = func(string, string) {}
				s.add(1)
				d.Start()
				time.Sleep(tc.late - 15*time.Second)
				s.mu.Lock()
				require.Empty(t, s.told)
				s.mu.Unlock()
				time.Sleep(30 * time.Second)
				require.NoError(t, d.Close())
				require.Len(t, s.told, 1)
				var r failureRecord
				require.NoError(t, json.Unmarshal([]byte(s.told[0]), &r))
				require.Equal(t, "RecordAgeExceeded", r.Request.Condition)
				require.True(t, tc.calls(r.Request.Calls), r.Request.Calls)
				require.Equal(t, r.Request.Calls > 0, r.Response != nil)
			})
		})
	}
}

// While a batch is tried nothing that came later is seen.
func TestShardIsInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &consumer{answer: func(_ context.Context, call int, _ string) (lambda.Result, error) {
			if call <= 5 {
				return broken()
			}
			return fine()
		}}
		d, s := onShard(t, m{"batchSize": 1.0}, f)
		s.add(1)
		d.Start()
		time.Sleep(time.Second)
		require.Equal(t, time.Second, d.streams[0].status().Lag, "it lags behind while it tries")
		s.add(2)
		time.Sleep(time.Hour)
		require.NoError(t, d.Close())
		require.Equal(t, []string{"1-1", "1-1", "1-1", "1-1", "1-1", "1-1", "2-2", "3-3"}, seen(t, f))
	})
}

func TestStreamWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &consumer{}
		d, s := onShard(t, m{"maximumBatchingWindowInSeconds": 20.0}, f)
		d.Start()
		for range 10 {
			s.add(1)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		require.NoError(t, d.Close())
		require.Equal(t, []string{"1-10"}, seen(t, f))
	})
}

func TestExpiredIteratorIsAskedForAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &consumer{}
		d, s := onShard(t, m{"startingPosition": "LATEST"}, f)
		d.Start()
		time.Sleep(time.Second)
		s.add(1)
		time.Sleep(10 * time.Second)
		s.mu.Lock()
		s.broken = &types.ExpiredIteratorException{}
		s.mu.Unlock()
		time.Sleep(10 * time.Second)
		s.add(1)
		s.mu.Lock()
		s.broken = nil
		s.mu.Unlock()
		time.Sleep(10 * time.Second)
		require.NoError(t, d.Close())
		require.Equal(t, []string{"1-1", "2-2"}, seen(t, f), "none is lost and none comes twice")
		require.Contains(t, d.Status(t.Context()).Streams[0].Error, "cannot be read")
	})
}

// A record that cannot be understood stops the shard, and loses none before it.
func TestRecordThatIsNotUnderstoodStopsTheShard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &consumer{}
		d, s := onShard(t, nil, f)
		s.add(4)
		s.closed = true
		s.all[2].Dynamodb.NewImage = map[string]types.AttributeValue{"pk": nil}
		d.Start()
		time.Sleep(time.Minute)
		require.NoError(t, d.Close())
		require.Equal(t, []string{"1-2"}, seen(t, f))
		require.Contains(t, d.Status(t.Context()).Streams[0].Error, "a type that is not known here")
	})
}

func TestClosedShardIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &consumer{}
		d, s := onShard(t, nil, f)
		s.closed = true
		s.add(3)
		d.Start()
		time.Sleep(time.Hour)
		require.NoError(t, d.Close())
		require.Equal(t, 1, s.reads)
		require.Equal(t, []string{"1-3"}, seen(t, f))
	})
}

func TestStopEndsAStreamsRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &consumer{answer: failsWith("1")}
		d, s := onShard(t, m{"maximumRetryAttempts": -1.0}, f)
		s.add(1)
		d.Start()
		time.Sleep(time.Minute)
		start := time.Now()
		require.NoError(t, d.Close())
		require.Zero(t, time.Since(start))
		require.Empty(t, s.told)
	})
}
