// Package queue sends messages. A handler holds a Sender for one kind of message on one queue that its function declares
// it sends to, so that it cannot send anything else or anywhere else. Memory is queues without AWS.
//
// Guarantees: SendBatch gives back exactly the messages that SQS has not confirmed, in their order, and an error when there
// is one; what it does not give back is in the queue. A message that is too long for the queue keeps the whole batch from
// being sent. A message can hold any text: what SQS refuses is escaped, and reads back the same. No call outlasts its
// context.
//
// Limits: a message that is given back may be in the queue nevertheless, and one that is not may be there twice, when an
// answer was lost on its way: a consumer does nothing twice for one message. Messages come in no order. JSON writes bytes
// that are no UTF-8 as U+FFFD.
package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/expenzez/aws-backend/internal/retry"
)

const (
	// MaxBytes is how long a message may be as JSON, and all messages of one request together. SQS itself takes four times
	// as much since August 2025 (SQS Developer Guide, "Amazon SQS message quotas": 1 MiB), but a queue takes what it was made
	// for, and the resource provider that makes ours knows 256 KiB as the most and sets it (pulumi-aws v6, sqs.Queue,
	// maxMessageSize).
	MaxBytes = 256 << 10
	// maxBatch is how many messages one request takes (the same page of the SQS Developer Guide).
	maxBatch = 10
)

// API is the call of SQS that sending needs. The client of the SDK, made of what awsconfig.Load gives, tries a call that
// failed as a whole again; the Sender tries again what SQS refused of a request that it took. Memory is one, too.
type API interface {
	SendMessageBatch(context.Context, *sqs.SendMessageBatchInput, ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error)
}

var _ API = (*sqs.Client)(nil)

// ErrTooLong is a message of more than MaxBytes. Nothing of its batch was sent; sending it again is of no use.
var ErrTooLong = errors.New("message too long")

// Sender sends messages of one type to one queue. It is safe for concurrent use. Make it with New.
type Sender[M any] struct {
	api     API
	url     string
	retrier *retry.Retrier
}

// New makes a sender to the queue with that URL, environ.Values.Queue for instance, which is empty for a queue that the
// function does not declare it sends to: that is an error, and the function does not start. The zero policy is right for a
// request that waits.
func New[M any](api API, url string, p retry.Policy) (*Sender[M], error) {
	if url == "" {
		return nil, errors.New("queue: the function is not told where to send; does its declaration say that it sends to the queue?")
	}
	return &Sender[M]{api: api, url: url, retrier: retry.New(p)}, nil
}

// Send sends one message as JSON. An error means that it may not be in the queue.
func (s *Sender[M]) Send(ctx context.Context, message M) error {
	_, err := s.SendBatch(ctx, []M{message})
	return err
}

// SendBatch sends any number of messages as JSON, in as few requests as SQS allows, and gives back those that SQS did not
// confirm: they may not be in the queue. It gives up on the rest at the first request that fails as a whole, and at the
// end of the context; a message that SQS refuses for good does not keep the others. There is an error exactly when a
// message is left.
func (s *Sender[M]) SendBatch(ctx context.Context, messages []M) (left []M, err error) {
	bodies := make([]string, len(messages))
	for i, m := range messages {
		if bodies[i], err = encode(m); err != nil {
			return slices.Clone(messages), fmt.Errorf("queue %s: message %d of %d: %w", s.name(), i+1, len(messages), err)
		}
	}
	var problems []error
	for group := range groups(bodies) {
		unsent, err := s.request(ctx, bodies, group)
		if err == nil {
			continue
		}
		problems = append(problems, err)
		if whole(err) { // what follows would fail, too
			unsent = append(unsent, rest(group, len(bodies))...)
		}
		for _, i := range unsent {
			left = append(left, messages[i])
		}
		if whole(err) {
			break
		}
	}
	if len(left) == 0 {
		return nil, nil
	}
	return left, fmt.Errorf("queue %s: %d of %d messages not sent: %w", s.name(), len(left), len(messages), errors.Join(problems...))
}

// request sends one group, given as indexes of bodies, and what SQS refuses of it for a time again. It returns the
// indexes without a confirmation; there are some exactly when there is an error.
func (s *Sender[M]) request(ctx context.Context, bodies []string, group []int) ([]int, error) {
	unsent, refused := group, []int(nil)
	var refusal error
	err := s.retrier.Do(ctx, func(ctx context.Context, _ int) error {
		out, err := s.api.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &s.url, Entries: entries(bodies, unsent)})
		if err != nil {
			return err
		}
		var forGood []int
		var p *partialError
		unsent, forGood, p = outcome(unsent, out)
		if p == nil {
			return nil
		}
		if len(forGood) > 0 {
			refused, refusal = append(refused, forGood...), p
		}
		return p
	}, func(err error) retry.Verdict { return retry.Verdict{Again: !whole(err) && len(unsent) > 0} })
	unsent = append(unsent, refused...)
	slices.Sort(unsent)
	if err == nil {
		err = refusal // of some, before an attempt that sent all others
	}
	return unsent, err
}

// partialError is a request that SQS took in part. It holds SQS's codes and nothing of the messages.
type partialError struct{ codes []string }

func (e *partialError) Error() string { return strings.Join(e.codes, ", ") }

// whole tells whether a request failed as a whole: then the SDK has tried it again already.
func whole(err error) bool {
	var p *partialError
	return !errors.As(err, &p)
}

// outcome sorts what was asked by the answer: unsent may be tried again, refused may not. A message that the answer does
// not name is not confirmed.
func outcome(asked []int, out *sqs.SendMessageBatchOutput) (unsent, refused []int, err *partialError) {
	sent, failed := map[string]bool{}, map[string]types.BatchResultErrorEntry{}
	for _, x := range out.Successful {
		sent[aws.ToString(x.Id)] = true
	}
	for _, x := range out.Failed {
		failed[aws.ToString(x.Id)] = x
	}
	var codes []string
	for _, i := range asked {
		f, named := failed[id(i)]
		switch {
		case sent[id(i)]:
			continue
		case named && f.SenderFault:
			refused = append(refused, i)
		default:
			unsent = append(unsent, i)
		}
		codes = append(codes, aws.ToString(f.Code))
	}
	if len(codes) == 0 {
		return nil, nil, nil
	}
	slices.Sort(codes)
	return unsent, refused, &partialError{codes: slices.Compact(codes)}
}

func entries(bodies []string, which []int) []types.SendMessageBatchRequestEntry {
	all := make([]types.SendMessageBatchRequestEntry, len(which))
	for n, i := range which {
		all[n] = types.SendMessageBatchRequestEntry{Id: aws.String(id(i)), MessageBody: &bodies[i]}
	}
	return all
}

// id names a message within its request.
func id(i int) string { return strconv.Itoa(i) }

// groups cuts the indexes of bodies into requests, in order: at most maxBatch messages and MaxBytes each.
func groups(bodies []string) func(yield func([]int) bool) {
	return func(yield func([]int) bool) {
		var group []int
		size := 0
		for i, b := range bodies {
			if len(group) == maxBatch || size+len(b) > MaxBytes {
				if !yield(group) {
					return
				}
				group, size = nil, 0
			}
			group, size = append(group, i), size+len(b)
		}
		if len(group) > 0 {
			yield(group)
		}
	}
}

// rest are the indexes behind a group.
func rest(group []int, n int) []int {
	var all []int
	for i := group[len(group)-1] + 1; i < n; i++ {
		all = append(all, i)
	}
	return all
}

// unlisted are the characters that JSON takes in a string and SQS refuses in a message (SQS API reference,
// SendMessageBatch); JSON escapes the others itself.
var unlisted = strings.NewReplacer("\uFFFE", `\ufffe`, "\uFFFF", `\uffff`)

func encode(message any) (string, error) {
	b, err := json.Marshal(message)
	if err != nil {
		return "", err
	}
	body := unlisted.Replace(strings.ToValidUTF8(string(b), "\uFFFD"))
	if len(body) > MaxBytes {
		return "", fmt.Errorf("%w: %d bytes of at most %d", ErrTooLong, len(body), MaxBytes)
	}
	return body, nil
}

// name is the last part of the URL: the queue's physical name.
func (s *Sender[M]) name() string { return s.url[strings.LastIndexByte(s.url, '/')+1:] }
