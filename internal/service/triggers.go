package service

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// consumeActions are what Lambda calls on a queue in a function's name.
// Source: AWS Lambda Developer Guide, "Creating and configuring an Amazon SQS event source mapping".
var consumeActions = []string{"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}

// streamActions are what Lambda calls on a stream in a function's name; ListStreams it calls, too, and that has no
// resource types. Source: AWS Lambda Developer Guide, "Using AWS Lambda with Amazon DynamoDB".
var streamActions = []string{"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"}

// sends are the statements of what a function sends. SendMessage is the batch's action, too (SQS Developer Guide,
// "Amazon SQS batch actions"), and Publish that of a device's endpoint (SNS Developer Guide, "Amazon SNS API permissions").
func sends(f Function) []Statement {
	var all []Statement
	for _, q := range f.Sends {
		all = append(all, Statement{Resource: Resource{Kind: KindQueue, Name: q}, Actions: []string{"sqs:SendMessage"}})
	}
	if f.Emails != "" {
		all = append(all, Statement{Resource{Kind: KindEmail}, []string{"ses:SendEmail"}, f.Emails})
	}
	if f.Pushes != "" {
		all = append(all, Statement{Resource{Kind: KindPush}, []string{"sns:Publish"}, f.Pushes})
	}
	return all
}

// polls are the statements of what Lambda does in a function's name: it reads what invokes the function, and keeps what
// a stream's records could not be found again by. A schedule has a role of its own.
func polls(f Function) []Statement {
	var all []Statement
	for _, q := range f.Queues {
		all = append(all, Statement{Resource: Resource{Kind: KindQueue, Name: q}, Actions: slices.Clone(consumeActions)})
	}
	for _, s := range f.Streams {
		all = append(all, Statement{Resource: Resource{Kind: KindStream, Name: s.Table}, Actions: slices.Clone(streamActions)})
	}
	if len(f.Streams) > 0 {
		all = append(all,
			Statement{Resource{Kind: KindAny}, []string{"dynamodb:ListStreams"}, "The action has no resource types."},
			Statement{Resource{Kind: KindFailures, Name: f.Key}, []string{"sqs:SendMessage"}, "Records that failed for good are found again by it."})
	}
	return all
}

// ScheduleInput is the JSON that a schedule invokes its function with: {"schedule":"nightly"}.
func ScheduleInput(key string) string { return `{"schedule":"` + key + `"}` }

// KeepsFailures tells whether what a function failed for good goes to a queue of its own: a queue's messages have their
// dead-letter queue, a request its answer.
func (f Function) KeepsFailures() bool { return len(f.Streams)+len(f.Schedules) > 0 }

// Consumer is the function that consumes a queue of a valid declaration.
func (b Backend) Consumer(queue string) Function {
	for _, f := range b.Functions() {
		if slices.Contains(f.Queues, queue) {
			return f
		}
	}
	return Function{}
}

// Streamed tells whether a function gets the changes of a table.
func (b Backend) Streamed(table string) bool { return len(b.readers(table)) > 0 }

// readers are the functions that get the changes of a table.
func (b Backend) readers(table string) []string {
	var all []string
	for _, f := range b.Functions() {
		if slices.ContainsFunc(f.Streams, func(s Stream) bool { return s.Table == table }) {
			all = append(all, f.Key)
		}
	}
	return all
}

// Ends of the names of queues that stacks make beside the declared ones.
const (
	DeadLetterEnd = "-dlq"      // what a queue's consumer failed
	FailuresEnd   = "-failures" // what a function failed whose events are kept in no queue
)

func (v *checker) queue(b Backend, q Queue) {
	v.key("queue", q.Key)
	if strings.HasSuffix(q.Key, DeadLetterEnd) || strings.HasSuffix(q.Key, FailuresEnd) {
		v.problem("queue %s: %s and %s end the names of other queues", q.Key, DeadLetterEnd, FailuresEnd)
	}
	var consumers []string
	sent := false
	for _, f := range b.Functions() {
		if slices.Contains(f.Queues, q.Key) {
			consumers = append(consumers, f.Key)
		}
		sent = sent || slices.Contains(f.Sends, q.Key)
	}
	switch {
	case len(consumers) == 0:
		v.problem("queue %s: no function consumes it", q.Key)
	case len(consumers) > 1:
		v.problem("queue %s: %s consume it; each message reaches only one of them", q.Key, strings.Join(consumers, ", "))
	}
	if !sent {
		v.problem("queue %s: no function sends to it", q.Key)
	}
}

// triggers checks what concerns several functions.
func (v *checker) triggers(b Backend) {
	for _, t := range b.Tables {
		// DynamoDB Developer Guide, "Change data capture for DynamoDB Streams": more readers are throttled.
		if readers := b.readers(t.Key); len(readers) > 2 {
			v.problem("table %s: its stream has %d readers (%s), at most 2 are served", t.Key, len(readers), strings.Join(readers, ", "))
		}
	}
	// A schedule and its role are named like functions and their roles: <function>-<schedule>.
	named := map[string]string{}
	for _, f := range b.Functions() {
		named[f.Key] = "function " + f.Key
	}
	for _, f := range b.Functions() {
		for _, s := range f.Schedules {
			name, at := f.Key+"-"+s.Key, fmt.Sprintf("function %s, schedule %s", f.Key, s.Key)
			if other, taken := named[name]; taken {
				v.problem("%s: has the name of %s", at, other)
			}
			named[name] = at
		}
	}
}

// trigger checks what invokes a function, and what it sends.
func (v *checker) trigger(f Function) {
	kinds := 0
	for _, has := range []bool{f.Authorizes, len(f.Routes) > 0, len(f.Queues) > 0, len(f.Streams) > 0, len(f.Schedules) > 0} {
		if has {
			kinds++
		}
	}
	switch {
	case kinds == 0:
		v.problem("function %s: nothing invokes it", f.Key)
	case kinds > 1:
		v.problem("function %s: either authorizes, or has routes, queues, streams or schedules: its handler gets one kind of event", f.Key)
	}
	v.references(f, "queue", f.Queues)
	v.references(f, "queue", f.Sends)
	v.once(f, "consumes", f.Queues)
	v.once(f, "sends to", f.Sends)
	for _, s := range f.Streams {
		v.stream(f, s)
	}
	for _, s := range f.Schedules {
		v.schedule(f, s)
	}
}

func (v *checker) once(f Function, verb string, queues []string) {
	for i, q := range queues {
		if slices.Contains(queues[:i], q) {
			v.problem("function %s: %s queue %q twice", f.Key, verb, q)
		}
	}
}

func (v *checker) stream(f Function, s Stream) {
	at := fmt.Sprintf("function %s, stream of %s", f.Key, s.Table)
	v.unique("stream", f.Key+"/"+s.Table)
	if _, ok := v.tables[s.Table]; !ok {
		v.problem("%s: the table is not declared", at)
	}
	// Lambda Developer Guide, "Control which events Lambda sends to your function": its quotas for event filters.
	if len(s.Filters) > 5 {
		v.problem("%s: has %d filters, at most 5 are allowed", at, len(s.Filters))
	}
	for _, p := range s.Filters {
		var pattern map[string]any
		if json.Unmarshal([]byte(p), &pattern) != nil || len(pattern) == 0 || len(p) > 4096 {
			v.problem("%s: filter %q is no JSON object with at least one rule and at most 4096 bytes", at, p)
		}
	}
}

var (
	// A rate counts in whole units (EventBridge Scheduler User Guide, "Schedule types").
	ratePattern = regexp.MustCompile(`^rate\((1 (minute|hour|day)|([2-9]|[1-9][0-9]{1,4}) (minutes|hours|days))\)$`)
	// Six fields, of which either the day of the month or that of the week is "?" (the same page). Whether a number is
	// in its field's range is left to the scheduler.
	cronPattern = regexp.MustCompile(`^cron\([0-9,*/-]+ [0-9,*/-]+ (\? [0-9A-Z,*/-]+ [0-9A-Z,*/L#-]+|[0-9,*/LW-]+ [0-9A-Z,*/-]+ \?) [0-9,*/-]+\)$`)
)

func (v *checker) schedule(f Function, s Schedule) {
	at := fmt.Sprintf("function %s, schedule %s", f.Key, s.Key)
	if !keyPattern.MatchString(s.Key) {
		v.problem("%s: a key is lower-case words joined by dashes", at)
	}
	if n := len(s.Does); n == 0 || n > 512 {
		v.problem("%s: says in %d bytes what happens then; 1 to 512 are allowed", at, n)
	}
	if !ratePattern.MatchString(s.When) && !cronPattern.MatchString(s.When) {
		v.problem("%s: %q is neither like rate(1 hour) nor like cron(0 3 * * ? *)", at, s.When)
	}
}

// triggersText is the part of ACCESS.md on what invokes functions beside requests; empty where nothing does.
func triggersText(b Backend) string {
	var w strings.Builder
	for _, f := range b.Functions() {
		for _, q := range f.Queues {
			fmt.Fprintf(&w, "| %s | queue %s | %s |\n", f.Key, q, queueText(b, q))
		}
		for _, s := range f.Streams {
			what := "every change of an item"
			if len(s.Filters) > 0 {
				what = "changes that match `" + strings.Join(s.Filters, "` or `") + "`"
			}
			fmt.Fprintf(&w, "| %s | stream of %s | %s |\n", f.Key, s.Table, what)
		}
		for _, s := range f.Schedules {
			fmt.Fprintf(&w, "| %s | schedule %s, `%s` | %s |\n", f.Key, s.Key, s.When, s.Does)
		}
	}
	if w.Len() == 0 {
		return ""
	}
	return "\n## Triggers\n\n| function | invoked by | with |\n| --- | --- | --- |\n" + w.String()
}

// queueText is what a queue carries and who sends to it.
func queueText(b Backend, key string) string {
	var does string
	for _, q := range b.Queues {
		if q.Key == key {
			does = q.Does
		}
	}
	var senders []string
	for _, f := range b.Functions() {
		if slices.Contains(f.Sends, key) {
			senders = append(senders, f.Key)
		}
	}
	return strings.TrimSpace(does + " From " + strings.Join(senders, ", ") + ".")
}
