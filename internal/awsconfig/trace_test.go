package awsconfig

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/expenzez/aws-backend/internal/retry"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

// spans are what a call against a stand-in for AWS leaves, and the log line of its request.
func spans(t *testing.T, answer http.HandlerFunc, call func(context.Context, aws.Config)) (tracetest.SpanStubs, string) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	m := maps.Clone(lambda)
	m["AWS_ENDPOINT_URL"] = server.URL
	cfg, err := Load(lookup(m))
	require.NoError(t, err)
	cfg.Retryer = func() aws.Retryer { return retry.Retryer(retry.Policy{Random: func() float64 { return 0 }}) }
	recorder := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test")
	var log bytes.Buffer
	ctx := telemetry.Begin(t.Context(), telemetry.New(&log, telemetry.Options{}))
	ctx, parent := tracer.Start(ctx, "parent")
	call(ctx, cfg)
	telemetry.End(ctx, slog.LevelInfo, "request")
	parent.End()
	all := tracetest.SpanStubsFromReadOnlySpans(recorder.Ended())
	require.Equal(t, "parent", all[len(all)-1].Name)
	return all[:len(all)-1], log.String()
}

func attributes(s tracetest.SpanStub) map[attribute.Key]any {
	all := map[attribute.Key]any{}
	for _, kv := range s.Attributes {
		all[kv.Key] = kv.Value.AsInterface()
	}
	return all
}

func get(ctx context.Context, cfg aws.Config) {
	_, _ = dynamodb.NewFromConfig(cfg).GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("expenzez-dev-users"),
		Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "USER#hunter2"}}})
}

func TestACallIsOneSpan(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		answers []int // statuses, the last one for ever; 0 drops the connection
		code    string
		want    map[attribute.Key]any
		failed  bool
		retries string
	}{
		"success":          {[]int{200}, "", map[attribute.Key]any{telemetry.AttrStatus: int64(200), telemetry.AttrAWSRequest: "R1"}, false, ""},
		"refused":          {[]int{400}, "ResourceNotFoundException", map[attribute.Key]any{telemetry.AttrStatus: int64(400), telemetry.AttrAWSRequest: "R1", telemetry.AttrError: "ResourceNotFoundException", telemetry.AttrThrottled: false}, true, ""},
		"throttled":        {[]int{400}, "ThrottlingException", map[attribute.Key]any{telemetry.AttrStatus: int64(400), telemetry.AttrAWSRequest: "R1", telemetry.AttrError: "ThrottlingException", telemetry.AttrThrottled: true, telemetry.AttrAttempts: int64(3)}, true, `"AWSRetries":2`},
		"throttled_once":   {[]int{400, 200}, "ThrottlingException", map[attribute.Key]any{telemetry.AttrStatus: int64(200), telemetry.AttrAWSRequest: "R1", telemetry.AttrAttempts: int64(2)}, false, `"AWSRetries":1`},
		"server_error":     {[]int{500}, "InternalServerError", map[attribute.Key]any{telemetry.AttrStatus: int64(500), telemetry.AttrAWSRequest: "R1", telemetry.AttrError: "InternalServerError", telemetry.AttrThrottled: false, telemetry.AttrAttempts: int64(3)}, true, `"AWSRetries":2`},
		"connection_drops": {[]int{0}, "", map[attribute.Key]any{telemetry.AttrError: "*errors.errorString", telemetry.AttrAttempts: int64(3)}, true, `"AWSRetries":2`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int32
			got, line := spans(t, func(w http.ResponseWriter, _ *http.Request) {
				status := c.answers[min(int(n.Add(1)), len(c.answers))-1]
				if status == 0 {
					panic(http.ErrAbortHandler)
				}
				w.Header().Set("X-Amzn-RequestId", "R1")
				if status >= 400 {
					w.Header().Set("X-Amzn-ErrorType", c.code)
				}
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"message":"hunter2"}`)
			}, get)
			require.Len(t, got, 1)
			require.Equal(t, "DynamoDB", got[0].Name)
			require.Equal(t, trace.SpanKindClient, got[0].SpanKind)
			want := maps.Clone(c.want)
			want[telemetry.AttrAWSService], want[telemetry.AttrOperation], want[telemetry.AttrRegion] = "DynamoDB", "GetItem", "eu-west-2"
			want[telemetry.AttrTables] = []string{"expenzez-dev-users"}
			require.Equal(t, want, attributes(got[0]))
			require.Equal(t, c.failed, got[0].Status.Code == codes.Error)
			require.Empty(t, got[0].Status.Description)
			require.Empty(t, got[0].Events)
			if c.retries != "" {
				require.Contains(t, line, c.retries)
			} else {
				require.NotContains(t, line, "AWSRetries")
			}
		})
	}
}

func TestOtherServicesAreTracedToo(t *testing.T) {
	t.Parallel()
	got, _ := spans(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) }, func(ctx context.Context, cfg aws.Config) {
		_, _ = kms.NewFromConfig(cfg).Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: []byte("hunter2")})
	})
	require.Len(t, got, 1)
	all := attributes(got[0])
	require.Equal(t, "KMS", all[telemetry.AttrAWSService])
	require.Equal(t, "Decrypt", all[telemetry.AttrOperation])
	require.NotContains(t, all, telemetry.AttrTables)
}

func TestCallsOutsideATraceAreMadeAsEver(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) }))
	t.Cleanup(server.Close)
	m := maps.Clone(lambda)
	m["AWS_ENDPOINT_URL"] = server.URL
	cfg, err := Load(lookup(m))
	require.NoError(t, err)
	_, err = dynamodb.NewFromConfig(cfg).GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("x"), Key: map[string]types.AttributeValue{}})
	require.NoError(t, err)
}

func TestTablesOfACall(t *testing.T) {
	t.Parallel()
	a, b := aws.String("a"), aws.String("b")
	cases := map[string]struct {
		in   any
		want []string
	}{
		"get":      {&dynamodb.GetItemInput{TableName: a}, []string{"a"}},
		"put":      {&dynamodb.PutItemInput{TableName: a}, []string{"a"}},
		"update":   {&dynamodb.UpdateItemInput{TableName: a}, []string{"a"}},
		"delete":   {&dynamodb.DeleteItemInput{TableName: a}, []string{"a"}},
		"query":    {&dynamodb.QueryInput{TableName: a}, []string{"a"}},
		"unnamed":  {&dynamodb.QueryInput{}, nil},
		"batchGet": {&dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"b": {}, "a": {}}}, []string{"a", "b"}},
		"batchPut": {&dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"b": nil, "a": nil}}, []string{"a", "b"}},
		"transact": {&dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{{Put: &types.Put{TableName: b}}, {Update: &types.Update{TableName: a}},
			{Delete: &types.Delete{TableName: a}}, {ConditionCheck: &types.ConditionCheck{TableName: aws.String("c")}}, {}}}, []string{"a", "b", "c"}},
		"other":   {&kms.DecryptInput{}, nil},
		"nothing": {nil, nil},
	}
	for name, c := range cases {
		require.Equal(t, strings.Join(c.want, " "), strings.Join(tables(c.in), " "), name)
		require.True(t, slices.IsSorted(tables(c.in)))
	}
}
