package events

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/expenzez/aws-backend/internal/deployment"
)

const (
	retention    = 24 * time.Hour  // of a stream's records (DynamoDB Developer Guide, "Change data capture for DynamoDB Streams")
	longestRetry = 5 * time.Second // between two tries of a batch
	maxRecords   = 1000            // of one GetRecords (DynamoDB Streams API reference, GetRecords)
	endless      = -1              // as a setting: without end
)

// streamAPI is what is asked of DynamoDB Streams.
type streamAPI interface {
	DescribeStream(context.Context, *dynamodbstreams.DescribeStreamInput, ...func(*dynamodbstreams.Options)) (*dynamodbstreams.DescribeStreamOutput, error)
	GetShardIterator(context.Context, *dynamodbstreams.GetShardIteratorInput, ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetShardIteratorOutput, error)
	GetRecords(context.Context, *dynamodbstreams.GetRecordsInput, ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetRecordsOutput, error)
}

// sendAPI is where failures are told.
type sendAPI interface {
	SendMessage(context.Context, *sqs.SendMessageInput, ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
}

var (
	_ streamAPI = (*dynamodbstreams.Client)(nil)
	_ sendAPI   = (*sqs.Client)(nil)
)

// stream reads the stream of one table for one function, each shard in its order.
type stream struct {
	mapping
	from        types.ShardIteratorType
	bisect      bool
	retries     int           // after the first try; endless: until the records are too old
	age         time.Duration // of records that are still tried
	destination string        // URL of the queue that is told of failures; empty: none
	api         streamAPI
	out         sendAPI
}

func newStream(m mapping, r *deployment.Resource) (*stream, error) {
	s := &stream{mapping: m, from: types.ShardIteratorType(r.Text("startingPosition")), bisect: r.Flag("bisectBatchOnFunctionError"), age: retention}
	problems := commonShape.with(streamShape).unknown(r.Inputs, "")
	if s.from != types.ShardIteratorTypeTrimHorizon && s.from != types.ShardIteratorTypeLatest {
		problems = append(problems, fmt.Errorf("startingPosition is %q: TRIM_HORIZON and LATEST are known here", s.from))
	}
	var err error
	if s.retries, err = whole(r, endless, endless, 10000, "maximumRetryAttempts"); err != nil {
		problems = append(problems, err)
	}
	seconds, err := whole(r, endless, endless, 604800, "maximumRecordAgeInSeconds")
	if err != nil {
		problems = append(problems, err)
	}
	if seconds > 0 {
		s.age = min(s.age, time.Duration(seconds)*time.Second)
	}
	if _, err := whole(r, 1, 1, 1, "parallelizationFactor"); err != nil {
		problems = append(problems, err)
	}
	if arn := r.Text("destinationConfig", "onFailure", "destinationArn"); arn != "" {
		if s.destination = queueURL(m.d.cfg.Deployment, arn); s.destination == "" {
			problems = append(problems, fmt.Errorf("its destination %q is no deployed queue", arn))
		}
	}
	problems = append(problems, m.filter.sees("dynamodb", "eventName", "userIdentity")...)
	s.api, s.out = m.d.streamsClient(m.role, m.region), m.d.sqs(m.role, m.region)
	return s, errors.Join(problems...)
}

// read finds the shards and reads each until the dispatcher is closed.
func (s *stream) read() {
	var shards sync.WaitGroup
	defer shards.Wait()
	for {
		out, err := s.api.DescribeStream(s.d.stopping, &dynamodbstreams.DescribeStreamInput{StreamArn: &s.source})
		if s.d.stopping.Err() != nil {
			return
		}
		s.unread(err)
		if err == nil {
			for _, shard := range out.StreamDescription.Shards {
				shards.Go(func() { (&shardReader{stream: s, id: aws.ToString(shard.ShardId)}).read() })
			}
			return
		}
		if !pause(s.d.stopping, slowest) {
			return
		}
	}
}

// shardReader reads one shard.
type shardReader struct {
	*stream
	id       string
	iterator *string // nil: to be asked for
	last     string  // sequence number of the last record that was read
	ended    bool    // the shard is closed and was read to its end
}

func (s *shardReader) read() {
	wait := idle
	for s.d.stopping.Err() == nil && !s.ended {
		batch, err := s.gather(s.d.stopping)
		if s.d.stopping.Err() == nil {
			s.unread(err)
		}
		if len(batch) > 0 {
			s.process(batch)
			wait = idle
			continue
		}
		if !s.ended && !pause(s.d.stopping, wait) {
			return
		}
		wait = min(2*wait, slowest)
	}
}

// gather reads the next batch; what does not match the filter is read over. With a window it goes on until the batch
// is full or the window, which begins with the first record, is over.
func (s *shardReader) gather(ctx context.Context) ([]record, error) {
	var batch []record
	var until time.Time
	for len(batch) < s.batch && !s.ended {
		page, read, err := s.next(ctx, s.batch-len(batch))
		batch = append(batch, page...) // also what came before a record that is an error
		if err != nil {
			return batch, err
		}
		if len(batch) > 0 && until.IsZero() {
			until = time.Now().Add(s.window)
		}
		if read > 0 {
			continue // there may be more
		}
		if len(batch) == 0 || !time.Now().Before(until) || !pause(ctx, idle) {
			break
		}
	}
	return batch, nil
}

// next reads one page: its records that match, and how many there were in all.
func (s *shardReader) next(ctx context.Context, most int) ([]record, int, error) {
	if s.iterator == nil {
		in := &dynamodbstreams.GetShardIteratorInput{StreamArn: &s.source, ShardId: &s.id, ShardIteratorType: s.from}
		if s.last != "" {
			in.ShardIteratorType, in.SequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, &s.last
		}
		out, err := s.api.GetShardIterator(ctx, in)
		if err != nil {
			return nil, 0, err
		}
		s.iterator = out.ShardIterator
	}
	out, err := s.api.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: s.iterator, Limit: aws.Int32(int32(min(most, maxRecords)))}) // #nosec G115 -- at most 1000
	if err != nil {
		var expired *types.ExpiredIteratorException
		if errors.As(err, &expired) {
			s.iterator = nil
		}
		return nil, 0, err
	}
	s.iterator = out.NextShardIterator
	var page []record
	for _, r := range out.Records {
		fields, err := s.fields(r)
		body, encodeErr := encode(fields)
		if err = errors.Join(err, encodeErr); err != nil {
			s.iterator = nil // it is read again, and is an error again: nothing is left out
			return page, 0, err
		}
		s.last = aws.ToString(r.Dynamodb.SequenceNumber)
		if s.filter.matches(fields) {
			page = append(page, record{id: s.last, body: body, at: aws.ToTime(r.Dynamodb.ApproximateCreationDateTime)})
		}
	}
	s.ended = out.NextShardIterator == nil
	// Moto puts its tables back when it cancels a transaction, and their streams with them: an iterator of before goes on
	// reading what is there no more, and finds nothing. One that has found nothing is asked for anew.
	if len(out.Records) == 0 && (s.last != "" || s.from == types.ShardIteratorTypeTrimHorizon) {
		s.iterator = nil
	}
	return page, len(out.Records), nil
}

// fields is a record in the form that functions get (Lambda Developer Guide, "Using AWS Lambda with Amazon DynamoDB":
// example event; DynamoDB Streams API reference, Record).
func (s *stream) fields(r types.Record) (map[string]any, error) {
	change := map[string]any{
		"ApproximateCreationDateTime": float64(aws.ToTime(r.Dynamodb.ApproximateCreationDateTime).Unix()),
		"SequenceNumber":              aws.ToString(r.Dynamodb.SequenceNumber),
		"SizeBytes":                   float64(aws.ToInt64(r.Dynamodb.SizeBytes)),
		"StreamViewType":              string(r.Dynamodb.StreamViewType),
	}
	for name, item := range map[string]map[string]types.AttributeValue{"Keys": r.Dynamodb.Keys, "NewImage": r.Dynamodb.NewImage, "OldImage": r.Dynamodb.OldImage} {
		if len(item) == 0 {
			continue
		}
		values, err := itemJSON(item)
		if err != nil {
			return nil, err
		}
		change[name] = values
	}
	fields := map[string]any{
		"eventID": aws.ToString(r.EventID), "eventName": string(r.EventName), "eventVersion": "1.1", "eventSource": "aws:dynamodb",
		"awsRegion": s.region, "eventSourceARN": s.source, "dynamodb": change,
	}
	if who := r.UserIdentity; who != nil {
		fields["userIdentity"] = map[string]any{"type": aws.ToString(who.Type), "principalId": aws.ToString(who.PrincipalId)}
	}
	return fields, nil
}

func itemJSON(item map[string]types.AttributeValue) (map[string]any, error) {
	out := make(map[string]any, len(item))
	for name, value := range item {
		v, err := valueJSON(value)
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
	return out, nil
}

// valueJSON is DynamoDB JSON (DynamoDB API reference, AttributeValue).
func valueJSON(value types.AttributeValue) (map[string]any, error) {
	switch v := value.(type) {
	case *types.AttributeValueMemberS:
		return map[string]any{"S": v.Value}, nil
	case *types.AttributeValueMemberN:
		return map[string]any{"N": v.Value}, nil
	case *types.AttributeValueMemberB:
		return map[string]any{"B": v.Value}, nil
	case *types.AttributeValueMemberBOOL:
		return map[string]any{"BOOL": v.Value}, nil
	case *types.AttributeValueMemberNULL:
		return map[string]any{"NULL": v.Value}, nil
	case *types.AttributeValueMemberSS:
		return map[string]any{"SS": anys(v.Value)}, nil
	case *types.AttributeValueMemberNS:
		return map[string]any{"NS": anys(v.Value)}, nil
	case *types.AttributeValueMemberBS:
		return map[string]any{"BS": anys(v.Value)}, nil
	case *types.AttributeValueMemberM:
		inner, err := itemJSON(v.Value)
		return map[string]any{"M": inner}, err
	case *types.AttributeValueMemberL:
		all := make([]any, len(v.Value))
		for i, element := range v.Value {
			one, err := valueJSON(element)
			if err != nil {
				return nil, err
			}
			all[i] = one
		}
		return map[string]any{"L": all}, nil
	}
	return nil, fmt.Errorf("an attribute is of a type that is not known here: %T", value)
}

func anys[T any](list []T) []any {
	all := make([]any, len(list))
	for i, v := range list {
		all[i] = v
	}
	return all
}

// job is records that are tried together.
type job struct {
	records []record
	calls   int // invocations so far, of the larger batch it was cut from too
	fails   int // of those that count against the retries
}

// process has a batch handled to its end: done, or given up and told to the destination. Nothing that comes later in
// the shard is read before that. When the dispatcher is closed it stops where it is.
func (s *shardReader) process(batch []record) {
	var jobs []job
	for _, part := range parts(batch) {
		jobs = append(jobs, job{records: part})
	}
	defer s.health.trying(time.Time{})
	for len(jobs) > 0 && s.d.stopping.Err() == nil {
		s.health.trying(jobs[0].records[0].at)
		jobs = append(s.try(jobs[0]), jobs[1:]...)
	}
}

// try invokes the function once with a job and returns what is left to do of it.
func (s *shardReader) try(j job) []job {
	if n := s.tooOld(j.records); n > 0 {
		s.giveUp(job{records: j.records[:n], calls: j.calls}, "RecordAgeExceeded")
		return left(job{records: j.records[n:], calls: j.calls, fails: j.fails})
	}
	a := s.invoke(s.d.working, j.records)
	if a.notInvoked != nil { // tried until too old, whatever the retries (page "Retain discarded records for a DynamoDB event source")
		pause(s.d.stopping, longestRetry)
		return []job{j}
	}
	j.calls++
	switch {
	case a.failed && s.bisect && len(j.records) > 1: // same page: splitting does not consume the retries
		half := len(j.records) / 2
		pause(s.d.stopping, idle)
		return []job{{records: j.records[:half], calls: j.calls, fails: j.fails}, {records: j.records[half:], calls: j.calls, fails: j.fails}}
	case !a.failed && len(a.items) == 0:
		last := j.records[len(j.records)-1]
		s.health.success(s.d.cfg.Now(), s.d.cfg.Now().Sub(last.at))
		return nil
	}
	// The first record that failed is where it goes on (page "Configuring partial batch response with DynamoDB and Lambda").
	if first := slices.IndexFunc(j.records, func(r record) bool { return a.items[r.id] }); first > 0 {
		j.records, j.fails = j.records[first:], 0
	}
	if j.fails++; s.retries != endless && j.fails > s.retries {
		s.giveUp(j, "RetryAttemptsExhausted")
		return nil
	}
	pause(s.d.stopping, min(idle<<min(j.fails-1, 10), longestRetry))
	return []job{j}
}

func left(j job) []job {
	if len(j.records) == 0 {
		return nil
	}
	return []job{j}
}

// tooOld is how many of the first records are not tried any more.
func (s *shardReader) tooOld(records []record) int {
	n := 0
	for n < len(records) && s.d.cfg.Now().Sub(records[n].at) > s.age {
		n++
	}
	return n
}

// failureRecord is what a destination is told (Lambda Developer Guide, "Retain discarded records for a DynamoDB event
// source": example invocation record). The response is left out when there was none.
type failureRecord struct {
	Request   failedRequest   `json:"requestContext"`
	Response  *failedResponse `json:"responseContext,omitempty"`
	Version   string          `json:"version"`
	Timestamp string          `json:"timestamp"`
	Batch     failedBatch     `json:"DDBStreamBatchInfo"`
}

type failedRequest struct {
	ID        string `json:"requestId"`
	Function  string `json:"functionArn"`
	Condition string `json:"condition"`
	Calls     int    `json:"approximateInvokeCount"`
}

type failedResponse struct {
	Status  int    `json:"statusCode"`
	Version string `json:"executedVersion"`
	Error   string `json:"functionError"`
}

type failedBatch struct {
	Shard  string `json:"shardId"`
	Start  string `json:"startSequenceNumber"`
	End    string `json:"endSequenceNumber"`
	First  string `json:"approximateArrivalOfFirstRecord"`
	Last   string `json:"approximateArrivalOfLastRecord"`
	Size   int    `json:"batchSize"`
	Stream string `json:"streamArn"`
}

// giveUp tells the destination of a job that is given up, and tries until that is done: only then it goes on.
func (s *shardReader) giveUp(j job, condition string) {
	s.report("%d records are given up: %s", len(j.records), condition)
	if s.destination == "" {
		return
	}
	first, last := j.records[0], j.records[len(j.records)-1]
	told := failureRecord{
		Request: failedRequest{newID(), s.function, condition, j.calls}, Version: "1.0",
		Timestamp: s.d.cfg.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
		Batch: failedBatch{
			s.id, first.id, last.id, first.at.UTC().Format(time.RFC3339), last.at.UTC().Format(time.RFC3339), len(j.records), s.source,
		},
	}
	if j.calls > 0 {
		told.Response = &failedResponse{200, s.version, "Unhandled"}
	}
	body, _ := json.Marshal(told) // texts and numbers always marshal
	for {
		ctx, cancel := orderly(s.d.stopping)
		_, err := s.out.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &s.destination, MessageBody: aws.String(string(body))})
		cancel()
		if err == nil {
			return
		}
		s.report("the destination cannot be told of records that are given up: %v", err)
		if !pause(s.d.stopping, longestRetry) {
			return
		}
	}
}

// newID is a random id in the form of request ids.
func newID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails, crypto/rand documents
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
