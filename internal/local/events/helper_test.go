package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/deployment"
	"github.com/expenzez/aws-backend/internal/local/aws"
	"github.com/expenzez/aws-backend/internal/local/lambda"
	"github.com/expenzez/aws-backend/internal/local/moto"
)

const (
	account     = "111122223333"
	region      = "eu-west-2"
	arns        = "arn:aws:lambda:eu-west-2:111122223333:function:"
	role        = "arn:aws:iam::111122223333:role/consumer"
	scheduler   = "arn:aws:iam::111122223333:role/scheduler"
	scheduleARN = "arn:aws:scheduler:eu-west-2:111122223333:schedule/default/nightly"
)

// theCloud is one emulator and front for all tests of this package; tests keep apart by names.
var theCloud struct {
	once  sync.Once
	moto  *moto.Server
	front *aws.Front
	http  *httptest.Server
	err   error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if theCloud.moto != nil {
		theCloud.http.Close()
		if err := errors.Join(theCloud.front.Close(), theCloud.moto.Close()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// cloud is a Config on the emulator, less the deployment and what to invoke.
func cloud(t *testing.T) Config {
	t.Helper()
	theCloud.once.Do(func() {
		if theCloud.moto, theCloud.err = moto.Start(context.Background(), moto.Options{Account: account, Region: region}); theCloud.err != nil {
			return
		}
		theCloud.front, theCloud.err = aws.New(aws.Config{Backend: theCloud.moto.URL, Account: account, Region: region})
		theCloud.http = httptest.NewServer(theCloud.front)
	})
	require.NoError(t, theCloud.err)
	id, secret := theCloud.front.AdminCredentials()
	return Config{
		Credentials: theCloud.front.Credentials, Endpoint: theCloud.http.URL, Operator: credentials.NewStaticCredentialsProvider(id, secret, ""),
		Log: func(source, line string) { t.Log(source, line) },
	}
}

// nowhere is a Config without a network: what talks to AWS is replaced by the test.
func nowhere(t *testing.T) Config {
	t.Helper()
	return Config{
		Credentials: func(context.Context, string) (string, string, string, error) { return "id", "secret", "token", nil },
		Endpoint:    "http://127.0.0.1:1", Operator: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		Log: func(source, line string) { t.Log(source, line) },
	}
}

// operator is the SDK's configuration of the operator.
func operator(c Config) sdk.Config {
	return sdk.Config{Region: region, BaseEndpoint: &c.Endpoint, Credentials: c.Operator}
}

var made atomic.Int64

func unique(kind string) string { return fmt.Sprint(kind, "-", made.Add(1)) }

type m = map[string]any

func with(base, change m) m {
	all := maps.Clone(base)
	maps.Copy(all, change)
	return all
}

func resource(token, name string, inputs, outputs m) deployment.Resource {
	return deployment.Resource{Type: token, Name: name, Inputs: inputs, Outputs: with(inputs, outputs)}
}

func deployed(resources ...deployment.Resource) *deployment.Deployment {
	function := resource(typeFunction, "consumer", m{}, m{"arn": arns + "consumer", "role": role, "version": "7"})
	return &deployment.Deployment{Resources: append([]deployment.Resource{function}, resources...)}
}

func queueARN(name string) string { return "arn:aws:sqs:" + region + ":" + account + ":" + name }

func queueAddress(name string) string {
	return "https://sqs." + region + ".amazonaws.com/" + account + "/" + name
}

func deployedQueue(name, redrive string) deployment.Resource {
	return resource(typeQueue, name, m{"name": name, "redrivePolicy": redrive}, m{"arn": queueARN(name), "url": queueAddress(name)})
}

func queueMapping(queue string, change m) deployment.Resource {
	return resource(typeMapping, queue, with(m{
		"eventSourceArn": queueARN(queue), "functionName": arns + "consumer:live", "enabled": true, "batchSize": 10.0,
		"functionResponseTypes": []any{"ReportBatchItemFailures"},
	}, change), m{"functionArn": arns + "consumer:live", "uuid": "u", "state": "Enabled"})
}

func streamMapping(stream string, change m) deployment.Resource {
	return resource(typeMapping, "stream", with(m{
		"eventSourceArn": stream, "functionName": arns + "consumer:live", "enabled": true, "batchSize": 100.0, "startingPosition": "TRIM_HORIZON", "parallelizationFactor": 1.0,
		"functionResponseTypes": []any{"ReportBatchItemFailures"},
	}, change), m{"functionArn": arns + "consumer:live"})
}

func deployedSchedule(change m) deployment.Resource {
	target := m{"arn": arns + "consumer:live", "roleArn": scheduler, "input": `{"task":"sweep"}`}
	if t, ok := change["target"].(m); ok {
		target = with(target, t)
	}
	return resource(typeSchedule, "nightly", with(with(m{
		"name": "nightly", "groupName": "default", "scheduleExpression": "rate(1 hour)", "scheduleExpressionTimezone": "UTC", "state": "ENABLED",
		"flexibleTimeWindow": m{"mode": "OFF"}, "description": "d",
	}, change), m{"target": target}), m{"arn": scheduleARN})
}

// consumer is a function that a test answers for.
type consumer struct {
	mu       sync.Mutex
	payloads []string
	at       []time.Time
	answer   func(ctx context.Context, call int, payload string) (lambda.Result, error)
}

func (c *consumer) invoke(ctx context.Context, _ string, payload []byte) (lambda.Result, error) {
	c.mu.Lock()
	c.payloads, c.at = append(c.payloads, string(payload)), append(c.at, time.Now())
	call := len(c.payloads)
	c.mu.Unlock()
	if c.answer == nil {
		return lambda.Result{Payload: []byte(`{"batchItemFailures":[]}`)}, nil
	}
	return c.answer(ctx, call, string(payload))
}

func (c *consumer) calls() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.payloads...)
}

func broken() (lambda.Result, error) {
	return lambda.Result{FunctionError: "Unhandled", Payload: []byte(`{"errorType":"Deliberate","errorMessage":"secret words"}`)}, nil
}

func fine() (lambda.Result, error) { return lambda.Result{Payload: []byte("null")}, nil }

func itemsFailed(ids ...string) (lambda.Result, error) {
	list := []any{}
	for _, id := range ids {
		list = append(list, m{"itemIdentifier": id})
	}
	payload, err := json.Marshal(m{"batchItemFailures": list})
	return lambda.Result{Payload: payload}, err
}

// records are the records of an event.
func records(t *testing.T, payload string) []m {
	t.Helper()
	var event struct{ Records []m }
	require.NoError(t, json.Unmarshal([]byte(payload), &event))
	return event.Records
}

// running is a dispatcher that is started and closed by the test's end.
func running(t *testing.T, cfg Config, d *deployment.Deployment, c *consumer) *Dispatcher {
	t.Helper()
	cfg.Deployment, cfg.Invoke = d, c.invoke
	dispatcher, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, dispatcher.Close()) })
	dispatcher.Start()
	return dispatcher
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	require.Eventually(t, holds, 30*time.Second, 20*time.Millisecond, what)
}

// makeQueue makes a queue in the emulator; dead is its dead-letter queue, empty for none.
func makeQueue(t *testing.T, c Config, visibility, dead string, receives int) (string, deployment.Resource) {
	t.Helper()
	name, redrive := unique("queue"), ""
	attributes := map[string]string{"VisibilityTimeout": visibility}
	if dead != "" {
		redrive = fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`, queueARN(dead), receives)
		attributes["RedrivePolicy"] = redrive
	}
	_, err := sqs.NewFromConfig(operator(c)).CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	require.NoError(t, err)
	return name, deployedQueue(name, redrive)
}

// send puts messages into a queue and returns their ids.
func send(t *testing.T, c Config, queue string, bodies ...string) []string {
	t.Helper()
	var ids []string
	for _, body := range bodies {
		out, err := sqs.NewFromConfig(operator(c)).SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: sdk.String(queueAddress(queue)), MessageBody: sdk.String(body),
			MessageAttributes: map[string]types.MessageAttributeValue{
				"kind": {DataType: sdk.String("String"), StringValue: sdk.String("test")}, "raw": {DataType: sdk.String("Binary"), BinaryValue: []byte{1, 2}},
			}})
		require.NoError(t, err)
		ids = append(ids, sdk.ToString(out.MessageId))
	}
	return ids
}

// receive takes what is visible in a queue, at once.
func receive(t *testing.T, c Config, queue string) []types.Message {
	t.Helper()
	out, err := sqs.NewFromConfig(operator(c)).ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: sdk.String(queueAddress(queue)), MaxNumberOfMessages: 10,
		MessageAttributeNames: []string{"All"}, MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll}})
	require.NoError(t, err)
	return out.Messages
}

// depthOf is how many messages a queue has, visible and hidden.
func depthOf(t *testing.T, c Config, queue string) string {
	t.Helper()
	out, err := sqs.NewFromConfig(operator(c)).GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: sdk.String(queueAddress(queue)),
		AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
	require.NoError(t, err)
	return out.Attributes["ApproximateNumberOfMessages"] + " " + out.Attributes["ApproximateNumberOfMessagesNotVisible"]
}
