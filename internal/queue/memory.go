package queue

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Memory is queues in memory. It refuses what SQS refuses: a queue that it was not made with, which is one that the
// function may not send to, requests that are empty, too many or too long, and characters that SQS does not take. It is
// safe for concurrent use. The zero value has no queues.
type Memory struct {
	mu     sync.Mutex
	queues map[string][]string
}

var _ API = (*Memory)(nil)

// NewMemory makes empty queues with these URLs; a name is as good as a URL.
func NewMemory(urls ...string) *Memory {
	m := &Memory{queues: map[string][]string{}}
	for _, u := range urls {
		m.queues[u] = nil
	}
	return m
}

// Messages are the bodies in a queue, in the order in which they came; nil for a queue that there is not.
func (m *Memory) Messages(url string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.queues[url])
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// SendMessageBatch adds the messages of a request, or refuses it with SQS's own errors (SQS API reference,
// SendMessageBatch). A message with characters that SQS does not take fails alone.
func (m *Memory) SendMessageBatch(ctx context.Context, in *sqs.SendMessageBatchInput, _ ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	url := aws.ToString(in.QueueUrl)
	if _, ok := m.queues[url]; !ok {
		return nil, &types.QueueDoesNotExist{Message: aws.String("The specified queue does not exist.")}
	}
	if err := check(in.Entries); err != nil {
		return nil, err
	}
	out := &sqs.SendMessageBatchOutput{}
	for _, e := range in.Entries {
		if body := aws.ToString(e.MessageBody); body == "" || strings.ContainsFunc(body, refused) {
			out.Failed = append(out.Failed, types.BatchResultErrorEntry{Id: e.Id, Code: aws.String("InvalidMessageContents"), SenderFault: true})
			continue
		}
		m.queues[url] = append(m.queues[url], aws.ToString(e.MessageBody))
		out.Successful = append(out.Successful, types.SendMessageBatchResultEntry{Id: e.Id, MessageId: aws.String(fmt.Sprintf("message-%d", len(m.queues[url])))})
	}
	return out, nil
}

// check refuses a request as a whole.
func check(entries []types.SendMessageBatchRequestEntry) error {
	seen, size := map[string]bool{}, 0
	for _, e := range entries {
		name := aws.ToString(e.Id)
		if !idPattern.MatchString(name) {
			return &types.InvalidBatchEntryId{}
		}
		if seen[name] {
			return &types.BatchEntryIdsNotDistinct{}
		}
		seen[name] = true
		size += len(aws.ToString(e.MessageBody))
	}
	switch {
	case len(entries) == 0:
		return &types.EmptyBatchRequest{}
	case len(entries) > maxBatch:
		return &types.TooManyEntriesInBatchRequest{}
	case size > MaxBytes:
		return &types.BatchRequestTooLong{}
	}
	return nil
}

// refused tells whether SQS takes no message with the character (SQS API reference, SendMessageBatch).
func refused(r rune) bool {
	return (r < 0x20 && r != '\t' && r != '\n' && r != '\r') || r == 0xFFFE || r == 0xFFFF
}
