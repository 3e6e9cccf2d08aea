package events

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Status is what there is to show of the sources, in order of deployment.
type Status struct {
	Queues    []QueueStatus
	Streams   []StreamStatus
	Schedules []ScheduleStatus
}

// QueueStatus is a queue that is no dead-letter queue of another.
type QueueStatus struct {
	Name     string
	Function string // that it is read for; empty: none
	// Waiting messages can be received, InFlight ones were and are hidden. Both are -1 when they cannot be read.
	Waiting, InFlight int
	DeadLetters       int // in its dead-letter queue; -1 when it has none
	Trouble
}

// StreamStatus is the stream of a table.
type StreamStatus struct {
	Name, Function string
	Last           time.Time     // when a batch was last done; zero: never
	Lag            time.Duration // how old the record is that is being tried, or was the last one when it was done
	Trouble
}

// ScheduleStatus is a schedule.
type ScheduleStatus struct {
	Name, Function, Expression string
	Last                       time.Time // when it last ran well; zero: never
	Next                       time.Time // zero: never again, or disabled
	Trouble
}

// Trouble is the last thing that went wrong; empty: nothing yet.
type Trouble struct {
	Error string
	At    time.Time
}

// depth is a queue to look into.
type depth struct {
	name, url, deadURL string
	api                *sqs.Client
	reader             *queue // nil: none
}

func (d *Dispatcher) newDepths() []depth {
	deadOf, isDead := map[string]string{}, map[string]bool{}
	all := d.cfg.Deployment.ByType(typeQueue)
	for _, r := range all {
		var redrive struct {
			Target string `json:"deadLetterTargetArn"`
		}
		if json.Unmarshal([]byte(r.Text("redrivePolicy")), &redrive) == nil {
			deadOf[r.Text("arn")], isDead[redrive.Target] = redrive.Target, true
		}
	}
	var depths []depth
	for _, r := range all {
		arn := r.Text("arn")
		if isDead[arn] || r.Text("url") == "" {
			continue
		}
		one := depth{name: lastPart(arn), url: r.Text("url"), deadURL: queueURL(d.cfg.Deployment, deadOf[arn])}
		for _, q := range d.queues {
			if q.source == arn {
				one.reader = q
			}
		}
		one.api = d.sqs("", regionOf(arn))
		depths = append(depths, one)
	}
	return depths
}

// Status reads the depth of the queues as the operator and tells the rest from memory.
func (d *Dispatcher) Status(ctx context.Context) Status {
	var s Status
	for _, q := range d.depths {
		one := QueueStatus{Name: q.name, DeadLetters: -1}
		one.Waiting, one.InFlight = q.look(ctx, q.url)
		if q.deadURL != "" {
			one.DeadLetters, _ = q.look(ctx, q.deadURL)
		}
		if q.reader != nil {
			one.Function = functionName(q.reader.function)
			one.Trouble, _, _ = q.reader.health.show()
		}
		s.Queues = append(s.Queues, one)
	}
	for _, r := range d.streams {
		s.Streams = append(s.Streams, r.status())
	}
	for _, r := range d.schedules {
		one := ScheduleStatus{Name: r.name, Function: functionName(r.function), Expression: r.expression, Next: r.nextDue()}
		one.Trouble, one.Last, _ = r.health.show()
		s.Schedules = append(s.Schedules, one)
	}
	return s
}

func (s *stream) status() StreamStatus {
	one := StreamStatus{Name: s.name, Function: functionName(s.function)}
	one.Trouble, one.Last, one.Lag = s.health.show()
	if oldest := s.health.pending(); !oldest.IsZero() {
		one.Lag = s.d.cfg.Now().Sub(oldest)
	}
	return one
}

func (s *schedule) nextDue() time.Time {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	return s.due
}

func (h *health) show() (Trouble, time.Time, time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Trouble{h.err, h.errAt}, h.last, h.lag
}

func (h *health) pending() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.oldest
}

// look is how many messages a queue has, visible and hidden; -1 when that cannot be read.
func (q depth) look(ctx context.Context, url string) (waiting, inFlight int) {
	out, err := q.api.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: aws.String(url), AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
	if err != nil {
		return -1, -1
	}
	waiting, err = strconv.Atoi(out.Attributes[string(types.QueueAttributeNameApproximateNumberOfMessages)])
	inFlight, err2 := strconv.Atoi(out.Attributes[string(types.QueueAttributeNameApproximateNumberOfMessagesNotVisible)])
	if err != nil || err2 != nil {
		return -1, -1
	}
	return waiting, inFlight
}
