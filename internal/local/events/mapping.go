package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/expenzez/aws-backend/internal/deployment"
	"github.com/expenzez/aws-backend/internal/local/lambda"
)

const (
	typeMapping  = "aws:lambda/eventSourceMapping:EventSourceMapping"
	typeSchedule = "aws:scheduler/schedule:Schedule"
	typeFunction = "aws:lambda/function:Function"
	typeQueue    = "aws:sqs/queue:Queue"
)

// shape is the settings that are known, with those of their own; nil has none.
type shape map[string]shape

var (
	commonShape = shape{
		"batchSize": nil, "enabled": nil, "eventSourceArn": nil, "filterCriteria": {"filters": {"pattern": nil}}, "functionName": nil,
		"functionResponseTypes": nil, "maximumBatchingWindowInSeconds": nil, "tags": nil, "tagsAll": nil, "__defaults": nil,
	}
	queueShape  = shape{"scalingConfig": {"maximumConcurrency": nil}}
	streamShape = shape{
		"bisectBatchOnFunctionError": nil, "destinationConfig": {"onFailure": {"destinationArn": nil}}, "maximumRecordAgeInSeconds": nil,
		"maximumRetryAttempts": nil, "parallelizationFactor": nil, "startingPosition": nil,
	}
)

func (s shape) with(other shape) shape {
	all := maps.Clone(s)
	maps.Copy(all, other)
	return all
}

// unknown lists what is set and not known, or hidden, sorted.
func (s shape) unknown(value any, path string) []error {
	var problems []error
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			problems = append(problems, s.unknown(element, path)...)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			inner, ok := s[key]
			_, hidden := v[key].(deployment.Secret)
			switch {
			case v[key] == nil:
			case hidden:
				problems = append(problems, fmt.Errorf("%s%s is a secret and cannot be read", path, key))
			case !ok:
				problems = append(problems, fmt.Errorf("%s%s is not known here", path, key))
			case inner != nil:
				problems = append(problems, inner.unknown(v[key], path+key+".")...)
			}
		}
	}
	return problems
}

// mapping is what both kinds of source have.
type mapping struct {
	d        *Dispatcher
	name     string // of the queue or table, for people
	source   string // ARN
	region   string
	function string // qualified ARN
	version  string // of the function
	role     string // of the function
	batch    int
	window   time.Duration
	partial  bool // the function says which of a batch failed
	filter   filter
	health   *health
}

func (d *Dispatcher) addMapping(r *deployment.Resource) error {
	if enabled, ok := r.Value("enabled"); ok && enabled == false {
		return nil
	}
	m, err := d.newMapping(r)
	switch parts := strings.SplitN(m.source, ":", 6); {
	case len(parts) == 6 && parts[2] == "sqs":
		q, queueErr := newQueue(m, r)
		d.queues = append(d.queues, q)
		return errors.Join(err, queueErr)
	case len(parts) == 6 && parts[2] == "dynamodb":
		s, streamErr := newStream(m, r)
		d.streams = append(d.streams, s)
		return errors.Join(err, streamErr)
	default:
		return errors.Join(err, fmt.Errorf("its source %q is neither a queue nor a stream", m.source))
	}
}

// newMapping reads what is common, all problems at once. Limits and presets: Lambda API reference,
// CreateEventSourceMapping; the provider has filled the presets in.
func (d *Dispatcher) newMapping(r *deployment.Resource) (mapping, error) {
	m := mapping{d: d, source: r.Text("eventSourceArn"), function: r.Text("functionArn"), health: &health{}}
	var problems []error
	m.name = lastPart(m.source)
	if parts := strings.SplitN(m.source, ":", 6); len(parts) == 6 {
		m.region, m.name = parts[3], strings.Split(strings.TrimPrefix(parts[5], "table/"), "/")[0]
	}
	if f, ok := d.functionOf(m.function); ok {
		m.role, m.version = f.Text("role"), f.Text("version")
	}
	if m.role == "" { // never read as somebody else
		problems = append(problems, fmt.Errorf("its function %q is not deployed with a role", m.function))
	}
	var err error
	if m.batch, err = whole(r, 0, 1, 10000, "batchSize"); err != nil {
		problems = append(problems, err)
	}
	seconds, err := whole(r, 0, 0, 300, "maximumBatchingWindowInSeconds")
	if err != nil {
		problems = append(problems, err)
	}
	m.window = time.Duration(seconds) * time.Second
	types, err := list(r, "functionResponseTypes")
	if err != nil {
		problems = append(problems, err)
	}
	for _, kind := range types {
		if kind != "ReportBatchItemFailures" {
			problems = append(problems, fmt.Errorf("functionResponseTypes has %v, which is not known here", kind))
		}
		m.partial = true
	}
	if m.filter, err = readFilter(r); err != nil {
		problems = append(problems, err)
	}
	return m, errors.Join(problems...)
}

// functionOf is the deployed function of an ARN, qualified or not.
func (d *Dispatcher) functionOf(arn string) (*deployment.Resource, bool) {
	parts := strings.Split(arn, ":")
	for _, f := range d.cfg.Deployment.ByType(typeFunction) {
		if arn != "" && f.Text("arn") == strings.Join(parts[:min(7, len(parts))], ":") {
			return f, true
		}
	}
	return nil, false
}

// whole reads a whole number between two bounds; one that is not set is preset, and an error where that is below least.
func whole(r *deployment.Resource, preset, least, most int, path ...string) (int, error) {
	value, ok := r.Value(path...)
	if !ok {
		value = float64(preset)
	}
	n, ok := value.(float64)
	if !ok || n != float64(int(n)) || int(n) < least || int(n) > most {
		return 0, fmt.Errorf("%s is %v: %d to %d are known here", strings.Join(path, "."), value, least, most)
	}
	return int(n), nil
}

// list reads a list; one that is not set is empty.
func list(r *deployment.Resource, path ...string) ([]any, error) {
	value, ok := r.Value(path...)
	all, isList := value.([]any)
	if ok && !isList {
		return nil, fmt.Errorf("%s is no list", strings.Join(path, "."))
	}
	return all, nil
}

// queueURL is the URL of a deployed queue, empty when there is none of that ARN.
func queueURL(d *deployment.Deployment, arn string) string {
	for _, q := range d.ByType(typeQueue) {
		if arn != "" && q.Text("arn") == arn {
			return q.Text("url")
		}
	}
	return ""
}

// record is a message or a stream's record on its way to a function.
type record struct {
	id   string    // what the function calls it in its answer
	body []byte    // JSON, as the function gets it
	at   time.Time // of creation; zero for messages
}

// encode is JSON without the escapes of HTML, which would make a body up to six times as large as on AWS.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// event is the payload of a batch.
func event(records []record) []byte {
	all := make([][]byte, len(records))
	for i, r := range records {
		all[i] = r.body
	}
	return slices.Concat([]byte(`{"Records":[`), bytes.Join(all, []byte(",")), []byte("]}"))
}

// parts cuts a batch where an event would be larger than Lambda takes.
func parts(records []record) [][]record {
	var all [][]record
	size, from := 0, 0
	for i, r := range records {
		if size += len(r.body) + 1; size > maxPayload && i > from {
			all, from, size = append(all, records[from:i]), i, len(r.body)+1
		}
	}
	if from < len(records) {
		all = append(all, records[from:])
	}
	return all
}

// answer is how a batch ended.
type answer struct {
	notInvoked error // nothing ran: throttled, or no such function
	failed     bool  // the function failed, or its answer is no list of failures
	items      map[string]bool
}

// invoke runs the function with a batch. Which of its items failed is in the answer where the mapping asks for that.
func (m mapping) invoke(ctx context.Context, records []record) answer {
	result, err := m.d.cfg.Invoke(ctx, m.function, event(records))
	switch {
	case err != nil:
		if ctx.Err() == nil {
			m.report("%s was not invoked: %v", functionName(m.function), err)
		}
		return answer{notInvoked: err}
	case result.FunctionError != "":
		m.report("%s failed a batch of %d: %s", functionName(m.function), len(records), errorType(result))
		return answer{failed: true}
	case !m.partial:
		return answer{}
	}
	items, ok := itemFailures(result.Payload, records)
	if !ok {
		m.report("%s answered a batch with something that is no list of failures; all of it counts as failed", functionName(m.function))
		return answer{failed: true}
	}
	if len(items) > 0 {
		m.report("%s failed %d of %d", functionName(m.function), len(items), len(records))
	}
	return answer{items: items}
}

// errorType is the kind of error of a failed function; its message may hold personal data and stays out of lines.
func errorType(result lambda.Result) string {
	var failure struct {
		ErrorType string `json:"errorType"`
	}
	if json.Unmarshal(result.Payload, &failure) != nil || failure.ErrorType == "" {
		return result.FunctionError
	}
	return failure.ErrorType
}

// itemFailures reads {"batchItemFailures":[{"itemIdentifier":id}]}. No answer, null and an empty list mean that none
// failed; what is not of this form, or names none of the batch, means that all did (Lambda Developer Guide, "Handling
// errors for an SQS event source": success and failure conditions; the same for streams).
func itemFailures(payload []byte, records []record) (map[string]bool, bool) {
	var reply *struct {
		Failures []map[string]any `json:"batchItemFailures"`
	}
	if len(payload) == 0 {
		return nil, true
	}
	if err := json.Unmarshal(payload, &reply); err != nil {
		return nil, false
	}
	if reply == nil {
		return nil, true
	}
	failed := map[string]bool{}
	for _, f := range reply.Failures {
		id, ok := f["itemIdentifier"].(string)
		if !ok || !slices.ContainsFunc(records, func(r record) bool { return r.id == id }) {
			return nil, false
		}
		failed[id] = true
	}
	return failed, true
}

// report notes and logs what went wrong.
func (m mapping) report(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	m.health.fail(m.d.cfg.Now(), line)
	m.d.cfg.Log(m.name, line)
}

// health is what the status page shows of a source or schedule.
type health struct {
	mu     sync.Mutex
	err    string
	errAt  time.Time
	last   time.Time // of the last batch or run that ended well
	lag    time.Duration
	oldest time.Time // record of a stream that is being tried; zero: none
	repeat string    // the last line about the source itself, to write each once
}

func (h *health) fail(at time.Time, line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err, h.errAt = line, at
}

func (h *health) success(at time.Time, lag time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last, h.lag = at, lag
}

// trying notes the oldest record that is not done; the zero time for none.
func (h *health) trying(oldest time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.oldest = oldest
}

// first tells whether a line about the source is another than the one before.
func (h *health) first(line string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	again := h.repeat == line
	h.repeat = line
	return !again
}

// unread reports once that a source cannot be read; nil says that it can be again.
func (m mapping) unread(err error) {
	if err == nil {
		m.health.first("")
		return
	}
	if line := fmt.Sprintf("cannot be read: %v", err); m.health.first(cause(err)) {
		m.report("%s", line)
	}
}

// cause is the error without the request's id, which differs each time.
func cause(err error) string {
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err.Error()
}
