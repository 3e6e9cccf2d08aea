package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/expenzez/aws-backend/internal/deployment"
	"github.com/expenzez/aws-backend/internal/local/lambda"
)

// ErrNoSchedule is what Run answers for a name that no deployed schedule has.
var ErrNoSchedule = errors.New("no schedule has that name")

const (
	look             = 10 * time.Second // between looks at the clock, which may be set
	firstRetry       = time.Second      // doubles each time
	slowestRetry     = 5 * time.Minute  // of both the scheduler and Lambda's queue (Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous invocation")
	asyncRetries     = 2                // same page, function errors
	asyncAge         = 6 * time.Hour    // same page, throttling
	schedulerRetries = 185              // EventBridge Scheduler API reference, RetryPolicy
	schedulerAge     = 86400            // seconds; same page
)

var scheduleShape = shape{
	"description": nil, "flexibleTimeWindow": {"mode": nil}, "groupName": nil, "name": nil, "scheduleExpression": nil, "scheduleExpressionTimezone": nil,
	"state": nil, "__defaults": nil,
	"target": {
		"arn": nil, "roleArn": nil, "input": nil, "deadLetterConfig": {"arn": nil},
		"retryPolicy": {"maximumEventAgeInSeconds": nil, "maximumRetryAttempts": nil},
	},
}

// schedule invokes one function at times.
type schedule struct {
	d               *Dispatcher
	name, arn       string
	expression      string
	enabled         bool
	times           timetable
	function, input string
	retries         int
	age             time.Duration
	deadLetters     string // URL; empty: none
	out             sendAPI
	due             time.Time // guarded by health.mu; zero: never again
	health          *health
}

func (d *Dispatcher) newSchedule(r *deployment.Resource) (*schedule, error) {
	s := &schedule{
		d: d, name: r.Text("name"), arn: r.Text("arn"), expression: r.Text("scheduleExpression"), enabled: r.Text("state") != "DISABLED", health: &health{},
	}
	problems := scheduleShape.unknown(r.Inputs, "")
	zone := r.Text("scheduleExpressionTimezone")
	if zone == "" {
		zone = "UTC"
	}
	now := d.cfg.Now()
	var err error
	if s.times, err = parseTimetable(s.expression, zone, now); err != nil {
		problems = append(problems, err)
	} else if s.enabled {
		s.due = s.times.next(now.Add(-time.Nanosecond))
	}
	if mode := r.Text("flexibleTimeWindow", "mode"); mode != "OFF" {
		problems = append(problems, fmt.Errorf("flexibleTimeWindow.mode is %q: OFF is known here", mode))
	}
	if group := r.Text("groupName"); group != "default" {
		problems = append(problems, fmt.Errorf("groupName is %q: default is known here", group))
	}
	if state := r.Text("state"); state != "" && state != "ENABLED" && state != "DISABLED" {
		problems = append(problems, fmt.Errorf("state is %q: ENABLED and DISABLED are known here", state))
	}
	return s, errors.Join(append(problems, s.readTarget(r)...)...)
}

// readTarget reads what is invoked, and what happens when it cannot be.
func (s *schedule) readTarget(r *deployment.Resource) []error {
	s.function, s.input = r.Text("target", "arn"), r.Text("target", "input")
	var problems []error
	if !json.Valid([]byte(s.input)) {
		problems = append(problems, errors.New("target.input is no JSON, and Lambda takes nothing else"))
	}
	if _, ok := s.d.functionOf(s.function); !ok {
		problems = append(problems, fmt.Errorf("its function %q is not deployed", s.function))
	}
	role := r.Text("target", "roleArn")
	if role == "" {
		problems = append(problems, errors.New("target.roleArn is empty"))
	}
	var err error
	if s.retries, err = whole(r, schedulerRetries, 0, schedulerRetries, "target", "retryPolicy", "maximumRetryAttempts"); err != nil {
		problems = append(problems, err)
	}
	seconds, err := whole(r, schedulerAge, 60, schedulerAge, "target", "retryPolicy", "maximumEventAgeInSeconds")
	if err != nil {
		problems = append(problems, err)
	}
	s.age = time.Duration(seconds) * time.Second
	if arn := r.Text("target", "deadLetterConfig", "arn"); arn != "" {
		if s.deadLetters = queueURL(s.d.cfg.Deployment, arn); s.deadLetters == "" {
			problems = append(problems, fmt.Errorf("its dead-letter queue %q is not deployed", arn))
		}
	}
	s.out = s.d.sqs(role, regionOf(s.function))
	return problems
}

// keepTimes runs what is due until the dispatcher is closed.
func (d *Dispatcher) keepTimes() {
	for {
		now, wait := d.cfg.Now(), look
		for _, s := range d.schedules {
			if due, ok := s.takeDue(now); ok {
				d.done.Go(func() { s.run(due) })
			}
			if next := s.nextDue(); !next.IsZero() {
				wait = min(wait, next.Sub(now))
			}
		}
		if !pause(d.stopping, wait) {
			return
		}
	}
}

// takeDue is the time that a schedule is to run for, and moves it to its next. Times that were missed while the
// machine slept are one.
func (s *schedule) takeDue(now time.Time) (time.Time, bool) {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	due := s.due
	if due.IsZero() || due.After(now) {
		return due, false
	}
	s.due = s.times.next(now)
	return due, true
}

// Run runs a schedule now, once and without retries, enabled or not, and waits for the function. The error is
// ErrNoSchedule, or says how the function failed.
func (d *Dispatcher) Run(ctx context.Context, name string) error {
	for _, s := range d.schedules {
		if s.name != name {
			continue
		}
		result, err := d.cfg.Invoke(ctx, s.function, s.payload(d.cfg.Now(), newID(), 1))
		if err == nil && result.FunctionError != "" {
			err = errors.New(errorType(result))
		}
		if err != nil {
			s.report("%s failed when it was run by hand: %v", functionName(s.function), err)
			return fmt.Errorf("%s: %w", functionName(s.function), err)
		}
		s.health.success(d.cfg.Now(), 0)
		return nil
	}
	return fmt.Errorf("%w: %s", ErrNoSchedule, name)
}

// payload is the input with the scheduler's own words replaced (EventBridge Scheduler User Guide, "Adding context
// attributes in EventBridge Scheduler").
func (s *schedule) payload(due time.Time, execution string, attempt int) []byte {
	return []byte(strings.NewReplacer(
		"<aws.scheduler.schedule-arn>", s.arn, "<aws.scheduler.scheduled-time>", due.UTC().Format("2006-01-02T15:04:05Z"),
		"<aws.scheduler.execution-id>", execution, "<aws.scheduler.attempt-number>", fmt.Sprint(attempt),
	).Replace(s.input))
}

// run gives an event to Lambda, as often as the retry policy says, and to the dead-letter queue after that. Lambda has
// taken an event when it can run the function or is too busy to: what then becomes of it is Lambda's own affair.
func (s *schedule) run(due time.Time) {
	execution := newID()
	began := s.d.cfg.Now()
	for attempt := 1; ; attempt++ {
		payload := s.payload(due, execution, attempt)
		result, err := s.d.cfg.Invoke(s.d.working, s.function, payload)
		if err == nil || errors.Is(err, lambda.ErrThrottled) {
			s.finish(payload, result, err)
			return
		}
		if s.d.working.Err() != nil {
			return
		}
		s.report("%s was not invoked: %v", functionName(s.function), err)
		condition := ""
		switch final := errors.Is(err, lambda.ErrNotFound) || errors.Is(err, lambda.ErrTooLarge); {
		case final:
		case attempt > s.retries:
			condition = "MaximumRetryAttempts"
		case s.d.cfg.Now().Sub(began) >= s.age:
			condition = "MaximumEventAgeInSeconds"
		default:
			if !pause(s.d.stopping, backoff(attempt)) {
				return
			}
			continue
		}
		s.bury(due, execution, payload, attempt-1, condition, err)
		return
	}
}

func backoff(attempt int) time.Duration {
	return min(firstRetry<<min(attempt-1, 10), slowestRetry)
}

// finish is Lambda's queue of asynchronous invocations: a function that failed runs twice more, after one and two
// minutes, and one that was throttled until the event is six hours old. Then the event is dropped.
func (s *schedule) finish(payload []byte, result lambda.Result, err error) {
	began := s.d.cfg.Now()
	failed, throttled := 0, 0
	for {
		if err == nil && result.FunctionError == "" {
			s.health.success(s.d.cfg.Now(), 0)
			return
		}
		var wait time.Duration
		if err == nil {
			failed++
			wait = time.Duration(failed) * time.Minute
			s.report("%s failed: %s", functionName(s.function), errorType(result))
		} else {
			throttled++
			wait = backoff(throttled)
			s.report("%s was not invoked: %v", functionName(s.function), err)
		}
		if failed > asyncRetries || s.d.cfg.Now().Sub(began) >= asyncAge || !pause(s.d.stopping, wait) {
			return
		}
		if result, err = s.d.cfg.Invoke(s.d.working, s.function, payload); s.d.working.Err() != nil {
			return
		}
	}
}

// bury sends an event that Lambda never took to the dead-letter queue: the request as its body, the reason as attributes
// (EventBridge Scheduler User Guide, "Configuring a schedule's dead-letter queue": dead-letter event).
func (s *schedule) bury(due time.Time, execution string, payload []byte, retries int, condition string, cause error) {
	if s.deadLetters == "" {
		return
	}
	body, _ := json.Marshal(map[string]string{"FunctionName": s.function, "InvocationType": "Event", "Payload": string(payload)}) // texts
	attributes := map[string]types.MessageAttributeValue{}
	for name, value := range map[string]string{
		"ERROR_CODE": errorCode(cause), "ERROR_MESSAGE": cause.Error(), "EXECUTION_ID": execution, "EXHAUSTED_RETRY_CONDITION": condition,
		"IS_PAYLOAD_TRUNCATED": "false", "RETRY_ATTEMPTS": fmt.Sprint(retries), "SCHEDULED_TIME": due.UTC().Format("2006-01-02T15:04:05Z"),
		"SCHEDULE_ARN": s.arn, "TARGET_ARN": s.function,
	} {
		if value != "" {
			attributes[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(value)}
		}
	}
	ctx, cancel := orderly(s.d.working)
	defer cancel()
	if _, err := s.out.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &s.deadLetters, MessageBody: aws.String(string(body)), MessageAttributes: attributes}); err != nil {
		s.report("its dead-letter queue does not take an event: %v", err)
	}
}

// errorCode is the name of an error of Lambda's Invoke (Lambda API reference).
func errorCode(err error) string {
	switch {
	case errors.Is(err, lambda.ErrNotFound):
		return "ResourceNotFoundException"
	case errors.Is(err, lambda.ErrTooLarge):
		return "RequestTooLargeException"
	}
	return "ServiceException"
}

func (s *schedule) report(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	s.health.fail(s.d.cfg.Now(), line)
	s.d.cfg.Log(s.name, line)
}
