package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/expenzez/aws-backend/internal/deployment"
)

const (
	longPoll    = 1  // seconds that a receive waits for messages: what Close may take
	maxReceive  = 10 // messages of one receive (SQS API reference, ReceiveMessage)
	concurrency = 5  // batches at a time (Lambda Developer Guide, "Configuring scaling behavior for SQS event source mappings")
)

// queueAPI is what is asked of SQS.
type queueAPI interface {
	ReceiveMessage(context.Context, *sqs.ReceiveMessageInput, ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessage(context.Context, *sqs.DeleteMessageInput, ...func(*sqs.Options)) (*sqs.DeleteMessageOutput, error)
	ChangeMessageVisibility(context.Context, *sqs.ChangeMessageVisibilityInput, ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityOutput, error)
}

var _ queueAPI = (*sqs.Client)(nil)

// queue reads one queue for one function.
type queue struct {
	mapping
	url   string
	slots chan struct{} // one for each batch under way
	api   queueAPI
}

func newQueue(m mapping, r *deployment.Resource) (*queue, error) {
	q := &queue{mapping: m, url: queueURL(m.d.cfg.Deployment, m.source)}
	problems := commonShape.with(queueShape).unknown(r.Inputs, "")
	if q.url == "" || strings.HasSuffix(m.source, ".fifo") {
		problems = append(problems, fmt.Errorf("its queue %q is no deployed standard queue", m.source))
	}
	most, err := whole(r, concurrency, 2, 1000, "scalingConfig", "maximumConcurrency")
	if err != nil {
		problems = append(problems, err)
	}
	if m.batch > maxReceive && m.window == 0 {
		problems = append(problems, errors.New("batchSize above 10 needs maximumBatchingWindowInSeconds"))
	}
	problems = append(problems, m.filter.sees("body")...)
	q.slots = make(chan struct{}, most)
	q.api = m.d.sqs(m.role, m.region)
	return q, errors.Join(problems...)
}

// read receives batches, one receive at a time, and has as many handled beside each other as the mapping allows.
func (q *queue) read() {
	var busy sync.WaitGroup
	defer busy.Wait()
	for {
		select {
		case <-q.d.stopping.Done():
		case q.slots <- struct{}{}:
		}
		if q.d.stopping.Err() != nil {
			return
		}
		batch, err := q.gather()
		q.unread(err)
		if len(batch) == 0 {
			<-q.slots
			pause(q.d.stopping, idle)
			continue
		}
		busy.Go(func() {
			defer func() { <-q.slots }()
			q.handle(batch)
		})
	}
}

// gather receives a batch. A receive is never broken off: a message that was on its way would stay hidden. With a
// window it goes on until the batch is full or the window, which begins with the first message, is over.
func (q *queue) gather() ([]types.Message, error) {
	var batch []types.Message
	var until time.Time
	for len(batch) < q.batch {
		ctx, cancel := orderly(q.d.stopping)
		out, err := q.api.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: &q.url, MaxNumberOfMessages: int32(min(q.batch-len(batch), maxReceive)), WaitTimeSeconds: longPoll, // #nosec G115 -- at most 10
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll}, MessageAttributeNames: []string{"All"},
		})
		cancel()
		if err != nil {
			return batch, err
		}
		batch = append(batch, out.Messages...)
		if len(batch) == 0 || q.window == 0 || q.d.stopping.Err() != nil {
			break
		}
		if until.IsZero() {
			until = time.Now().Add(q.window)
		}
		if !time.Now().Before(until) {
			break
		}
	}
	return batch, nil
}

// handle invokes the function with the messages that match and deletes those that are done. Those that failed come
// back when their visibility timeout ends, and go to the dead-letter queue when they have come back too often.
func (q *queue) handle(messages []types.Message) {
	if q.d.stopping.Err() != nil {
		q.giveBack(messages)
		return
	}
	byID := map[string]types.Message{}
	var batch []record
	for _, m := range messages {
		if !q.filter.matches(map[string]any{"body": filterBody(aws.ToString(m.Body))}) {
			q.remove(m) // page "Lambda event filtering": what does not match is deleted
			continue
		}
		body, err := encode(q.message(m))
		if err != nil {
			q.report("a message cannot be encoded: %v", err) // no text is impossible to encode
			continue
		}
		id := aws.ToString(m.MessageId)
		byID[id] = m
		batch = append(batch, record{id: id, body: body})
	}
	for _, part := range parts(batch) {
		q.deliver(part, byID)
	}
}

func (q *queue) deliver(part []record, byID map[string]types.Message) {
	a := q.invoke(q.d.working, part)
	switch {
	case q.d.working.Err() != nil && a.notInvoked != nil:
		for _, r := range part {
			q.giveBack([]types.Message{byID[r.id]})
		}
		return
	case a.notInvoked != nil || a.failed:
		return
	}
	for _, r := range part {
		if !a.items[r.id] {
			q.remove(byID[r.id])
		}
	}
	if len(a.items) == 0 {
		q.health.success(q.d.cfg.Now(), 0)
	}
}

func (q *queue) remove(m types.Message) {
	ctx, cancel := orderly(q.d.working)
	defer cancel()
	if _, err := q.api.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &q.url, ReceiptHandle: m.ReceiptHandle}); err != nil {
		q.report("a message that is done cannot be deleted and will come again: %v", err)
	}
}

// giveBack makes messages visible that were received and will not be handled.
func (q *queue) giveBack(messages []types.Message) {
	for _, m := range messages {
		ctx, cancel := orderly(q.d.working)
		_, err := q.api.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &q.url, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0})
		cancel()
		if err != nil {
			q.report("a message cannot be given back and comes again after its visibility timeout: %v", err)
		}
	}
}

// message is a message in the form that functions get (Lambda Developer Guide, "Using Lambda with Amazon SQS": example
// of a standard queue's event).
type message struct {
	MessageID     string               `json:"messageId"`
	ReceiptHandle string               `json:"receiptHandle"`
	Body          string               `json:"body"`
	Attributes    map[string]string    `json:"attributes"`
	Custom        map[string]attribute `json:"messageAttributes"`
	MD5           string               `json:"md5OfBody"`
	CustomMD5     string               `json:"md5OfMessageAttributes,omitempty"`
	Source        string               `json:"eventSource"`
	SourceARN     string               `json:"eventSourceARN"`
	Region        string               `json:"awsRegion"`
}

// attribute is a message attribute; SQS has not implemented lists, and they are always empty.
type attribute struct {
	Text     *string  `json:"stringValue,omitempty"`
	Binary   []byte   `json:"binaryValue,omitempty"`
	Texts    []string `json:"stringListValues"`
	Binaries [][]byte `json:"binaryListValues"`
	Type     string   `json:"dataType"`
}

func (q *queue) message(m types.Message) message {
	out := message{
		MessageID: aws.ToString(m.MessageId), ReceiptHandle: aws.ToString(m.ReceiptHandle), Body: aws.ToString(m.Body), Attributes: m.Attributes,
		Custom: map[string]attribute{}, MD5: aws.ToString(m.MD5OfBody), CustomMD5: aws.ToString(m.MD5OfMessageAttributes),
		Source: "aws:sqs", SourceARN: q.source, Region: q.region,
	}
	for name, a := range m.MessageAttributes {
		out.Custom[name] = attribute{Text: a.StringValue, Binary: a.BinaryValue, Texts: []string{}, Binaries: [][]byte{}, Type: aws.ToString(a.DataType)}
	}
	return out
}

// filterBody is a body as filters see it: JSON where it is some, else a text.
func filterBody(body string) any {
	var value any
	if json.Unmarshal([]byte(body), &value) != nil {
		return body
	}
	return value
}
